# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What is noted of a clip on its way through a pipeline."""
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import ConcatDataset
from mmengine.registry import init_default_scope

from skel_ssl.datasets.seeded_sampler import (
    SeededIndex,
    SeededSampler,
    isolated_random,
    sample_seed,
)
from skel_ssl.datasets.transforms import PoseGenSkeFeat
from skel_ssl.registry import DATASETS
from skel_ssl.visualization.pipeline_steps import (
    Step,
    StepRecorder,
    draw_step,
    guess_step_ups,
    take_step,
)
from tests.datasets.coco_clips import write_coco_clips
from tests.tools.conftest import ROOT, random_walk, write_clips


@pytest.fixture
def demo(tmp_path):
    """A clip of one person, one with an empty slot, one of two persons."""
    rng = np.random.default_rng(0)
    clips = [random_walk(rng, 2, 40) for _ in range(18)]
    clips[0] = clips[0][:1]
    clips[1][1] = 0
    write_clips(tmp_path / 'demo_3d.pkl', clips)
    return tmp_path / 'demo_3d.pkl'


def build(config, ann_file):
    init_default_scope('mmaction')
    dataset = Config.fromfile(ROOT / config).train_dataloader.dataset
    return DATASETS.build(dict(dataset, ann_file=str(ann_file)))


def by_hand(dataset, index, seed):
    """The keypoints after each transform, one after the other."""
    results = dataset.get_data_info(index)
    found = [results['keypoint'].copy()]
    with isolated_random(seed):
        for transform in dataset.pipeline.transforms:
            results = transform(results)
            found.append(np.array(
                results.get('keypoint', results.get('inputs'))))
    return found, results


def test_steps_are_those_of_the_training(demo):
    dataset = build('configs/skel2vec_demo.py', demo)
    # The second epoch of a training with seed 7.
    sampler = SeededSampler(dataset, seed=7)
    sampler.set_epoch(1)
    index = next(i for i in sampler if i == 2)
    expected, packed = by_hand(dataset, 2, index.seed)
    direct = dataset[index]
    steps = StepRecorder(dataset).record(2, seed=7, epoch=1)
    names = [step.name for step in steps]
    assert names == [
        'raw', 'PosePreNormalize3D', 'PoseTemporalCropResize',
        'PoseRandomRotate', 'PoseRandomScale', 'PoseGenSkeFeat',
        'FormatGCNInput', 'MotionAwareTubeMask', 'PackActionInputs']
    assert [step.place for step in steps] == list(range(9))
    for step, keypoint in zip(steps, expected):
        flat = keypoint[0] if keypoint.ndim == 5 else keypoint
        np.testing.assert_array_equal(step.keypoint, flat, step.name)
    np.testing.assert_array_equal(steps[-1].keypoint, direct['inputs'][0])
    mask = packed['data_samples'].mask[0].numpy()
    assert 0 < mask.mean() < 1
    for step in steps[-2:]:  # 4 frames a token
        np.testing.assert_array_equal(step.hidden, mask.repeat(4, 1))
    assert all(step.hidden is None for step in steps[:-2])
    unchanged = [s.name for s in steps if not s.changed]
    assert unchanged == ['PoseGenSkeFeat', 'FormatGCNInput',
                         'PackActionInputs']


def test_notes_do_not_change_what_comes_out(demo):
    index = SeededIndex(1, sample_seed(0, 0, 1))
    expected = build('configs/skel2vec_demo.py', demo)[index]
    dataset = build('configs/skel2vec_demo.py', demo)
    StepRecorder(dataset)
    found = dataset[index]
    assert found['inputs'].equal(expected['inputs'])
    assert found['data_samples'].mask.equal(expected['data_samples'].mask)


