# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the fuzz tests share: how much to try, damage, and the oracle.

``SKEL_SSL_FUZZ=50`` tries 50 times as many examples, and other ones each
time; one that fails is printed, and kept in ``.hypothesis``.
"""
import os
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Tuple, Type

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get('SKEL_SSL_FUZZ', '0'))
_MOST_SECONDS = 10  # of processor time, for one example

settings.register_profile(
    'skel_ssl_fuzz',
    deadline=None,
    derandomize=not TIMES,
    print_blob=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture, HealthCheck.too_slow,
        HealthCheck.data_too_large, HealthCheck.filter_too_much
    ],
    # to find out what in an example matters takes long
    phases=[phase for phase in Phase if phase is not Phase.explain])


def examples(number: int) -> settings:
    """Settings of a test that tries so many examples."""
    return settings(
        settings.get_profile('skel_ssl_fuzz'),
        max_examples=number * max(1, TIMES))


class Hang(BaseException):
    """Nobody catches it by accident."""


def _stop(*_: Any) -> None:
    raise Hang(f'more than {_MOST_SECONDS} s')


@contextmanager
def no_hang() -> Iterator[None]:
    """End with a Hang after ten seconds of processor time."""
    before = signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, _MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


Errors = Tuple[Type[Exception], ...]


def outcome(read: Callable[[], Any],
            errors: Errors = (ValueError, ),
            naming: Optional[str] = None) -> Any:
    """What a parser returns, or None if it refuses its input as it says.

    Args:
        read (Callable): Calls it.
        errors (tuple[type]): The errors that it documents; only themselves,
            since UnicodeDecodeError, too, is a ValueError.
        naming (str, optional): What each message must name.
    """
    with no_hang(), np.errstate(all='ignore'):
        try:
            result = read()
        except errors as error:
            assert not isinstance(error, (UnicodeError, np.exceptions.AxisError
                                          )), error
            assert str(error).strip()
            assert naming is None or naming in str(error), error
            return None
    assert result is not None
    return result


# ------------------------------------------------------------------- damage

CHUNKS = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from([
        b'\x00' * 8, b'\xff' * 8, b'\n', b'\r', b'\xef\xbb\xbf', b'-1', b'nan',
        b'1e999', b'9' * 30, b'[' * 9, b'{', b'"', b',', b'_', b'\x80'
    ]))


@st.composite
def damaged(draw: Callable, whole: bytes, most: int = 4) -> bytes:
    """The bytes after one to ``most`` changes to them."""
    data = whole
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(
            ['flip', 'cut', 'insert', 'replace', 'delete', 'repeat']))
        if kind == 'flip' and at < len(data):
            flipped = data[at] ^ (1 << draw(st.integers(0, 7)))
            data = data[:at] + bytes([flipped]) + data[at + 1:]
        elif kind == 'cut':
            data = data[:at]
        elif kind == 'insert':
            data = data[:at] + draw(CHUNKS) + data[at:]
        elif kind == 'replace':
            piece = draw(CHUNKS)
            data = data[:at] + piece + data[at + len(piece):]
        else:
            size = draw(st.integers(1, 40))
            twice = data[at:at + size] if kind == 'repeat' else b''
            data = data[:at] + 2 * twice + data[at + size:]
    return data


def cuts(whole: bytes, count: int = 60) -> Iterator[bytes]:
    """The beginning of the bytes, ever shorter."""
    step = max(1, len(whole) // (count * max(1, TIMES)))
    for size in range(len(whole) - 1, -1, -step):
        yield whole[:size]


# --------------------------------------------------------------------- junk

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.integers(),
    st.sampled_from([2**31, 2**63, -2**63, 10**400, 10**12]),
    st.floats(), st.text(max_size=6),
    st.sampled_from(['', 'nan', 'keypoint', '\ud800', '[/red]', 'a' * 300]))
# As JSON can hold it.
JSON = st.recursive(
    SCALARS.filter(lambda x: x != '\ud800'),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=12)
ARRAYS = st.builds(
    lambda shape, kind, value: np.full(shape, value).astype(kind),
    st.lists(st.integers(0, 4), max_size=5).map(tuple),
    st.sampled_from(
        ['f2', 'f4', 'f8', '>f4', 'i4', 'u1', 'c8', 'O', 'U3', 'S2', 'b1']),
    st.sampled_from([0, 1, 7]))
JUNK = st.one_of(
    JSON, ARRAYS, st.binary(max_size=4),
    st.sampled_from([(), (1, 'a'), {3}, np.float32(2), np.int64(-1),
                     np.str_('b'), 1j]))


def nested(depth: int, open_with: str = '[', close: str = ']') -> bytes:
    """Text of lists in lists."""
    return (open_with * depth + close * depth).encode()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
