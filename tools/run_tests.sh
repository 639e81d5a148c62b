#!/usr/bin/env bash
# Lints the repository, checks its types and runs all tests. Arguments go to
# pytest, and paths among them start at the root of the repository:
#
#   bash tools/run_tests.sh tests/test_compat.py -k drn
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"
cd "$SKEL_SSL_ROOT"

install_test_tools() {
  skel_ssl_step 'installing the test tools' \
    skel_ssl_install --editable '.[tests]'
}
skel_ssl_once tests install_test_tools

python -m ruff check .
python -m mypy
# two workers, and so one thread for each
export OMP_NUM_THREADS=1
exec python -m pytest --numprocesses 2 --dist loadfile "$@"
