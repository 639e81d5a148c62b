# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From the pipeline of a data set to batches."""
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose

from skel_ssl.datasets import (
    PersonDataset,
    PoseJitter,
    PoseTransform,
)
from skel_ssl.datasets.person_batches.pipeline import BatchPipeline
from skel_ssl.datasets.person_batches.random_numbers import Draw
from skel_ssl.models.ops.indices import mask_to_indices
from skel_ssl.registry import DATASETS, TRANSFORMS
from tests.datasets.person_batches.persons import (
    ALIGN,
    AUGMENT,
    CROP,
    MASK,
    PACK,
    assert_same,
    clips_of,
    seeded,
    write,
)

UNIFORM = dict(type='PoseUniformSampleFrames', clip_len=12)
DECODE = dict(type='PoseDecode')
JITTER = dict(type='PoseJitter')
PARTS = dict(type='BodyPartMask', layout='ntu25', patch_len=3)
MASKS = [
    MASK,
    dict(type='RandomMask', patch_len=3),
    dict(type='MotionAwareTubeMask', patch_len=3, tube_len=2),
    PARTS,
    dict(PARTS, mask_parts='random', num_mask_parts=(1, 3)),
    dict(PARTS, mask_mode='joint', num_mask_joints=4, mask_scope='frame'),
]


def build(pipeline):
    return BatchPipeline(Compose(pipeline).transforms)


def persons_of(ann_file, pipeline):
    return PersonDataset(clips_of(ann_file, pipeline))


def name_of(settings):
    return settings['type']


@pytest.mark.parametrize('mask', MASKS, ids=str)
def test_what_is_in_a_batch(ann_file, mask):
    dataset = persons_of(ann_file, [ALIGN, CROP, PACK[0], mask, PACK[1]])
    batch = dataset.__getitems__(seeded(*range(5)))
    assert batch['inputs'].shape == (5, 12, 25, 3)
    assert batch['inputs'].dtype == torch.float32
    assert batch['inputs'].is_contiguous()
    assert batch['mask'].shape == (5, 4, 25)
    assert batch['mask'].dtype == torch.bool
    counts = batch['mask'].flatten(1).sum(1)
    assert 0 < counts.min() and counts.max() < 100
    if 'random' in mask.values():
        assert batch.keys() == {'inputs', 'mask'} and len(set(counts)) > 1
    elif 'joint' in mask.values():
        assert batch.keys() == {'inputs', 'mask'}
    else:
        assert batch.keys() == {'inputs', 'mask', 'indices'}
        expected = mask_to_indices(batch['mask'])
        assert type(batch['indices']) is type(expected)
        assert all(map(torch.equal, batch['indices'], expected))
    assert not torch.equal(batch['mask'][0], batch['mask'][1]) or (
        mask is PARTS)


@pytest.mark.parametrize('mask', MASKS[:3], ids=name_of)
def test_masks_are_those_of_the_transform(ann_file, mask):
    """Made of what the model sees, by numbers of their own."""
    mask = dict(mask, return_rank=True)
    dataset = persons_of(ann_file,
                         [ALIGN, CROP, *AUGMENT, PACK[0], mask, PACK[1]])
    indices = seeded(0, 4, 7)
    batch = dataset.__getitems__(indices)
    pipeline = dataset.pipeline
    draw = Draw(torch.tensor([i.seed for i in indices]))
    draw = draw.within(pipeline._mask_name)
    made = TRANSFORMS.build(mask).make(batch['inputs'],
                                       lambda *s: draw.uniform('', *s))
    assert torch.equal(batch['mask'], made['mask'])
    assert torch.equal(batch['rank'], made['mask_rank'])
    # Without the ranks the mask is the same.
    mask.pop('return_rank')
    other = persons_of(ann_file,
                       [ALIGN, CROP, *AUGMENT, PACK[0], mask, PACK[1]])
    batch.pop('rank')
    assert_same(other.__getitems__(indices), batch)


@pytest.mark.parametrize('sampling', [[CROP], [UNIFORM, DECODE]], ids=str)
def test_frames_may_be_chosen_last(ann_file, sampling):
    """Nothing else changes, but for rounding."""
    early = [ALIGN, *AUGMENT, dict(AUGMENT[-1], feats=['b', 'j'])]
    late = persons_of(ann_file, [*early, *sampling, *PACK])
    batch = late.__getitems__(seeded(*range(18)))['inputs']
    # The same numbers, in the order that is written down.
    for i in range(18):
        one = Draw(torch.tensor([seeded(i)[0].seed]))
        start, count = late.persons.start[i], late.persons.length[i]
        person = late.persons.frames[None, start:start + count].clone()
        for name, transform in late.pipeline._values:
            person = transform.on_batch(person, one.within(name))
        plan = late.pipeline.sampler.plan_frames(
            count[None], one.within(late.pipeline._sampler_name))
        expected = plan.take(person[0], torch.tensor([0]))[0]
        torch.testing.assert_close(batch[i], expected, rtol=0, atol=1e-5)


