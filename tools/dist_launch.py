# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""torchrun, which says in one line which process died.

``dist_train.sh`` and ``dist_test.sh`` start it. It imports nothing of the
package, as it only waits.
"""
import signal
import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

# What no process does to itself because another one has gone.
CAUSES = (signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL,
          signal.SIGFPE)


def describe(error: ChildFailedError) -> str:
    """Say which process was the first to end, and how.

    One that is killed takes the others with it before torchrun looks, and
    torchrun does not know the order then: it counts as the first.

    Args:
        error (ChildFailedError): What torchrun ends with.
    """
    killed = {rank: failure for rank, failure in error.failures.items()
              if -failure.exitcode in CAUSES}
    failures = killed or error.failures
    rank = min(failures, key=lambda rank: failures[rank].timestamp)
    failure = failures[rank]
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
