# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The savings of docs/speed.md, one setting each, on every method."""
import pytest

from tests.configs.conftest import CONFIGS
from tests.configs.test_run import train

METHODS = ('skel2vec', 'mae', 'mamp', 'hacm')


def set_masks(cfg, number):
    """HA-CM makes its masks in the model, the others in the pipeline."""
    if 'mask_generator' in cfg.model:
        cfg.model.mask_generator.num_masks = number
    else:
        [mask] = [
            t for t in cfg.train_dataloader.dataset.pipeline
            if t['type'].endswith('Mask')
        ]
        mask['num_masks'] = number


@pytest.mark.parametrize('method', METHODS)
def test_all_of_them_train(method, load, tmp_path):
    cfg = load(CONFIGS / f'{method}_demo.py')
    cfg.merge_from_dict({
        'model.neck.type': 'CrossAttentionDecoder',
        'model.query_ratio': .25
    })
    set_masks(cfg, 2)
    runner, spy = train(cfg, tmp_path)
    neck = runner.model.neck
    assert type(neck).__name__ == 'CrossAttentionDecoder'
    assert {f'neck.{name}' for name, _ in neck.named_parameters()
            } <= spy.graded & spy.moved


def test_the_graph_model_trains_on_some_frames(load, tmp_path):
    cfg = load(CONFIGS / 'skeletonmae_demo.py')
    cfg.model.data_preprocessor = dict(
        type='FrameDataPreprocessor', num_coordinates=3, frame_ratio=.25)
    runner, spy = train(cfg, tmp_path)
    assert runner.model.data_preprocessor.frame_ratio == .25
    assert any(name.startswith('backbone.') for name in spy.moved)
