# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a user is told about a fault of the data or the machine."""
import errno
import logging
import re
import sys
import traceback
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import Iterator, Optional

from skel_ssl.engine.hooks import CollapsedError, NonFiniteError
from skel_ssl.utils.checkpoint_loading import DamagedCheckpointError

from .files import name_file

_OURS = (ValueError, TypeError, KeyError, OSError, ImportError,
         UnpicklingError, DamagedCheckpointError, CollapsedError,
         NonFiniteError)
_RESUME = ('what was written before is whole: continue with the same command '
           'and --resume')
_DISK = {
    errno.ENOSPC: f'The disk is full. Free some space; {_RESUME}',
    errno.EDQUOT: f'Your quota is used up. Free some space; {_RESUME}',
    errno.EFBIG: f'Files may not grow so large (ulimit -f). Raise the limit; '
                 f'{_RESUME}',
    errno.EROFS: 'Give a folder that can be written to, for a training by '
                 '--work-dir',
    errno.EACCES: 'You have no right to it. If it is to be written, give '
                  'another folder, for a training by --work-dir',
    errno.EIO: f'The disk fails. Look at dmesg; {_RESUME}',
}
_DISK[errno.EPERM] = _DISK[errno.EACCES]


def explain(error: BaseException) -> Optional[str]:
    """Put a fault of the input or the machine into one message.

    Args:
        error (BaseException): What ended a tool.

    Returns:
        str, optional: What to tell the user; None if it may be a mistake in
        the program, which calls for a traceback.
    """
    # A signal tells of a dead worker, whatever the program is just doing:
    # the error can come while another one is handled, or be wrapped.
    link: Optional[BaseException] = error
    while link is not None:
        if isinstance(link, RuntimeError):
            told = _of_a_process(str(link), type(link).__name__)
            if told is not None:
                return told
        hidden = None if link.__suppress_context__ else link.__context__
        link = link.__cause__ or hidden
    if isinstance(error, ConnectionError) and _in_data_loader(error):
        return _dead_worker(f'a DataLoader worker has ended ({error})')
    if not isinstance(error, _OURS):
        return None
    text = str(error.args[0] if isinstance(error, KeyError) else error)
    text = _of_a_worker(text, type(error).__name__)
    advice = _DISK.get(getattr(error, 'errno', None) or 0)
    return text if advice is None else f'{text}. {advice}'


def _of_a_worker(text: str, kind: str) -> str:
    """Take the message out of the traceback that torch makes of it."""
    if not re.match(rf'Caught {kind} in DataLoader worker', text):
        return text
    said = list(re.finditer(rf'^(?:\w+\.)*{kind}: ', text, re.M))
    return text[said[-1].end():].strip() if said else text


def _of_a_process(text: str, kind: str) -> Optional[str]:
    """A process beside this one that has died, by what torch says."""
    if text.startswith('DataLoader worker (pid'):
        return _dead_worker(text.partition('. ')[0])
    if kind.startswith('Dist') or 'gloo/transport' in text:
        first = text.partition('\n')[0]
        return ('another process of this run has ended, and the connection '
                f'to it broke ({first}); its own message tells why; '
                f'{_RESUME}')
    return None


def _dead_worker(what: str) -> str:
    return (f'{what}. If nobody killed it, memory has run out (see '
            'dmesg: fewer train_dataloader.num_workers need less), the '
            'shared memory is too small (df /dev/shm), or a data file '
            f'was cut short in use; {_RESUME}')


def _in_data_loader(error: BaseException) -> bool:
    """Whether torch was just taking something from a worker."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(
        frame.f_globals.get('__name__', '').startswith('torch.utils.data.')
        for frame, _ in frames)


@contextmanager
def log_must_be_writable() -> Iterator[None]:
    """Raise if a log file cannot be written, as on a full disk.

    ``logging`` prints a traceback for each line, and goes on. It would do so
    with the error of a dead worker, too, if the signal comes while a line is
    written.
    """
    usual = logging.Handler.handleError

    def handle_error(handler: logging.Handler,
                     record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError) and isinstance(
                handler, logging.FileHandler):
            name_file(error, handler.baseFilename)
            raise error
        if isinstance(error, RuntimeError) and _of_a_process(
                str(error), type(error).__name__):
            raise error
        usual(handler, record)

    logging.Handler.handleError = (  # type: ignore[method-assign]
        handle_error)  # type: ignore[assignment]
    try:
        yield
    finally:
        logging.Handler.handleError = usual  # type: ignore[method-assign]
