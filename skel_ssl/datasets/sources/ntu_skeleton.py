# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The text of a ``.skeleton`` file of NTU RGB+D.

    <number of frames>
      per frame: <number of bodies>, which may be 0
        per body: <bodyID> and nine more numbers
                  25
          per joint: x y z and nine more numbers

A file is taken whole or not at all: every count is held against what follows
it, and every word must be a number, those that nobody uses included.
"""
from bisect import bisect_right
from itertools import chain
from typing import Dict, List, NamedTuple

import numpy as np

from .errors import BadFileError

NUM_JOINTS = 25
_BODY_WORDS = 10
_JOINT_WORDS = 12
_JOINT_LINES = [_JOINT_WORDS] * NUM_JOINTS
_MAX_DIGITS = 20  # of a whole number, those of 2**64


class Bodies(NamedTuple):
    """The bodies that a file shows: N entries, one for a body in a frame.

    They are in the order of the file.

    Attributes:
        num_frames (int): Frames of the file, those without bodies included.
        ids (list[int]): The bodyIDs, in order of appearance.
        frame (np.ndarray): The frame of each entry, from 0, shape (N, ),
            int64.
        slot (np.ndarray): Its place among the bodies of its frame, from 0,
            shape (N, ), int64.
        track (np.ndarray): Its place in ``ids``, shape (N, ), int64.
        joints (np.ndarray): Shape (N, 25, 3), float64. Metres in the frame
            of the camera: y is up, z away from it.
    """
    num_frames: int
    ids: List[int]
    frame: np.ndarray
    slot: np.ndarray
    track: np.ndarray
    joints: np.ndarray


def parse_skeleton(text: bytes) -> Bodies:
    r"""Read the text of a ``.skeleton`` file.

    Args:
        text (bytes): The whole file. All lines end in ``\n``, or all in
            ``\r\n``, as in the official archives.

    Returns:
        Bodies: What it shows, at least one body.

    Raises:
        BadFileError: With the line and the frame, if the text is cut off,
            goes on after its last frame, has a wrong count, a line of the
            wrong length, a word that is no number, a coordinate that is not
            finite, the same bodyID twice in a frame, nobody in any frame, or
            line ends of both kinds.
    """
    if b'\r' in text:
        text = _with_unix_line_ends(text)
    if b'_' in text:  # float() would read 1_0 as 10
        raise BadFileError(
            f"line {_first_line(text, b'_')}: there is a '_' in it")
    if not text.strip():
        raise BadFileError('the file is empty')
    reader = _Reader([line.split() for line in text.rstrip().split(b'\n')])
    return reader.read()


def _first_line(text: bytes, what: bytes) -> int:
    """The line, from 1, in which something occurs first."""
    return text.count(b'\n', 0, text.index(what)) + 1


def _with_unix_line_ends(text: bytes) -> bytes:
    windows, lines = text.count(b'\r\n'), text.count(b'\n')
    if not windows == lines == text.count(b'\r'):
        raise BadFileError(
            f'{windows} of its {lines} lines have a Windows line end, or a '
            'carriage return stands elsewhere: a transfer in text mode has '
            'changed the file; fetch it again')
    return text.replace(b'\r\n', b'\n')


class _Reader:
    """Goes through the lines of a file, each split into its words."""

    def __init__(self, rows: List[List[bytes]]) -> None:
        self.rows = rows
        self.lengths = list(map(len, rows))
        self.row = 0  # the next to be read
        self.num_frames = 0
        self.frame_rows: List[int] = []  # where each frame begins
        self.joint_rows: List[int] = []  # where the joints of a body begin

    def read(self) -> Bodies:
        self.num_frames = self._whole_number('number of frames')
        tracks: Dict[int, int] = {}
        places = []
        for frame in range(self.num_frames):
            self.frame_rows.append(self.row)
            ids: List[int] = []
            for slot in range(self._whole_number('number of bodies')):
                ids.append(self._body())
                if ids[-1] in ids[:-1]:
                    raise self._error(
                        self.joint_rows[-1] - 2,
                        f'the bodyID {ids[-1]} is twice in this frame')
                track = tracks.setdefault(ids[-1], len(tracks))
                places.append((frame, slot, track))
        if self.row < len(self.rows):
            raise BadFileError(
                f'line {self.row + 1}: the file goes on after its last frame '
                f'({self.num_frames}): a number of bodies or of frames is '
                'wrong, or there is too much')
        if not places:
            raise BadFileError(
                f'there are 0 bodies in all {self.num_frames} frames')
        frame, slot, track = np.array(places, dtype=np.int64).T
        return Bodies(self.num_frames, list(tracks), frame, slot, track,
                      self._joints())

    def _body(self) -> int:
        """Step over a body in a frame; its bodyID."""
        body_id = self._whole_number('bodyID', _BODY_WORDS)
        joints = self._whole_number('number of joints')
        if joints != NUM_JOINTS:
            raise self._error(
                self.row - 1,
                f'the number of joints is {joints}, not {NUM_JOINTS}')
        self.joint_rows.append(self.row)
        if self.lengths[self.row:self.row + NUM_JOINTS] == _JOINT_LINES:
            self.row += NUM_JOINTS
        else:
            for joint in range(NUM_JOINTS):
                self._line(f'joint {joint}', _JOINT_WORDS)
        return body_id

    def _whole_number(self, name: str, words: int = 1) -> int:
        """The first number of the next line, which is to have so many."""
        word = self._line(name, words)[0]
        if not word.isdigit() or len(word) > _MAX_DIGITS:
            raise self._error(self.row - 1, f'the {name} is {_show(word)}')
        return int(word)

    def _line(self, name: str, words: int) -> List[bytes]:
        if self.row == len(self.rows):
            raise BadFileError(
                f'the file ends after line {self.row}, where a line with the '
                f'{name} must follow{self._frame(self.row)}: it is cut off, '
                'or a number of bodies or of frames is wrong')
        if self.lengths[self.row] != words:
            raise self._error(
                self.row,
                f'the line with the {name} must have {words} number(s), not '
                f'{self.lengths[self.row]}: a number of bodies is wrong, or '
                'something is missing or too much')
        self.row += 1
        return self.rows[self.row - 1]

    def _joints(self) -> np.ndarray:
        """The coordinates of all bodies, (N, 25, 3)."""
        words = chain.from_iterable(self.rows)
        try:
            numbers = np.fromiter(map(float, words), np.float64)
        except ValueError:
            raise self._not_a_number() from None
        first = np.cumsum([0, *self.lengths])[self.joint_rows, None]
        blocks = numbers[first + np.arange(NUM_JOINTS * _JOINT_WORDS)]
        joints = blocks.reshape(-1, NUM_JOINTS, _JOINT_WORDS)[..., :3].copy()
        strange = np.argwhere(~np.isfinite(joints))
        if len(strange):
            body, joint, axis = at = tuple(strange[0])
            raise self._error(
                self.joint_rows[body] + joint,
                f'{"xyz"[axis]} of joint {joint} is {joints[at]}')
        return joints

    def _not_a_number(self) -> BadFileError:
        for row, words in enumerate(self.rows):
            for word in words:
                try:
                    float(word)
                except ValueError:
                    return self._error(row, f'{_show(word)} is not a number')
        raise AssertionError('every word is a number')

    def _error(self, row: int, fault: str) -> BadFileError:
        return BadFileError(f'line {row + 1}{self._frame(row)}: {fault}')

    def _frame(self, row: int) -> str:
        frame = bisect_right(self.frame_rows, row)
        return f', frame {frame} of {self.num_frames}' if frame else ''


def _show(word: bytes) -> str:
    return repr(word[:24].decode('ascii', 'backslashreplace'))
