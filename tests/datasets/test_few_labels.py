# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Few-label subsets: balanced, nested, and the same for everybody."""
import hashlib
import logging
import pickle
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skel_ssl.datasets import (
    SkeletonDataset,
    choose_few_labels,
    hash_clips,
    load_annotations,
)
from tests.conftest import shared_file

SIZES = {0: 200, 1: 30, 2: 1}
LABELS = [label for label, n in SIZES.items() for _ in range(n)]
NAMES = [f'clip{i}' for i in range(len(LABELS))]

# Split xview_clean_train, subset 0.
NWUCLA = {
    .01:
    '573d0499ef0cddc9cb51466ceb20628c554af8fadf6d0a71b31e8e8a8a748722',
    .05:
    'fd11e5cbaccfb0fab8ca2137d7c8b8ede68bbe5628d0e1887592e0b3010cf00f',
    .1:
    '848e6eb4117807275141ddfb223836a6cc63cfe03244484d3ea659569a0a2527',
}


@pytest.mark.parametrize('ratio, counts', [
    (.01, {0: 2, 1: 1, 2: 1}),
    (.05, {0: 10, 1: 2, 2: 1}),
    (.1, {0: 20, 1: 3, 2: 1}),
    (1, SIZES),
])
def test_every_class_keeps_its_share_and_at_least_one_clip(ratio, counts):
    kept = choose_few_labels(NAMES, LABELS, ratio)
    assert Counter(LABELS[i] for i in kept) == counts
    assert kept == sorted(kept)


def test_the_recipe_by_hand():
    """The three clips of class 1 with the smallest SHA-256."""
    of_class = [name for name, label in zip(NAMES, LABELS) if label == 1]
    expected = sorted(
        of_class,
        key=lambda name: hashlib.sha256(f'4:{name}'.encode()).hexdigest())[:3]
    kept = choose_few_labels(NAMES, LABELS, .1, subset=4)
    assert {NAMES[i] for i in kept if LABELS[i] == 1} == set(expected)


@settings(max_examples=30, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=120),
    subset=st.integers(0, 4),
    seed=st.integers(0, 2**32 - 1))
def test_nested_and_free_of_order(labels, subset, seed):
    names = [f'n{i}' for i in range(len(labels))]
    small, middle, large = (
        {names[i] for i in choose_few_labels(names, labels, ratio, subset)}
        for ratio in (.01, .05, .1))
    assert small <= middle <= large
    order = np.random.default_rng(seed).permutation(len(names))
    shuffled = choose_few_labels([names[i] for i in order],
                                 [labels[i] for i in order], .05, subset)
    assert {names[order[i]] for i in shuffled} == middle


def test_so_many_clips_of_each_class():
    kept = choose_few_labels(NAMES, LABELS, shots=12)
    assert Counter(LABELS[i] for i in kept) == {
        label: min(12, size)
        for label, size in SIZES.items()
    }
    # The same order as that of the shares: 20, 3 and 1 clips of 200, 30, 10.
    share = choose_few_labels(NAMES, LABELS, .1)
    assert {i for i in share if LABELS[i] != 0} <= set(kept)


def test_subsets_differ():
    found = {tuple(choose_few_labels(NAMES, LABELS, .1, s)) for s in range(5)}
    assert len(found) == 5


def test_hash_of_a_set_of_names():
    assert hash_clips(['b', 'a']) == hash_clips(['a', 'b'])
    assert hash_clips(['a', 'b']) == hashlib.sha256(b'a\nb').hexdigest()
    assert hash_clips(['a']) != hash_clips(['a', 'b'])


@pytest.mark.parametrize('kwargs, message', [
    (dict(ratio=0), 'ratio=0 must be above 0'),
    (dict(ratio=1.5), 'ratio=1.5 must be above 0 and at most 1'),
    (dict(ratio=.1, subset=-1), 'subset=-1 must be a whole number'),
    (dict(ratio=.1, subset=.5), 'subset=0.5 must be a whole number'),
    (dict(), 'ratio=None, shots=None'),
    (dict(ratio=.1, shots=3), 'ratio=0.1, shots=3'),
    (dict(shots=0), 'shots=0 must be a whole number, 1 or more'),
    (dict(shots=1.5), 'shots=1.5 must be a whole number'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        choose_few_labels(NAMES, LABELS, **kwargs)


def test_a_name_that_comes_twice():
    with pytest.raises(ValueError, match="clip 'a' comes twice"):
        choose_few_labels(['a', 'b', 'a'], [0, 1, 0], .5)


# ------------------------------------------------------------- in a data set


@pytest.fixture
def file(tmp_path):
    annotations = [
        dict(
            frame_dir=name,
            label=label,
            total_frames=2,
            keypoint=np.ones((1, 2, 25, 3), np.float32))
        for name, label in zip(NAMES, LABELS)
    ]
    path = tmp_path / 'clips.pkl'
    path.write_bytes(
        pickle.dumps(dict(split=dict(train=NAMES), annotations=annotations)))
    return str(path)


def test_the_data_set_keeps_them_and_says_so(file, monkeypatch):
    said = []
    monkeypatch.setattr(
        'skel_ssl.datasets.skeleton_dataset.print_log',
        lambda text, logger, level=logging.INFO: said.append(text))
    dataset = SkeletonDataset(
        file, [], split='train', few_labels=dict(ratio=.05, subset=3))
    expected = [NAMES[i] for i in choose_few_labels(NAMES, LABELS, .05, 3)]
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [x['frame_dir'] for x in infos] == expected
    digest = hash_clips(expected)
    assert dataset.metainfo['few_labels'] == dict(
        ratio=.05, subset=3, num_clips=13, sha256=digest)
    (line, ) = said
    assert '13 of 231 clips' in line and digest in line
    pinned = dict(ratio=.05, subset=3, sha256=digest)
    assert len(
        SkeletonDataset(file, [], split='train', few_labels=pinned)) == 13


def test_a_hash_of_other_clips_is_refused(file):
    with pytest.raises(ValueError, match='not 0000: the file has other'):
        SkeletonDataset(
            file, [],
            split='train',
            few_labels=dict(ratio=.05, sha256='0000'))


def test_labels_are_needed(tmp_path):
    path = tmp_path / 'clips.pkl'
    clip = dict(
        frame_dir='a',
        total_frames=2,
        keypoint=np.ones((1, 2, 25, 3), np.float32))
    path.write_bytes(pickle.dumps(dict(split={}, annotations=[clip])))
    with pytest.raises(ValueError, match="no 'label'"):
        SkeletonDataset(str(path), [], few_labels=dict(ratio=.1))


def test_nwucla():
    """The hashes that everybody must get."""
    data = load_annotations(str(shared_file('data/nwucla_3d.pkl')))
    names = set(data['split']['xview_clean_train'])
    clips = [x for x in data['annotations'] if x['frame_dir'] in names]
    names = [x['frame_dir'] for x in clips]
    labels = [x['label'] for x in clips]
    sizes = Counter(labels)
    for ratio, digest in NWUCLA.items():
        kept = choose_few_labels(names, labels, ratio)
        counts = Counter(labels[i] for i in kept)
        assert counts == {
            c: max(1, round(ratio * n))
            for c, n in sizes.items()
        }
        assert hash_clips([names[i] for i in kept]) == digest
