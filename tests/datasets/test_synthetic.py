# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The synthetic sample: reproducible, bodily sound, properly split."""
import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from skel_ssl.datasets import SkeletonDataset
from skel_ssl.datasets.checks import find_faults
from skel_ssl.datasets.layouts import NTU25
from skel_ssl.datasets.synthetic import MOTIONS, make_dataset, save
from skel_ssl.datasets.synthetic.acting import perform, write_script
from skel_ssl.datasets.synthetic.generate import (
    get_subject,
    list_recordings,
    make_clip,
)
from skel_ssl.datasets.synthetic.kinematics import (
    CHAIN,
    bone_lengths,
    forward_kinematics,
    joint_rotations,
    mirror_angles,
    plant,
)

SUBJECTS = 4
BONES = np.array(CHAIN)


@pytest.fixture(scope='module')
def sample():
    return make_dataset(num_subjects=SUBJECTS, repetitions=1)


BY_NAME = {motion.name: motion for motion in MOTIONS}
JOINT = {name: index for index, name in enumerate(NTU25.joints)}


def noise_free(motion, seed=0):
    people = [get_subject(0, n) for n in ((1, 3) if motion.contact else (1, ))]
    scene = perform(motion, people, np.random.default_rng(seed))
    return scene, people


def lengths_of(points):
    bones = points[..., BONES[:, 0], :] - points[..., BONES[:, 1], :]
    return np.linalg.norm(bones, axis=-1)


def test_the_same_seed_writes_the_same_bytes(sample, tmp_path):
    again = make_dataset(num_subjects=SUBJECTS, repetitions=1)
    files = [save(sample, tmp_path / 'a.pkl'), save(again, tmp_path / 'b.pkl')]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.pkl', 'b.pkl']


def test_a_clip_does_not_depend_on_the_others(sample):
    recording = list_recordings(0, SUBJECTS, 1)[-1]
    clip = make_clip(recording, SUBJECTS)
    np.testing.assert_array_equal(clip['keypoint'],
                                  sample['annotations'][-1]['keypoint'])
    other = make_clip(recording._replace(seed=1), SUBJECTS)
    assert other['keypoint'].shape != clip['keypoint'].shape or (
        np.abs(other['keypoint'] - clip['keypoint']).max() > .01)


def test_clips_are_sound(sample):
    clips = sample['annotations']
    assert find_faults(clips, num_joints=25, max_persons=2,
                       require_label=True) == []
    assert len(MOTIONS) >= 12
    assert {c['label'] for c in clips} == set(range(len(MOTIONS)))
    for clip in clips:
        assert clip['keypoint'].dtype == np.float32
        assert 30 <= clip['total_frames'] <= 120
        mutual = MOTIONS[clip['label']].contact is not None
        assert len(clip['keypoint']) == 1 + mutual
        # A camera that looks at people: y up, standing a few metres away.
        seen = clip['keypoint'][0]
        assert (seen[:, 3, 1] > seen[:, (15, 19), 1].min(1)).mean() > .9
        assert 1 < np.median(seen[..., 2]) < 6
    assert sum(m.contact is not None for m in MOTIONS) >= 2


def test_bodies_differ_between_people_and_not_within_a_clip(sample):
    trunk = [1, 2, 3, 20]  # joints with little noise
    index = [i for i, (child, _) in enumerate(CHAIN) if child in trunk]
    size = {}
    for clip in sample['annotations']:
        lengths = lengths_of(clip['keypoint'][0])[:, index]
        assert lengths.std(0).max() < .02
        size.setdefault(clip['subject'], []).append(lengths.mean(0).sum())
    means = {k: np.mean(v) for k, v in size.items()}
    assert np.ptp(list(means.values())) > 3 * max(
        np.std(v) / np.sqrt(len(v)) for v in size.values())


def test_splits(sample):
    clips = {c['frame_dir']: c for c in sample['annotations']}
    assert len(clips) == len(sample['annotations'])
    for protocol, who in (('xsub', 'subject'), ('xview', 'camera')):
        train, val = (sample['split'][f'{protocol}_{p}']
                      for p in ('train', 'val'))
        assert not set(train) & set(val)
        assert set(train) | set(val) == set(clips)
        assert not {clips[n][who] for n in train
                    } & {clips[n][who] for n in val}
        for part in (train, val):
            assert {clips[n]['label'] for n in part} == set(
                range(len(MOTIONS)))
    # Nor does a partner from one half help out in the other.
    half = {c['subject']: c['subject'] % 2 for c in clips.values()}
    assert all(half[c['partner']] == half[c['subject']]
               for c in clips.values() if 'partner' in c)
    name = sample['annotations'][0]['frame_dir']
    assert name == 'S001C001P001R001A001'


def test_every_class_moves(sample):
    for clip in sample['annotations']:
        motion = np.abs(np.diff(clip['keypoint'][0], axis=0)).mean((1, 2))
        assert motion.max() > .01


