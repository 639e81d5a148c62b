# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From .skeleton files to persons; tests/datasets holds the text itself."""
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skel_ssl.apis.inputs import ClipReader, InputError
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.ntu_clip import CLEANINGS, read_clip
from skel_ssl.datasets.sources.ntu_files import select_files
from skel_ssl.datasets.sources.ntu_splits import (
    belongs,
    make_splits,
    parse_name,
    read_missing_list,
)
from tests.datasets.ntu_files import Track, standing, write_text

from .common import cuts, damaged, examples, outcome, write

NAME = 'S001C002P003R002A013.skeleton'
RNG = np.random.default_rng(0)
WHOLE = write_text(3, [Track(7, [0, 2], standing(2, RNG)),
                       Track(8, [2], standing(1, RNG))])


def check(path):
    """Persons of a sound clip in each tradition, or one refusal."""
    for cleaning in CLEANINGS:
        for twice in (False, True):
            clip = outcome(
                lambda: read_clip(path, cleaning, twice),  # noqa: B023
                (BadFileError, ))
            if clip is None:
                continue
            persons, frames = clip['keypoint'].shape[:2]
            assert clip['keypoint'].shape[2:] == (25, 3)
            assert clip['keypoint'].dtype == np.float32
            assert persons in (1, 2) and clip['total_frames'] == frames >= 1
            assert np.isfinite(clip['keypoint']).all()
            assert clip['label'] == 12 and clip['performer'] == 3
    clips = outcome(lambda: list(ClipReader().read(path)), (InputError, ),
                    naming=path.name)
    for clip in clips or ():
        assert np.isfinite(clip['keypoint']).all()


@examples(80)
@given(damaged(WHOLE))
@example(b'')
@example(b'999999999\n0\n')
@example(b'1\n99999999999\n')
def test_damage(tmp_path, text):
    check(write(tmp_path / NAME, text))


def test_cut_off(tmp_path):
    for text in cuts(WHOLE.rstrip(), 40):
        path = write(tmp_path / NAME, text)
        for cleaning in CLEANINGS:
            outcome(lambda: read_clip(path, cleaning),  # noqa: B023
                    (BadFileError, ))


COORDINATES = st.one_of(
    st.floats(-9, 9, width=32), st.sampled_from(
        [0., -0., 1e-300, 1e5, 1e6, 1e7, 1e38, -3e38, 1e39, 1e300]))


@st.composite
def files(draw):
    """Bodies that come and go, of any size."""
    num_frames = draw(st.integers(1, 30))
    tracks = []
    for body in range(draw(st.integers(1, 5))):
        frames = sorted(draw(st.sets(st.integers(0, num_frames - 1),
                                     min_size=1)))
        joints = standing(len(frames), np.random.default_rng(body))
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.tuples(st.integers(0, len(frames) - 1),
                                st.integers(0, 24), st.integers(0, 2)))
            joints[at] = draw(COORDINATES)
        joints *= draw(st.sampled_from([0, 1, 1, 1]))
        tracks.append((body, frames, joints))
    lines = [str(num_frames)]
    for t in range(num_frames):
        here = [(body, joints[frames.index(t)])
                for body, frames, joints in tracks if t in frames]
        lines.append(str(len(here)))
        for body, joints in here:
            lines += [f'{body} 0 0 0 0 0 0 0 0 0', '25']
            lines += [' '.join(map(repr, map(float, joint))) + ' 0' * 9
                      for joint in joints]
    return '\n'.join(lines).encode()


@examples(40)
@given(files())
def test_bodies_of_any_kind(tmp_path, text):
    check(write(tmp_path / NAME, text))


@pytest.mark.parametrize('far', [1e7, 1e38, -1e300])
def test_places_beyond_float32_are_refused(tmp_path, far):
    """They became infinite, and the differences of them NaN."""
    joints = standing(2, np.random.default_rng(0))
    joints[1, 4, 2] = far
    text = write_text(2, [Track(7, [0, 1], joints)])
    for cleaning in CLEANINGS:
        with pytest.raises(BadFileError, match='z of joint 4 in frame 1'):
            read_clip(write(tmp_path / NAME, text), cleaning)


NAMES = st.one_of(
    st.text(max_size=25),
    st.from_regex(r'S\d{3}C\d{3}P\d{3}R\d{3}A\d{3}\n?', fullmatch=True),
    damaged(NAME[:20].encode(), 2).map(lambda x: x.decode('latin1')))


@examples(100)
@given(NAMES)
@example('S001C002P003R002A013\n')
@example('S٠٠١C002P003R002A013')
@example('S000C000P000R000A000')
def test_names(name):
    parsed = outcome(lambda: parse_name(name), naming=repr(name))
    if parsed is not None:
        assert name == 'S{:03}C{:03}P{:03}R{:03}A{:03}'.format(*parsed)
        for dataset in ('ntu60', 'ntu120'):
            splits = make_splits([name], dataset)
            assert sum(map(len, splits.values())) == 2
            assert not belongs(parsed, 'ntu60') or belongs(parsed, 'ntu120')


@examples(50)
@given(st.lists(NAMES.filter(lambda n: '/' not in n and '\0' not in n),
                max_size=6), st.booleans())
def test_every_file_is_somewhere(tmp_path, names, listed):
    paths = [tmp_path / f'{name}.skeleton' for name in names]
    missing = {path.stem for path in paths[:1]} if listed else set()
    found = select_files(paths, 'ntu60', missing)
    assert sum(map(len, found)) == len(paths)
    assert not missing.intersection(path.stem for path in found.paths)


@examples(50)
@given(st.one_of(st.text(), st.lists(NAMES).map(' '.join)))
def test_missing_lists(text):
    for name in outcome(lambda: read_missing_list(text)) or ():
        parse_name(name)
