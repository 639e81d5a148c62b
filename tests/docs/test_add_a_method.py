# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The page on a method of one's own: its files, its tests, its training."""
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from skel_ssl.datasets.transforms.masking import RandomMask
from skel_ssl.models.ops.masking import random_mask
from skel_ssl.registry import MODELS
from tests.docs.conftest import (
    SHORT_LOADER,
    run_steps,
    steps_of,
    write_files,
)
from tests.docs.markdown import ROOT, read

PAGE = 'docs/add_a_method.md'
OPTIONS = {
    'tools/data/make_sample.py': '--subjects 4 --repetitions 1',
    'tools/visualization/vis_masks.py': '--num 1 --num-poses 2',
    'tools/train.py':
    '--cfg-options train_cfg.max_epochs=1 default_hooks.logger.interval=1 '
    f'{SHORT_LOADER}',
    'tools/evaluate.py': '--seeds 1 --lrs .1 --epochs 5 --out result.json',
}
FILES = ['my_method/__init__.py', 'my_method/direction_demo.py',
         'my_method/direction_target.py',
         'my_method/test_direction_target.py']


# Faults that a target may have: what stands on the page, and in place of it.
FAULTS = [
    ('motion / speed', 'motion'),
    ('speed > self.still', 'speed >= 0'),
    ('frame_motion(persons)', 'frame_motion(persons, 2)'),
    ('frame_motion(persons)', '-frame_motion(persons)'),
]


def with_fault(number, text, workplace):
    """The files in another folder, with a fault; the step that tests them."""
    folder = f'wrong{number}'
    write_files(text, workplace / folder)
    path = workplace / folder / 'my_method/direction_target.py'
    right, wrong = FAULTS[number]
    code = path.read_text()
    assert right in code
    path.write_text(code.replace(right, wrong))
    return dict(words=['-m', 'pytest', '-q', folder], status=1,
                environment=dict(PYTHONPATH=folder))


def test_the_method_is_tested_trained_and_evaluated(workplace):
    text = read(PAGE)
    assert sorted(write_files(text, workplace)) == FILES
    steps = steps_of(text, lambda code: code.replace('epoch_40', 'epoch_1'),
                     OPTIONS)
    steps += [with_fault(i, text, workplace) for i in range(len(FAULTS))]
    printed = run_steps(steps, workplace)
    # The tests of the page pass, and notice every fault.
    assert '5 passed' in printed
    assert printed.count(' failed, ') == len(FAULTS)
    assert 'ERROR' not in printed

    work_dir = workplace / 'work_dirs/direction_demo'
    [log] = work_dir.glob('*/vis_data/scalars.json')
    records = map(json.loads, log.read_text().splitlines())
    losses = [record['loss'] for record in records if 'loss' in record]
    # Predictions are next to 0 in the beginning, and 4 unit vectors of 3
    # values have a mean square of 1/3 if all move.
    assert .1 < losses[0] < 1 / 3 + .01
    assert np.isfinite(losses).all()
    assert "type='DirectionTarget'" in (
        work_dir / 'direction_demo.py').read_text()
    result = json.loads((workplace / 'result.json').read_text())
    assert 'linear' in json.dumps(result)


@pytest.fixture
def model():
    """The demo's MAE with other widths, so that none is taken for another."""
    cfg = Config.fromfile(ROOT / 'configs/mae_demo.py')
    init_default_scope('mmaction')
    cfg.merge_from_dict({
        'model.neck.embed_dims': 48, 'model.head.in_dims': 48,
        'model.query_ratio': .5})
    return MODELS.build(cfg.model)


def shapes(values):
    """Shapes of all tensors in arguments or results."""
    if isinstance(values, torch.Tensor):
        return [tuple(values.shape)]
    if isinstance(values, dict):
        values = values.values()
    if isinstance(values, (tuple, list, type({}.values()))):
        return [shape for value in values for shape in shapes(value)]
    return []


def test_parts_take_and_give_what_the_table_says(model, monkeypatch):
    """Three persons with two masks each; half of the hidden are asked for."""
    P, K, T, V, C, S = 3, 2, 32, 25, 3, 8
    H, D, D1, D2 = S * V - 30, 64, 48, 12
    N, Q = S * V - H, H // 2
    seen = {}

    def watch(part, name):
        method = getattr(part, name)

        def call(*args):
            made = method(*args)
            seen[type(part).__name__, name] = shapes(args), shapes(made)
            return made

        monkeypatch.setattr(part, name, call)

    for part, name in [(model.backbone, 'encode'), (model.neck, 'forward'),
                       (model.target, 'forward'), (model.head, 'forward'),
                       (model.head, 'loss'), (model.head, 'token_error')]:
        watch(part, name)
    persons = torch.randn(P, T, V, C)
    masks = random_mask(P * K, S, V, .85).mask
    assert masks.sum(2).sum(1).unique().tolist() == [H]
    model(persons, mode='loss', mask=masks)
    assert seen == {
        ('SkeletonTransformer', 'encode'): (
            [(P * K, T, V, C), (P * K, N)], [(P * K, N, D)]),
        ('CrossAttentionDecoder', 'forward'): (
            [(P * K, N, D), (P * K, N), (P * K, H), (P * K, Q)],
            [(P * K, Q, D1)]),
        ('CoordinateTarget', 'forward'): (
            [(P, T, V, C)], [(P, S * V, D2)]),
        ('RegressionHead', 'forward'): (
            [(P * K, Q, D1)], [(P * K, Q, D2)]),
        ('RegressionHead', 'token_error'): (
            [(P * K, Q, D2)] * 2, [(P * K, Q)]),
        ('RegressionHead', 'loss'): ([(P * K, Q, D2)] * 2, [()]),
    }
    assert model.backbone(torch.randn(4, 2, T, V, C)).shape == (4, 2, D, S, V)
    assert (model.backbone.num_segments, model.backbone.num_joints) == (S, V)


def test_a_mask_is_what_the_table_says():
    results = dict(keypoint=np.random.randn(2, 3, 32, 25, 3))
    mask = RandomMask(patch_len=4).transform(results)['mask']
    assert mask.shape == (2, 3, 8, 25) and mask.dtype == torch.bool
    assert len(mask.sum((2, 3)).unique()) == 1
    mask = RandomMask(patch_len=4, num_masks=2).transform(results)['mask']
    assert mask.shape == (2, 3, 2, 8, 25)
