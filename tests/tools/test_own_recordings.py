# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The steps of data/README.md, word for word, from CSV to a linear probe."""
import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from skel_ssl.datasets import load_annotations
from tests.datasets.recording_files import write_csv
from tests.tools.conftest import ROOT

CLASSES = ('jump', 'sway', 'wave')
SUBJECTS = ('anna', 'ben', 'cem', 'dora')
# What makes the steps short: options added to them.
SHORT = dict(
    train='--cfg-options train_cfg.max_epochs=2 train_dataloader.num_workers=0'
    ' train_dataloader.persistent_workers=False train_dataloader.batch_size=8'
    ' model.backbone.embed_dims=16 model.backbone.depth=2'
    ' model.neck.in_dims=16 model.neck.embed_dims=16 model.target.top_k=2'
    ' model.head.in_dims=16 model.head.out_dims=16',
    evaluate='--seeds 1 --lrs .1 --epochs 30 --out result.json --cfg-options'
    ' train_dataloader.num_workers=0 train_dataloader.persistent_workers=False'
    ' model.backbone.embed_dims=16 model.backbone.depth=2'
    ' model.cls_head.in_channels=16')


def section():
    """The README's section: its files, and its commands."""
    text = (ROOT / 'data' / 'README.md').read_text()
    text = text.split('## Your own recordings\n')[1].split('\n## ')[0]
    files = dict(
        re.findall(r'`(my/\w+\.\w+)`:\n\n```\w+\n(.*?)```', text, re.S))
    shell = ''.join(re.findall(r'```shell\n(.*?)```', text, re.S))
    return files, shell.replace('\\\n', '').splitlines()


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
    """CSV files and their table, as the README says."""
    (folder / 'recordings').mkdir()
    rng = np.random.default_rng(0)
    rows = ['file,label,subject']
    for subject in SUBJECTS:
        for label in CLASSES:
            for take in range(3):
                name = f'{label}_{subject}_{take}.csv'
                write_csv(folder / 'recordings' / name, joints,
                          perform(label, rng))
                rows.append(f'{name},{label},{subject}')
    (folder / 'labels.csv').write_text('\n'.join(rows))


@pytest.fixture
def workplace(tmp_path):
    """What is in the root of the repository, without what is in its data."""
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / 'my').mkdir()
    return tmp_path


def test_from_csv_to_a_linear_probe(workplace):
    files, commands = section()
    assert sorted(files) == ['my/data.py', 'my/layout.json', 'my/pretrain.py',
                             'my/probe.py']
    for name, content in files.items():
        (workplace / name).write_text(content)
    joints = json.loads(files['my/layout.json'])['joints']
    assert len(joints) == 19
    record(workplace / 'my', joints)

    environment = dict(os.environ, OMP_NUM_THREADS='1',
                       CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    tools = []
    for command in commands:
        python, tool, *rest = shlex.split(command.replace('epoch_80',
                                                          'epoch_2'))
        tools.append(tool)
        assert python == 'python'
        name = re.fullmatch(r'tools/(?:data/)?(\w+)\.py', tool)[1]
        done = subprocess.run(
            [sys.executable, tool, *rest, *SHORT.get(name, '').split()],
            cwd=workplace, env=environment, capture_output=True, text=True,
            timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    assert tools == ['tools/data/convert.py', 'tools/data/check.py',
                     'tools/train.py', 'tools/evaluate.py']

    data = load_annotations(workplace / 'data/skeleton/my_3d.pkl')
    assert data['classes'] == list(CLASSES) and data['joints'] == joints
    assert [len(data['split'][name]) for name in ('train', 'val')] == [18, 18]
    assert {clip['subject'] for clip in data['annotations']
            if clip['frame_dir'] in data['split']['train']} == {'anna', 'cem'}
    assert {clip['keypoint'].shape[2:] for clip in data['annotations']
            } == {(19, 3)}
    assert (workplace / 'result.json').is_file()
    assert 'linear' in done.stdout
