# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The parser: round trips, every fault that it names, and fuzz."""
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.ntu_skeleton import parse_skeleton
from tests.datasets.ntu_files import Track, make_tracks, standing, write_text

RNG = np.random.default_rng(0)
ONE, TWO = 72057594037931648, 72057594037931649  # equal as float
# Frame 1: body ONE. Frame 2: nobody. Frame 3: TWO, ONE.
TRACKS = [
    Track(TWO, [2], standing(1, RNG)),
    Track(ONE, [0, 2], standing(2, RNG)),
]
TEXT = write_text(3, TRACKS)
LINES = TEXT.decode().split('\n')
FRAMES = [1, 29, 30]  # rows of the counts of bodies


def change(row, words):
    return '\n'.join([*LINES[:row], words, *LINES[row + 1:]]).encode()


def word(row, column, new):
    words = LINES[row].split()
    words[column] = new
    return change(row, ' '.join(words))


def test_what_is_read():
    bodies = parse_skeleton(TEXT)
    assert bodies.num_frames == 3
    assert bodies.ids == [ONE, TWO]
    assert bodies.frame.tolist() == [0, 2, 2]
    assert bodies.slot.tolist() == [0, 0, 1]
    assert bodies.track.tolist() == [0, 1, 0]
    expected = [TRACKS[1].joints[0], TRACKS[0].joints[0], TRACKS[1].joints[1]]
    np.testing.assert_array_equal(bodies.joints, expected)
    assert bodies.joints.dtype == np.float64


@pytest.mark.parametrize('seed', range(10))
def test_round_trip(seed):
    rng = np.random.default_rng(seed)
    tracks = make_tracks(rng, 30)
    bodies = parse_skeleton(write_text(30, tracks))
    assert sorted(bodies.ids) == sorted(t.body_id for t in tracks)
    for track in tracks:
        mine = bodies.track == bodies.ids.index(track.body_id)
        np.testing.assert_array_equal(bodies.frame[mine], track.frames)
        np.testing.assert_array_equal(bodies.joints[mine], track.joints)


def test_unused_numbers_may_be_infinite():
    """The sensor's own pixel coordinates are, off the picture."""
    parse_skeleton(word(5, 5, '-inf').replace(b'-0.1705678', b'NaN'))


def test_last_line_end_may_be_missing():
    bodies = parse_skeleton(TEXT[:-1])
    np.testing.assert_array_equal(bodies.joints, parse_skeleton(TEXT).joints)


def test_windows_line_ends():
    """All or none, as the official archives have them."""
    windows = TEXT.replace(b'\n', b'\r\n')
    for text in (windows, windows[:-2]):
        np.testing.assert_array_equal(
            parse_skeleton(text).joints, parse_skeleton(TEXT).joints)
    lines = len(LINES) - 1
    for broken, few in ((TEXT[:-1] + b'\r\n', 1),
                        (windows.replace(b'\r', b'', 1), lines - 1),
                        (windows.replace(b'\r', b'\r\r', 1), lines)):
        with pytest.raises(BadFileError, match=f'^{few} of its {lines} lines'):
            parse_skeleton(broken)


@pytest.mark.parametrize(('text', 'message'), [
    (b'', 'the file is empty'),
    (b' \n\n', 'the file is empty'),
    (b'0\n', 'there are 0 bodies in all 0 frames'),
    (b'2\n0\n0\n', 'there are 0 bodies in all 2 frames'),
    # cut in the middle: between lines, between words, within a word
    ('\n'.join(LINES[:20]), 'the file ends after line 20, where .* joint 16 '
     'must follow, frame 1 of 3: it is cut off'),
    (TEXT[:TEXT.index(b'\n', 2000)].rsplit(b' ', 1)[0],
     'line 23, frame 1 of 3: .* joint 18 must have 12 number'),
    (TEXT[:-len(LINES[-2]) - 2], 'the file ends after line 84, .* frame 3'),
    # counts
    (change(0, '4'), 'the file ends after line 85, .* number of bodies must '
     'follow'),
    (change(0, '2'), 'line 31: the file goes on after its last frame'),
    (change(0, '-3'), "line 1: the number of frames is '-3'"),
    (change(0, '9' * 21), 'line 1: the number of frames is '),
    (change(0, '3.0'), "line 1: the number of frames is '3.0'"),
    (change(1, '2'), 'line 30, frame 1 of 3: .* bodyID must have 10 number'),
    (change(1, '0'), 'line 3, frame 2 of 3: .* number of bodies must have 1'),
    (change(29, '1'), 'line 31, frame 2 of 3: .* bodyID must have 10'),
    (change(30, '1'), 'line 59: the file goes on after its last frame'),
    (change(30, '3'), 'the file ends after line 85, .* bodyID must follow, '
     'frame 3 of 3'),
    (change(30, 'two'), "line 31, frame 3 of 3: the number of bodies is 'two'"
     ),
    (change(3, '24'), 'line 4, frame 1 of 3: the number of joints is 24, not '
     '25'),
    (change(3, '26'), 'the number of joints is 26'),
    # what is too much or too little
    (TEXT + b'0\n', 'line 86: the file goes on after its last frame .3.'),
    (change(1, '1\n'), 'line 3, frame 1 of 3: .* bodyID must have 10'),
    (change(10, LINES[10] + ' 0'), 'line 11, frame 1 of 3: .* joint 6 must '
     'have 12 number.s., not 13'),
    (change(10, ''), 'line 11, .* not 0'),
    # a word more in one line and one less in the next
    ('\n'.join([*LINES[:10], f'{LINES[10]} 1', LINES[11].split(' ', 1)[1],
                *LINES[12:]]), 'line 11, .* not 13'),
    # words
    (word(10, 11, 'x'), "line 11, frame 1 of 3: 'x' is not a number"),
    (word(10, 0, '1,5'), "line 11, frame 1 of 3: '1,5' is not a number"),
    (word(10, 0, '1.5.5'), 'is not a number'),
    (word(10, 0, '1_5'), "line 11: there is a '_' in it"),
    (word(2, 9, '-'), "line 3, frame 1 of 3: '-' is not a number"),
    (word(2, 0, '7.2e16'), "line 3, .* the bodyID is '7.2e16'"),
    (word(10, 0, '\x00'), r"'\\x00' is not a number"),
    (word(10, 1, 'é'), 'is not a number'),
    (word(10, 0, 'nan'), 'line 11, frame 1 of 3: x of joint 6 is nan'),
    (word(60, 2, '-inf'), 'line 61, frame 3 of 3: z of joint 0 is -inf'),
    (word(10, 1, '1e999'), 'y of joint 6 is inf'),
    # a body twice
    (word(58, 0, str(TWO)), f'line 59, frame 3 of 3: the bodyID {TWO} is '
     'twice in this frame'),
])
def test_faults(text, message):
    if isinstance(text, str):
        text = text.encode()
    with pytest.raises(BadFileError, match=message):
        parse_skeleton(text)