def test_datasets_that_know_no_seeds(demo):
    """MMAction2's own dataset, and within a concatenation."""
    dataset = build('configs/skel2vec_demo.py', demo)
    config = dict(
        type='PoseDataset', ann_file=str(demo), split='xsub_train',
        pipeline=[dict(type='PoseRandomRotate')])
    expected = StepRecorder(DATASETS.build(config)).record(3)
    joined = ConcatDataset([dataset, DATASETS.build(config)])
    again = StepRecorder(joined)
    assert [s.name for s in expected] == ['raw', 'PoseRandomRotate']
    assert expected[1].changed
    np.testing.assert_array_equal(
        again.record(len(dataset) + 3)[0].keypoint, expected[0].keypoint)
    assert [s.name for s in again.steps] == ['raw', 'PoseRandomRotate']
    assert len(again.record(0)) == 9
    np.testing.assert_array_equal(
        StepRecorder(DATASETS.build(config)).record(3)[1].keypoint,
        expected[1].keypoint)


def test_scores_and_image_of_two_dimensions(tmp_path):
    path = write_coco_clips(tmp_path / 'gym.pkl', splits=('train', ))
    dataset = build('configs/skeletonmae_gym.py', path)
    recorder = StepRecorder(dataset)
    steps = {step.name: step for step in recorder.record(0)}
    raw, packed = steps['raw'], steps['PackActionInputs']
    assert raw.keypoint.shape == (2, 20, 17, 2)
    assert packed.keypoint.shape == (1, 64, 17, 2)
    np.testing.assert_array_equal(
        packed.scores, steps['PosePreNormalize2D'].scores[:1])
    assert packed.hidden[:, :, [8, 10, 14, 16]].all()
    assert packed.hidden.mean() == pytest.approx(4 / 17)
    assert draw_step(raw).frame == (0, -1080, 1920, 0)
    assert draw_step(packed).frame == (-1, -1, 1, 1)
    # Every score of this clip is zero.
    assert not draw_step(recorder.record(2)[-1]).seen.any()


def test_several_clips_lie_one_after_the_other(demo):
    dataset = build('configs/skel2vec_demo.py', demo)
    dataset.pipeline.transforms[1].num_clips = 3
    steps = StepRecorder(dataset).record(2)
    formatted = steps[6]
    assert formatted.num_clips == 3
    np.testing.assert_array_equal(formatted.keypoint, steps[5].keypoint)
    assert steps[7].hidden.shape == (2, 96, 25)
    assert '2 persons, 96 frames, 3 clips' in draw_step(formatted).details


def test_streams_are_vectors(demo):
    dataset = build('configs/skel2vec_demo.py', demo)
    dataset.pipeline.transforms[4] = PoseGenSkeFeat('ntu25', ['b', 'jm'])
    steps = StepRecorder(dataset).record(2)
    assert [s.streams for s in steps[4:7]] == [('j', ), ('b', 'jm'),
                                               ('b', 'jm')]
    bones = draw_step(steps[6])
    assert bones.vectors and 'bones' in bones.details
    assert not draw_step(steps[4]).vectors
    joints = steps[4].keypoint
    np.testing.assert_allclose(
        steps[6].keypoint[:, :, 4], joints[:, :, 4] - joints[:, :, 20],
        atol=1e-6)


def test_up_of_each_step(demo):
    rng = np.random.default_rng(0)
    keypoint = rng.normal(0, .1, (1, 4, 25, 3))
    keypoint[:, :, 3, 1] += 9
    turned = keypoint[..., [2, 0, 1]]
    steps = [Step('raw', keypoint=keypoint), Step('x', keypoint=turned),
             Step('y', keypoint=keypoint, streams=('b', )), Step('z')]
    assert guess_step_ups([steps, steps], 'ntu25') == [
        '+y', '+z', '+z', '+z']


def test_other_things_than_keypoints():
    raw = take_step(dict(keypoint=np.ones((1, 4, 17, 2))))
    step = take_step(dict(inputs=np.ones((1, 17, 4, 56, 56))), object(), raw)
    assert step.keypoint is None
    assert draw_step(step).note == 'no keypoints here'