def test_a_pipeline_without_random_numbers_is_that_of_the_clips(ann_file):
    """Every person of every clip, in order."""
    centre = dict(CROP, p_interval=(.8, ))
    streams = dict(AUGMENT[-1], feats=['j', 'bm'])
    pipeline = [ALIGN, centre, streams, *PACK]
    dataset = persons_of(ann_file, pipeline)
    batch = dataset.__getitems__(seeded(*range(len(dataset))))['inputs']
    expected = torch.cat([
        clip['inputs'].float()[0][clip['inputs'][0].flatten(1).any(1)]
        for clip in DATASETS.build(clips_of(ann_file, pipeline))
    ])
    torch.testing.assert_close(batch, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('mask', MASKS, ids=str)
@pytest.mark.parametrize('pipeline', [
    [ALIGN, CROP, *AUGMENT],
    [ALIGN, *AUGMENT[:1], UNIFORM, DECODE, JITTER],
    [ALIGN, CROP, dict(AUGMENT[-1], feats=['b', 'jm'])],
], ids=str)
def test_no_shape_depends_on_the_data(ann_file, pipeline, mask):
    """On torch's 'meta' device there are no data: the host cannot look."""
    dataset = persons_of(ann_file, [*pipeline, PACK[0], mask, PACK[1]])
    real = dataset.__getitems__(seeded(0, 1))
    rows = torch.zeros(2, dtype=torch.int64, device='meta')
    batch = dataset.pipeline.make(dataset.persons.to('meta'), rows, rows)
    assert batch.keys() == real.keys()
    for key in ('inputs', 'mask'):
        assert batch[key].device.type == 'meta'
        assert batch[key].shape == real[key].shape
        assert batch[key].dtype == real[key].dtype


def test_the_same_transform_twice_draws_other_numbers(ann_file):
    once = persons_of(ann_file, [ALIGN, CROP, JITTER, *PACK])
    twice = persons_of(ann_file, [ALIGN, CROP, JITTER, JITTER, *PACK])
    none = persons_of(ann_file, [ALIGN, CROP, *PACK])
    clean, one, two = (
        d.__getitems__(seeded(0))['inputs'] for d in (none, once, twice))
    first, second = (one - clean).flatten(), (two - one).flatten()
    assert torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < .2


class Unknown(PoseTransform):

    def transform(self, results):
        return results


@pytest.mark.parametrize('pipeline, said', [
    ([Unknown(), CROP], r'Unknown\(\) has no form .* clip by clip'),
    ([ALIGN, lambda x: x], 'has no form .* clip by clip'),
    ([dict(UNIFORM, type='UniformSampleFrames')], 'UniformSampleFrames.*clip '
     'by clip'),
    ([dict(UNIFORM, test_mode=True)], 'test_mode=True'),
    ([dict(UNIFORM, num_clips=2)], 'num_clips=2'),
    ([dict(CROP, num_clips=2)], 'TemporalCropResize.*num_clips=2'),
    ([CROP, UNIFORM], 'UniformSampleFrames.*CropResize has chosen'),
    ([JITTER, CROP], 'PoseJitter.*in front of the choice'),
    ([dict(AUGMENT[-1], feats=['jm']), CROP], 'GenSkeFeat.*in front of the'),
    ([dict(type='GenSkeFeat', feats=['b']), CROP], "feats=.'b'.*PoseGenSke"),
    ([CROP, PACK[0], MASK, MASK], 'behind a mask'),
    ([CROP, PACK[0], MASK, JITTER], 'PoseJitter.*behind a mask'),
    ([ALIGN, *AUGMENT, PACK[0], MASK], 'chooses frames'),
    ([], 'chooses frames'),
])
def test_what_has_no_batch_form_is_named(pipeline, said):
    with pytest.raises(ValueError, match=said) as error:
        build([*pipeline, PACK[1]])
    assert 'without person batches' in str(error.value)


def test_clips_with_scores_are_refused(tmp_path):
    path = write(
        tmp_path / 'a.pkl', [np.ones((1, 9, 25, 3))],
        keypoint_score=[np.ones((1, 9, 25))])
    with pytest.raises(ValueError, match="clip 'c0': 'keypoint_score'"):
        persons_of(path, [UNIFORM, DECODE, *PACK])


def test_clips_of_another_body_are_refused(ann_file):
    flip = dict(type='PoseRandomFlip', layout='kinect20')
    with pytest.raises(ValueError, match='25 joints.*kinect20'):
        persons_of(ann_file, [CROP, flip, *PACK])


def test_a_transform_of_coordinates_behind_streams(ann_file):
    """Six channels are no coordinates, as for the clips."""
    streams = dict(AUGMENT[-1], feats=['j', 'b'])
    dataset = persons_of(ann_file, [CROP, streams, AUGMENT[0], *PACK])
    with pytest.raises(ValueError, match='PoseRandomRotate.*6'):
        dataset.__getitems__(seeded(0))


def test_a_transform_of_ones_own(ann_file):
    """It brings its batch form along."""

    class Doubled(PoseJitter):
        batch_form = 'joints'

        def on_batch(self, persons, draw):
            return persons * 2

    plain = persons_of(ann_file, [CROP, *PACK]).__getitems__(seeded(3))
    own = persons_of(ann_file, [Doubled(), CROP, *PACK])
    torch.testing.assert_close(
        own.__getitems__(seeded(3))['inputs'], plain['inputs'] * 2)
