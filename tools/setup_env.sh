#!/usr/bin/env bash
# Makes the environment that the scripts here run in, or takes the one that
# is there. For scripts: source it, then `python` is the environment's.
#
#   SKEL_SSL_VENV  its folder (default: .venv in the repository)
#   TORCH_SPEC     which torch to install (default: torch==2.13.0)
set -euo pipefail

SKEL_SSL_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SKEL_SSL_VENV=${SKEL_SSL_VENV:-$SKEL_SSL_ROOT/.venv}

# skel_ssl_step TITLE COMMAND...: runs it, and tells what it is and how long
# it took.
skel_ssl_step() {
  local title=$1 start=$SECONDS
  shift
  printf '%s ... ' "$title"
  "$@"
  printf '%d s\n' $((SECONDS - start))
}

# skel_ssl_install PIP-ARGUMENTS...: installs in the tested versions; only
# errors are shown.
skel_ssl_install() {
  python -m pip install -qq --disable-pip-version-check \
    --constraint "$SKEL_SSL_ROOT/requirements/tested.txt" "$@"
}

# skel_ssl_once NAME FUNCTION: runs it unless it has already succeeded here
# for this checkout and these requirements. A failure leaves no stamp.
skel_ssl_once() {
  local stamp=$SKEL_SSL_VENV/skel_ssl-$1.stamp fingerprint
  fingerprint=$(
    cd "$SKEL_SSL_ROOT"
    echo "$SKEL_SSL_ROOT"
    cat setup.py pyproject.toml requirements/*.txt | cksum
  )
  if [[ -f $stamp && $(<"$stamp") == "$fingerprint" ]]; then
    return
  fi
  rm -f "$stamp"
  "$2"
  echo "$fingerprint" >"$stamp"
}

skel_ssl_make_venv() {
  local found='no python3'
  if command -v python3 >/dev/null; then
    found="$(python3 --version 2>&1) at $(command -v python3)"
  fi
  local enough='import sys; sys.exit(sys.version_info < (3, 9))'
  if ! python3 -c "$enough" 2>/dev/null; then
    echo "skel_ssl needs Python 3.9 or newer as python3 on the PATH, but" \
      "there is $found" >&2
    exit 1
  fi
  skel_ssl_step "making $SKEL_SSL_VENV" python3 -m venv "$SKEL_SSL_VENV"
}

skel_ssl_install_package() {
  # torch comes first and by itself, and one that is there is kept: what asks
  # for torch later takes the build that it finds. A machine without a GPU
  # wants the CPU build, or pip fetches gigabytes of CUDA. Where the wheels
  # come from is left to your pip configuration (pip config set global...).
  if ! python -m pip show torch >/dev/null 2>&1; then
    local torch=${TORCH_SPEC:-torch==2.13.0}
    skel_ssl_step "installing $torch" skel_ssl_install "$torch"
  fi
  skel_ssl_step 'installing skel_ssl and what it needs' \
    skel_ssl_install --editable "$SKEL_SSL_ROOT"
}

if [[ ! -x $SKEL_SSL_VENV/bin/pip ]]; then
  skel_ssl_make_venv
fi
export VIRTUAL_ENV=$SKEL_SSL_VENV PATH=$SKEL_SSL_VENV/bin:$PATH
skel_ssl_once package skel_ssl_install_package
