# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Which clips, made how, a config's evaluation reads."""
import pytest
from mmengine.config import Config

from skel_ssl.evaluation.feature_source import evaluation_datasets
from skel_ssl.utils.streams import set_stream, streams_of
from tests.tools.conftest import ROOT

LINEAR = sorted((ROOT / 'configs/benchmarks/linear').glob('*.py'))


@pytest.mark.parametrize('path', LINEAR, ids=lambda path: path.stem)
def test_all_clips_are_of_the_stream_that_is_asked_for(path):
    cfg = Config.fromfile(path)
    set_stream(cfg, 'b')
    found = evaluation_datasets(cfg)
    assert {part: streams_of(dataset['pipeline'])
            for part, dataset in found.items()} == dict.fromkeys(
                ('train', 'test', 'views'), [['b']])


def test_a_validation_is_no_test():
    """Within the training split, say; its pipeline is that of all clips."""
    cfg = Config.fromfile(ROOT / 'configs/benchmarks/linear/mamp_nwucla.py')
    cfg.val_dataloader.dataset.update(split='xview_clean_train',
                                      subjects=['1'])
    cfg.val_dataloader.dataset.pipeline[1].num_clips = 3
    found = evaluation_datasets(cfg)
    assert found['test']['split'] == 'xview_clean_val'
    assert 'subjects' not in found['test']
    for part in ('train', 'test'):
        assert found[part]['pipeline'][1]['num_clips'] == 3
    cfg.pop('test_dataloader')
    assert evaluation_datasets(cfg)['test']['subjects'] == ['1']


def test_augmented_clips_of_another_stream_are_an_error():
    cfg = Config.fromfile(ROOT / 'configs/benchmarks/linear/skel2vec_demo.py')
    for transform in cfg.train_pipeline:
        if 'feats' in transform:
            transform['feats'] = ['bm']
    with pytest.raises(ValueError) as error:
        evaluation_datasets(cfg)
    for word in ("[['bm']]", "[['j']]", 'train_pipeline', '--stream',
                 'skel2vec_demo.py'):
        assert word in str(error.value)
