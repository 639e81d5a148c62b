# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""2D clips of every kind go through the FineGym configs."""
import pytest

from skel_ssl.apis import pretrained_init_cfg
from tests.configs.test_run import make_runner, train
from tests.datasets.coco_clips import write_coco_clips

KINDS = {
    'as detected': ('normal', 'normal'),
    'a missing person': ('absent', 'normal'),
    'zero scores': ('unseen', 'normal'),
    'no scores': ('scoreless', 'scoreless'),
}


@pytest.fixture
def configs(tmp_path, load, monkeypatch):
    """Reads the two configs, with clips of the given kinds and sizes."""

    def read(variants, persons):
        write_coco_clips(
            tmp_path / 'gym_2d.pkl', ('train', 'val'),
            variants,
            persons=persons)
        monkeypatch.setenv('SKEL_DATA', str(tmp_path))
        found = [
            load(name) for name in ('skeletonmae_gym.py',
                                    'benchmarks/finetune/skeletonmae_gym.py')
        ]
        for cfg in found:
            for part in ('train', 'val', 'test'):
                if cfg[f'{part}_dataloader'] is not None:
                    pipeline = cfg[f'{part}_dataloader'].dataset.pipeline
                    by_type = {t.type: t for t in pipeline}
                    by_type['FormatGCNInput'].num_person = persons
        return found

    return read


@pytest.mark.parametrize('persons', [1, 2])
@pytest.mark.parametrize('kind', KINDS)
def test_pretrain_and_finetune(kind, persons, configs, tmp_path):
    pretrain, finetune = configs(KINDS[kind], persons)
    runner, _ = train(pretrain, tmp_path / 'pretrained')
    weights = runner.model.backbone.state_dict()
    checkpoint = tmp_path / 'pretrained' / 'epoch_1.pth'
    runner.save_checkpoint(str(checkpoint.parent), checkpoint.name)

    # The same shrunk encoder; its weights start every block.
    settings = dict(hidden_dims=32, depth=1)
    finetune.model.backbone.embed_dims = 32
    finetune.model.backbone.encoder.update(settings)
    finetune.model.backbone.widths = (32, 32, 32)
    finetune.model.cls_head.in_channels = 32
    finetune.model.backbone.init_cfg = pretrained_init_cfg(
        finetune.model.backbone, str(checkpoint))
    tuner = make_runner(finetune, tmp_path / 'finetuned')
    tuner.model.init_weights()
    for block in tuner.model.backbone.blocks:
        inside = block.encoders[0].layers[0].fc1.weight
        assert inside.equal(weights['layers.0.fc1.weight'])
    runner, spy = train(finetune, tmp_path / 'finetuned')
    assert 'cls_head.fc.weight' in spy.moved
    found = runner.test()  # ten clips
    assert 0 <= found['acc/mean1'] <= 1


def test_scores_that_mean_nothing(configs, tmp_path):
    pretrain, _ = configs(('unseen', 'unseen'), 1)
    with pytest.raises(ValueError, match="delete 'keypoint_score'"):
        train(pretrain, tmp_path)