@pytest.mark.parametrize('motion', MOTIONS, ids=lambda m: m.name)
def test_before_the_sensor_bones_are_the_subject_s(motion):
    scene, people = noise_free(motion)
    found = {tuple(lengths_of(body).mean(0).round(6)) for body in scene}
    expected = [p.lengths[BONES[:, 0]] for p in people]
    # People of an action of two come in random order.
    assert found == {tuple(e.round(6)) for e in expected}
    assert lengths_of(scene).std(axis=1).max() < 1e-9


def test_waving_left_mirrors_waving_right():
    left, right = (
        write_script(BY_NAME[f'wave {side} hand'], 2, 1.,
                     np.random.default_rng(0)) for side in ('left', 'right'))
    np.testing.assert_array_equal(mirror_angles(left.poses), right.poses)
    np.testing.assert_array_equal(left.times, right.times)
    assert np.abs(left.poses - right.poses).max() > 10


@pytest.mark.parametrize('side', ['left', 'right'])
def test_the_named_hand_waves(side):
    for seed in range(5):
        body = noise_free(BY_NAME[f'wave {side} hand'], seed)[0][0]
        hand = body[:, JOINT[f'{side} hand']]
        hand = hand - body[:, JOINT[f'{side} shoulder']]
        assert np.ptp(hand[:, 1]) > .3


def test_opposite_actions_run_opposite_ways():
    for seed in range(5):
        fall, rise = (
            np.diff(noise_free(BY_NAME[n], seed)[0][0][[0, -1], 0, 1])[0]
            for n in ('sit down', 'stand up'))
        assert fall < -.15 and rise > .15
    turns = []
    for way in ('clockwise', 'counter-clockwise'):
        keys = BY_NAME[f'draw circle {way}'].loop
        x, y = np.stack([k.pose[JOINT['right shoulder'], [1, 0]]
                         for k in keys], -1)  # outwards, upwards
        x, y = x - x.mean(), y - y.mean()
        turns.append(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    # Seen by the person, whose right is +x: clockwise is negative.
    assert turns[0] < 0 < turns[1]


def test_forward_kinematics_keeps_bones_and_mirrors():
    rng = np.random.default_rng(0)
    lengths = bone_lengths(1.7, {'shoulder': 1.1})
    angles = rng.uniform(-60, 60, (6, 25, 3))
    points = forward_kinematics(angles, lengths)
    np.testing.assert_allclose(
        lengths_of(points), np.tile(lengths[BONES[:, 0]], (6, 1)))
    flipped = forward_kinematics(mirror_angles(angles), lengths)
    order = np.arange(25)
    for left, right in NTU25.flip_pairs:
        order[[left, right]] = right, left
    np.testing.assert_allclose(
        flipped[:, order], points * (-1, 1, 1), atol=1e-12)
    with pytest.raises(ValueError, match="no bone 'tail'"):
        bone_lengths(1.7, {'tail': 1.})


def test_joint_rotations_by_hand():
    angles = np.zeros((25, 3))
    elbow, knee = (NTU25.joints.index(f'right {j}') for j in ('elbow', 'knee'))
    angles[elbow] = angles[knee] = 90, 0, 0
    turns = joint_rotations(angles)
    # Down turns to the front (-z) at the elbow, to the back at the knee.
    for joint, front in ((elbow, -1), (knee, 1)):
        np.testing.assert_allclose(
            turns[joint] @ (0, -1, 0), (0, 0, front), atol=1e-9)
    assert Rotation.from_matrix(turns[0]).magnitude() == 0


def test_a_standing_foot_does_not_slide():
    lengths = bone_lengths(1.7, {})
    angles = np.zeros((10, 25, 3))
    angles[:, NTU25.joints.index('right hip'), 0] = np.linspace(0, 80, 10)
    points = plant(forward_kinematics(angles, lengths), lengths)
    # Once the other foot is off the ground.
    ankle = points[4:, NTU25.joints.index('left ankle')]
    assert np.abs(np.diff(ankle, axis=0)).max() < 1e-3
    lifted = points[:, NTU25.joints.index('right ankle')]
    assert np.ptp(lifted, axis=0).max() > .3


def test_the_tool_writes_what_the_data_set_reads(tmp_path):
    path = save(make_dataset(num_subjects=4, repetitions=1),
                tmp_path / 'new' / 'demo_3d.pkl')
    content = pickle.loads(path.read_bytes())
    assert content['synthetic'] is True
    dataset = SkeletonDataset(str(path), pipeline=[], split='xview_val')
    assert len(dataset) == len(content['split']['xview_val'])


@pytest.mark.parametrize('number', [2, 5])
def test_too_few_people(number):
    with pytest.raises(ValueError, match=f'num_subjects={number}'):
        make_dataset(num_subjects=number)
