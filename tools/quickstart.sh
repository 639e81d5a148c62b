#!/usr/bin/env bash
# From nothing to a pre-trained encoder, on any machine with Python and git:
# makes the environment, the synthetic sample data, pre-trains Skeleton2vec,
# and sets the encoder beside a random one. Minutes on two CPU cores.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"
cd "$SKEL_SSL_ROOT"
exec python tools/quickstart.py "$@"
