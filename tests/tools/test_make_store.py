# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The command that makes a ragged store, and a training that reads it."""
import pickle

import pytest
from mmengine.config import Config

from skel_ssl.datasets import RaggedStore, SkeletonDataset, load_annotations
from tests.tools.conftest import (
    NUM_TRAIN,
    NUM_VAL,
    PRETRAIN,
    ROOT,
    TINY_PRETRAIN,
    load_weights,
)
from tools.data import make_store

TOOL = 'tools/data/make_store.py'
WIDE = dict(COLUMNS='200')  # no line is folded


def load(name):
    return Config.fromfile(str(ROOT / 'configs' / name))


def settings(transforms):
    return [t.offline_settings() for t in transforms]


def test_training_on_a_store_is_that_on_the_pickle(run_tool, skel_data,
                                                   tmp_path):
    store = tmp_path / 'demo.store'
    done = run_tool(TOOL, skel_data / 'demo_3d.pkl', store, '--config',
                    PRETRAIN, **WIDE)
    assert f'wrote {store}' in done.stdout
    assert "'type': 'PosePreNormalize3D'" in done.stdout
    assert 'none: same samples, bit by bit' in done.stdout
    run_tool(TOOL, '--verify', store)
    weights = []
    for name, ann_file in (('pkl', skel_data / 'demo_3d.pkl'),
                           ('store', store)):
        run_tool('tools/train.py', PRETRAIN, '--work-dir', tmp_path / name,
                 '--seed', '3', '--cfg-options', *TINY_PRETRAIN,
                 'train_cfg.max_epochs=1', 'param_scheduler.warmup=1',
                 f'train_dataloader.dataset.ann_file={ann_file}')
        weights.append(load_weights(tmp_path / name / 'epoch_1.pth'))
    assert weights[0].keys() == weights[1].keys()
    for key, value in weights[0].items():
        assert value.equal(weights[1][key]), key


@pytest.fixture
def main(monkeypatch, capsys, skel_data):
    """The tool in this process: what it wrote."""
    monkeypatch.setenv('COLUMNS', '200')

    def main(*args):
        monkeypatch.setattr('sys.argv', ['make_store.py', *map(str, args)])
        make_store.main()
        return ' '.join(capsys.readouterr().out.split())

    main.pickle = skel_data / 'demo_3d.pkl'
    return main


def test_what_it_says(main, tmp_path):
    store = tmp_path / 'x.store'
    said = main(main.pickle, store, '--no-normalise', '--dtype', 'float16')
    assert f'clips │ {NUM_TRAIN + NUM_VAL} │' in said
    assert 'persons absent (all zero) │ 8 │' in said
    assert 'done to every clip │ nothing │' in said
    record = RaggedStore(store).record
    assert (f"to float16: not the same samples bit by bit, largest difference "
            f"{record['largest_rounding']:.3g}") in said
    assert record['source']['bytes'] == main.pickle.stat().st_size
    with pytest.raises(ValueError, match='--overwrite'):
        main(main.pickle, store, '--no-normalise')
    main(main.pickle, store, '--no-normalise', '--overwrite')
    assert RaggedStore(store).record['rounded_to'] is None
    assert 'every byte is as it was' in main('--verify', store)


def test_faulty_clips_are_named(main, tmp_path):
    data = load_annotations(main.pickle)
    for clip in data['annotations'][2:9]:
        clip['total_frames'] = 1
    path, store = tmp_path / 'x.pkl', tmp_path / 'x.store'
    path.write_bytes(pickle.dumps(data))
    said = main(path, store, '--no-normalise')
    assert '7 clip(s) cannot be used' in said and 'and 2 more' in said
    assert "clip02: 'total_frames' is 1" in said and 'clip07' not in said
    dataset = SkeletonDataset(str(store), [], invalid='drop')
    assert len(dataset) == NUM_TRAIN + NUM_VAL - 7


@pytest.mark.parametrize('arguments, said', [
    (['x.store', '--no-normalise'], 'give IN.pkl and OUT.store'),
    (['x.pkl', 'x.store', '--verify'], '--verify takes OUT.store alone'),
    (['x.pkl', 'x.store'], 'is required'),
    (['x.pkl', 'x.store', '--config', 'x.py', '--no-normalise'],
     'not allowed'),
])
def test_wrong_arguments(main, capsys, arguments, said):
    with pytest.raises(SystemExit):
        main(*arguments)
    assert said in capsys.readouterr().err


def test_no_pickle(run_tool, tmp_path):
    done = run_tool(TOOL, tmp_path / 'no.pkl', tmp_path / 'x.store',
                    '--no-normalise', code=1)
    assert 'there is no annotation file' in done.stderr
    assert 'Traceback' not in done.stderr
    assert not list(tmp_path.iterdir())


# --------------------------------------------------- what the configs do first


@pytest.mark.parametrize('name, aligned', [
    ('skel2vec_ntu60.py', False),
    ('mamp_ntu60_xview.py', False),
    ('_base_/datasets/ntu60_xview.py', True),
    ('_base_/datasets/ntu60_xsub_crop120.py', False),
    ('benchmarks/linear/skel2vec_ntu60.py', False),
])
def test_leading_transforms(name, aligned):
    if not (ROOT / 'configs' / name).exists():
        pytest.fail(f'configs/{name} is not there')
    leading, = make_store.leading_transforms(load(name))
    assert leading.offline_settings() == dict(
        type='PosePreNormalize3D',
        num_joints=25,
        centre=1,
        spine=[0, 1] if aligned else None,
        shoulders=[8, 4] if aligned else None)


def test_nothing_to_do_first():
    cfg = load('_base_/datasets/ntu60_2d_xsub.py')
    assert make_store.leading_transforms(cfg) == []
    with pytest.raises(ValueError, match='no dataloader with a pipeline'):
        make_store.leading_transforms(load('_base_/schedules/mamp_400e.py'))


def test_pipelines_must_begin_alike():
    cfg = load('_base_/datasets/ntu60_xsub.py')
    cfg.val_dataloader.dataset.pipeline[0].align_spine = True
    with pytest.raises(ValueError, match='train_dataloader begins.*val_data'):
        make_store.leading_transforms(cfg)
    inner = load('_base_/datasets/ntu60_xsub.py').train_dataloader.dataset
    cfg.val_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=inner)
    assert len(make_store.leading_transforms(cfg)) == 1
    cfg.val_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[inner, dict(inner, pipeline=[])])
    with pytest.raises(ValueError, match='val_dataloader with \\[\\]'):
        make_store.leading_transforms(cfg)
