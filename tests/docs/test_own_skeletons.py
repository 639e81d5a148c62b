# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The tutorial of own skeletons, word for word, from CSV to predictions."""
import json
import re

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from skel_ssl.datasets import load_annotations
from tests.datasets.recording_files import write_csv
from tests.docs.conftest import (
    SHORT_LOADER,
    run_steps,
    steps_of,
    write_files,
)
from tests.docs.markdown import read

CLASSES = ('jump', 'sway', 'wave')
SUBJECTS = ('anna', 'ben', 'cem', 'dora')
# What makes the steps short: options added to them.
OPTIONS = {
    'tools/train.py my/pretrain.py':
    f'--cfg-options train_cfg.max_epochs=2 {SHORT_LOADER}',
    'tools/train.py my/probe.py':
    f'--cfg-options train_cfg.max_epochs=10 train_cfg.val_interval=10 '
    f'param_scheduler.total=10 {SHORT_LOADER}',
    'tools/evaluate.py': '--seeds 1 --lrs .1 --epochs 30 --out result.json',
    'tools/visualization/vis_masks.py': '--num 1 --num-poses 2',
    'tools/visualization/vis_attention.py': '--num 1 --num-poses 2',
}


def perform(label, rng):
    """Somebody of 19 joints who does one of three things, (1, T, 19, 3)."""
    pose = np.stack([
        rng.normal(0, .02, 19),
        [0, .3, .5, .6, .8, .5, .3, .1, .5, .3, .1, 0, -.4, -.8, -.85, 0, -.4,
         -.8, -.85],
        rng.normal(3, .02, 19)], -1)
    pose[[5, 6, 7, 11, 12, 13, 14], 0] -= .2
    pose[[8, 9, 10, 15, 16, 17, 18], 0] += .2
    time = np.arange(rng.integers(30, 50))
    swing = np.sin(time / rng.uniform(2, 3))[:, None]
    clip = np.repeat(pose[None], len(time), 0)
    if label == 'jump':
        clip[..., 1] += .2 * np.abs(swing)
    elif label == 'sway':
        clip[:, :11, 0] += .3 * swing
    else:
        clip[:, 8:11, 1] += .5 * (1 + swing) * [.2, 1, 2]
    return clip[None] + rng.normal(0, .005, (len(time), 19, 3)).cumsum(0)


def record(folder, joints):
    """CSV and JSON files and their table, as the tutorial says."""
    (folder / 'recordings').mkdir()
    rng = np.random.default_rng(0)
    rows = ['file,label,subject']
    for subject in SUBJECTS:
        for label in CLASSES:
            for take in range(3):
                name = f'{label}_{subject}_{take}.' + ('csv', 'json')[take % 2]
                path = folder / 'recordings' / name
                clip = perform(label, rng)
                if path.suffix == '.csv':
                    write_csv(path, joints, clip)
                else:
                    path.write_text(json.dumps(dict(frames=clip[0].tolist())))
                rows.append(f'{name},{label},{subject}')
    (folder / 'labels.csv').write_text('\n'.join(rows))
    write_csv(folder / 'new.csv', joints, perform('jump', rng))


@pytest.fixture
def tutorial(workplace):
    """All of it, done; the folder and what it printed."""
    text = read('docs/own_skeletons.md')
    files = write_files(text, workplace)
    assert sorted(files) == ['my/data.py', 'my/layout.json', 'my/pretrain.py',
                             'my/probe.py']
    joints = json.loads(files['my/layout.json'])['joints']
    assert len(joints) == 19
    record(workplace / 'my', joints)
    # The checkpoints that it names are the last ones of its configs.
    for name in ('pretrain', 'probe'):
        last = Config.fromfile(
            workplace / f'my/{name}.py').train_cfg.max_epochs
        named = re.findall(rf'work_dirs/{name}/epoch_(\d+)', text)
        assert set(named) == {str(last)}, name
    steps = steps_of(text, lambda code: code.replace(
        'pretrain/epoch_100', 'pretrain/epoch_2').replace(
            'probe/epoch_100', 'probe/epoch_10'), OPTIONS)
    assert len(steps) == 10
    return workplace, run_steps(steps, workplace)


def test_from_recordings_to_predictions(tutorial):
    folder, printed = tutorial
    data = load_annotations(folder / 'data/skeleton/my_3d.pkl')
    assert data['classes'] == list(CLASSES) and len(data['joints']) == 19
    assert [len(data['split'][name]) for name in ('train', 'val')] == [18, 18]
    assert {clip['subject'] for clip in data['annotations']
            if clip['frame_dir'] in data['split']['train']} == {'anna', 'cem'}
    assert {clip['keypoint'].shape[2:] for clip in data['annotations']
            } == {(19, 3)}

    assert (folder / 'result.json').is_file()
    path = folder / 'my/predictions/predictions.json'
    found = json.loads(path.read_text())
    [result] = found['predictions']
    assert found['classes'] == list(CLASSES) and result['name'] == 'new'
    assert result['pred_name'] in CLASSES
    assert f"{result['pred_name']} {result['pred_score']}" in printed
    assert '(36, 64)' in printed

    pictures = [*folder.glob('my/pictures/*.png'),
                *folder.glob('my/predictions/*.png')]
    assert len(pictures) == 4  # masks, attention, embedding, prediction
    for path in pictures:
        assert np.ptp(np.asarray(Image.open(path).convert('L'))) > 100
