# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""torchrun, which says in one line which process died.

``dist_train.sh`` and ``dist_test.sh`` start it. It imports nothing of the
package, as it only waits.
"""
import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main


def describe(error: ChildFailedError) -> str:
    """Say which process was the first to end, and how.

    Args:
        error (ChildFailedError): What torchrun ends with.
    """
    rank, failure = error.get_first_failure()
    how = (f'was killed by {failure.signal_name()}' if failure.exitcode < 0
           else f'ended with exit status {failure.exitcode}, see its message')
    return (f'rank {rank} (pid {failure.pid}) {how}; the other processes were '
            'stopped. What was written before is whole: continue a training '
            'with the same command and --resume')


if __name__ == '__main__':
    try:
        main()
    except ChildFailedError as error:
        sys.exit(f'error: {describe(error)}')
