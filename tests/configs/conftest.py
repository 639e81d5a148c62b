# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the tests of configs share: small data of every kind."""
import pickle
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.datasets.coco_clips import coco_clip

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'



def both(*protocols):
    return [f'{p}_{part}' for p in protocols for part in ('train', 'val')]


# The files that data/README.md describes: joints, persons, splits, classes.
DATA = {
    'demo_3d.pkl': (25, 2, both('xsub', 'xview'), 17),
    'ntu60_3d.pkl': (25, 2, both('xsub', 'xview'), 60),
    'ntu120_3d.pkl': (25, 2, both('xsub', 'xset'), 120),
    'pkummd1_3d.pkl': (25, 2, both('xsub'), 51),
    'pkummd2_3d.pkl': (25, 2, both('xsub'), 51),
    'nwucla_3d.pkl':
    (20, 1, both('xview_clean', 'xview1_clean', 'xview'), 10),
    'utdmhad_3d.pkl': (20, 1, both('xsub'), 27),
    'ntu60_2d.pkl': (17, 2, both('xsub', 'xview'), 60),
    'ntu120_2d.pkl': (17, 2, both('xsub', 'xset'), 120),
    'gym_2d.pkl': (17, 1, ['train', 'val'], 99),
    'diving48_2d.pkl': (17, 1, ['train', 'test'], 48),
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """A small file of each kind: two clips to train and two to test."""
    folder = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    for file, (joints, persons, splits, classes) in DATA.items():
        annotations, split = [], {}
        for name in splits:
            split[name] = [f'{name}_{i}' for i in range(2)]
            for i, clip in enumerate(split[name]):
                # The first clip has as many persons as there may be.
                shape = (1 if i else persons, 40 + 60 * i, joints, 3)
                label = (classes - 1) * i
                if '_2d' in file:
                    annotations.append(
                        coco_clip(
                            clip,
                            label=label,
                            persons=shape[0],
                            frames=shape[1]))
                    continue
                annotations.append(
                    dict(
                        frame_dir=clip,
                        label=label,
                        total_frames=shape[1],
                        keypoint=rng.normal(size=shape).astype(np.float32)))
        content = pickle.dumps(dict(split=split, annotations=annotations))
        (folder / file).write_bytes(content)
    return folder


@pytest.fixture
def load(data, monkeypatch):
    """Reads a config as on a machine that has all the data."""
    monkeypatch.setenv('SKEL_DATA', str(data))
    init_default_scope('mmaction')
    return lambda name: Config.fromfile(CONFIGS / name)
