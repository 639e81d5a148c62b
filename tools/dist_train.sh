#!/usr/bin/env bash
# Train on several GPUs, or on several processes of a CPU machine:
#   tools/dist_train.sh CONFIG NUM_PROCESSES [arguments of tools/train.py]
# On several machines set NNODES, NODE_RANK, MASTER_ADDR (and PORT) on each.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: $0 CONFIG NUM_PROCESSES [arguments of train.py]" >&2
  exit 2
fi
CONFIG=$1
PROCESSES=$2
shift 2
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" "$HERE/dist_launch.py" \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
  --nproc_per_node="$PROCESSES" \
  "$HERE/train.py" "$CONFIG" --launcher pytorch "$@"