def whole(line, words=1):
    """The first of so many numbers in a line, a whole one."""
    first, *others = line.split()
    if len(others) != words - 1 or not re.fullmatch(rb'\d{1,20}', first):
        raise ValueError
    for word in others:
        float(word)
    return int(first)


def slowly(text):
    """The format read in the plainest way, an independent oracle.

    Returns:
        list: The frame, bodyID and joints of each body; None if there is any
        fault.
    """
    if b'\r' in text or b'_' in text:
        return None
    lines = iter(text.rstrip().split(b'\n'))
    found = []
    try:
        for frame in range(whole(next(lines))):
            for _ in range(whole(next(lines))):
                found.append((frame, whole(next(lines), 10), []))
                if whole(next(lines)) != 25:
                    return None
                for _ in range(25):
                    x, y, z, *others = map(float, next(lines).split())
                    found[-1][2].append((x, y, z))
                    if len(others) != 9:
                        return None
    except (ValueError, StopIteration):
        return None
    shown = [entry[:2] for entry in found]
    if (next(lines, None) is not None or not found
            or len(set(shown)) < len(shown)
            or not np.isfinite([entry[2] for entry in found]).all()):
        return None
    return found


def check_against_oracle(text):
    expected = slowly(text)
    if expected is None:
        with pytest.raises(BadFileError):
            parse_skeleton(text)
        with pytest.raises(BadFileError):
            parse_skeleton(text + b'\r')
        return
    bodies = parse_skeleton(text)
    ids = [bodies.ids[i] for i in bodies.track]
    assert list(zip(bodies.frame, ids)) == [entry[:2] for entry in expected]
    np.testing.assert_array_equal(bodies.joints,
                                  [entry[2] for entry in expected])


PIECES = st.one_of(
    st.sampled_from([
        b'0', b'1', b'2', b'3', b'25', b' ', b'\n', b'\r\n', b'\r', b'-',
        b'.', b'e', b'_', b'nan', b'inf', b'1e999', b'\x00', b'\xff', b'\x0b',
        str(TWO).encode()
    ]), st.binary(max_size=3))


@st.composite
def damaged(draw):
    """The text after one to three changes to its bytes or lines."""
    text = TEXT
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        lines = text.split(b'\n')
        row = draw(st.sampled_from([0, 1, 2, 3, *FRAMES]) |
                   st.integers(0, len(lines) - 1)) % len(lines)
        kind = draw(st.sampled_from(
            ['insert', 'delete', 'replace', 'cut', 'count', 'line', 'twice']))
        if kind == 'insert':
            text = text[:at] + draw(PIECES) + text[at:]
        elif kind == 'delete':
            text = text[:at] + text[at + draw(st.integers(1, 200)):]
        elif kind == 'replace':
            piece = draw(PIECES)
            text = text[:at] + piece + text[at + len(piece):]
        elif kind == 'cut':
            text = text[:at]
        else:
            lines[row:row + 1] = dict(
                count=[b'%d' % draw(st.integers(0, 30))],
                line=[],
                twice=[lines[row]] * 2)[kind]
            text = b'\n'.join(lines)
    return text


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_damage_is_an_error_or_harmless(text):
    check_against_oracle(text)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.lists(PIECES, max_size=30).map(b' '.join))
def test_any_bytes(text):
    check_against_oracle(text)


def test_the_oracle_reads():
    """It would agree with a parser that refuses everything."""
    for seed in range(3):
        tracks = make_tracks(np.random.default_rng(seed), 8)
        text = write_text(8, tracks)
        assert len(slowly(text)) == sum(len(t.frames) for t in tracks)
        check_against_oracle(text)
