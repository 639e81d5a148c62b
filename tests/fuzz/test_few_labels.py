# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Which clips keep their label, and synthetic clips of any numbers."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from skel_ssl.datasets.checks import clip_fault, find_faults
from skel_ssl.datasets.few_labels import choose_few_labels, hash_clips
from skel_ssl.datasets.pickle_io import load_annotations
from skel_ssl.datasets.pose_writer import write_pose_pickle
from skel_ssl.datasets.sources.chunks import convert_files
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.subjects import subject_of
from skel_ssl.datasets.synthetic.generate import (
    Recording,
    list_recordings,
    make_clip,
)

from .common import ARRAYS, JUNK, examples, outcome

NAMES = st.lists(st.text(st.characters(codec='utf-8'), max_size=5),
                 max_size=20)


@examples(100)
@given(NAMES, st.lists(st.integers(0, 4), min_size=20, max_size=20),
       st.floats(), st.one_of(st.integers(-1, 3), st.floats()))
@example(['a', 'a'], [0] * 20, .5, 0)
def test_few_labels(names, labels, ratio, subset):
    labels = labels[:len(names)]
    kept = outcome(lambda: choose_few_labels(names, labels, ratio, subset))
    if kept is None:
        return
    assert kept == sorted(set(kept)) and 0 < ratio <= 1
    for label in set(labels):
        count = labels.count(label)
        assert sum(labels[i] == label for i in kept) == max(
            1, round(ratio * count))
    assert len(hash_clips(names)) == 64
    again = choose_few_labels(names[::-1], labels[::-1], ratio, subset)
    assert sorted(names[::-1][i] for i in again) == sorted(
        names[i] for i in kept)


ANNOTATIONS = st.fixed_dictionaries({}, optional=dict(
    frame_dir=st.one_of(st.text(max_size=3), JUNK),
    keypoint=st.one_of(ARRAYS, st.builds(
        np.full, st.tuples(*[st.integers(0, 3)] * 4), st.floats()), JUNK),
    keypoint_score=st.one_of(ARRAYS, JUNK), total_frames=st.integers(0, 3),
    label=JUNK, subject=JUNK))


@examples(200)
@given(st.lists(ANNOTATIONS, max_size=3), st.none() | st.integers(0, 3),
       st.none() | st.integers(0, 3), st.booleans())
def test_every_annotation_is_sound_or_has_a_fault(clips, joints, persons,
                                                  labelled):
    faults = find_faults(clips, joints, persons, labelled)
    assert len(faults) <= len(clips)
    for clip in clips:
        fault = clip_fault(clip, joints, persons, labelled)
        assert fault is None or fault.strip()
        if fault is None:
            assert np.isfinite(clip['keypoint']).all()
            assert clip['keypoint'].any()
            assert joints in (None, clip['keypoint'].shape[2])
        if isinstance(clip.get('frame_dir'), str):
            assert subject_of(clip) is None or isinstance(
                subject_of(clip), str)


@examples(60)
@given(st.lists(ANNOTATIONS, max_size=3), st.dictionaries(
    st.text(max_size=3), st.lists(st.text(max_size=3), max_size=3)))
def test_written_pickles_are_read(tmp_path, clips, split):
    path = tmp_path / 'x.pkl'
    count = outcome(lambda: (write_pose_pickle(path, clips, split), ))
    if count is None:
        assert not path.exists()
        return
    found = load_annotations(path)
    assert count[0] == len(clips) and found['split'] == split
    np.testing.assert_equal(found['annotations'], clips)
    path.unlink()


def read_or_refuse(path):
    """Files whose text begins with x are bad."""
    if path.read_text().startswith('x'):
        raise BadFileError('an x')
    return dict(frame_dir=path.stem, text=path.read_text())


@examples(25)
@given(st.lists(st.sampled_from(['x', 'a', 'xa', 'b']), min_size=1,
                max_size=7), st.integers(1, 4))
def test_chunks(tmp_path, texts, chunk_size):
    """Every file becomes a clip or a fault, in order, for any chunks."""
    paths = []
    for i, text in enumerate(texts):
        paths.append(tmp_path / f'{i}.txt')
        paths[-1].write_text(text)
    out = tmp_path / 'out.pkl'
    splits, faults = convert_files(
        read_or_refuse, paths, out, lambda names: dict(all=names),
        dict(test=1), chunk_size)
    assert [name for name, _ in faults] == [
        path.name for path, text in zip(paths, texts) if text[0] == 'x']
    if len(faults) == len(texts):
        assert not out.exists()
        return
    found = load_annotations(out)
    assert found['split'] == splits and [
        clip['text'] for clip in found['annotations']] == [
            text for text in texts if text[0] != 'x']
    out.unlink()


@examples(12)
@given(st.integers(0, 2**32), st.integers(0, 16), st.integers(1, 9),
       st.integers(1, 3), st.integers(1, 3))
@example(0, 0, 1, 1, 1)
def test_synthetic_clips_are_sound(seed, label, subject, camera, repetition):
    made = [make_clip(Recording(seed, label, subject, camera, repetition), 10)
            for _ in range(2)]
    assert clip_fault(made[0], 25, 2, True) is None
    np.testing.assert_equal(*made)
    assert abs(made[0]['keypoint']).max() < 20  # metres


@examples(30)
@given(st.integers(-2, 9), st.integers(0, 2))
def test_lists_of_synthetic_clips(subjects, repetitions):
    found = outcome(lambda: list_recordings(0, subjects, repetitions))
    if found is not None:
        names = [recording.frame_dir for recording in found]
        assert len(set(names)) == len(names) and subjects % 2 == 0
