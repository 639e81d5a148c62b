# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the end-to-end tests share: tiny data, a tiny model, the tools."""
import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, Iterable, List

import numpy as np
import pytest
from torch import Tensor

from skel_ssl.utils.checkpoint_loading import load_from_local

ROOT = Path(__file__).resolve().parents[2]
PRETRAIN = 'configs/skel2vec_demo.py'
NUM_CLASSES = 3
NUM_TRAIN, NUM_VAL = 16, 8

# The demo's encoder, shrunk; the same numbers for pre-training and probes.
TINY_ENCODER = ('model.backbone.embed_dims=16', 'model.backbone.depth=2')
TINY_LOADER = ('train_dataloader.batch_size=4',
               'train_dataloader.num_workers=0',
               'train_dataloader.persistent_workers=False')
# Every iteration on its own in the log.
FULL_LOG = ('default_hooks.logger.interval=1', 'log_processor.window_size=1')
TINY_PRETRAIN = (*TINY_ENCODER, *TINY_LOADER, *FULL_LOG,
                 'model.neck.in_dims=16', 'model.neck.embed_dims=16',
                 'model.target.top_k=2', 'model.head.in_dims=16',
                 'model.head.out_dims=16',
                 'default_hooks.checkpoint.interval=1',
                 'default_hooks.checkpoint.max_keep_ckpts=-1')
TINY_PROBE = (*TINY_ENCODER, *TINY_LOADER, *FULL_LOG,
              'val_dataloader.num_workers=0', 'model.cls_head.in_channels=16',
              f'model.cls_head.num_classes={NUM_CLASSES}',
              'train_cfg.max_epochs=2', 'train_cfg.val_interval=2')
TINY_KNN = (*TINY_ENCODER, 'test_dataloader.num_workers=0',
            'test_evaluator.ks=[1,5]')

RunTool = Callable[..., subprocess.CompletedProcess]


def random_walk(rng: np.random.Generator, persons: int,
                frames: int) -> np.ndarray:
    """Persons whose joints wander off a random pose, ``(M, T, 25, 3)``."""
    steps = rng.normal(0, .02, (persons, frames, 25, 3))
    steps[:, 0] += rng.normal(0, .5, (persons, 25, 3))
    return steps.cumsum(1).astype(np.float32)


def write_clips(path: Path, clips: Iterable[np.ndarray]) -> None:
    """The first 16 clips train, the others validate; classes in turn."""
    names, annotations = [], []
    for i, keypoint in enumerate(clips):
        names.append(f'clip{i:02}')
        annotations.append(
            dict(
                frame_dir=names[-1],
                label=i % NUM_CLASSES,
                total_frames=keypoint.shape[1],
                keypoint=keypoint))
    split = dict(xsub_train=names[:NUM_TRAIN], xsub_val=names[NUM_TRAIN:])
    path.write_bytes(pickle.dumps(dict(split=split, annotations=annotations)))


@pytest.fixture(scope='session')
def skel_data(tmp_path_factory) -> Path:
    """A folder with ``demo_3d.pkl``; every third clip has an empty slot."""
    rng = np.random.default_rng(0)
    clips = []
    for i in range(NUM_TRAIN + NUM_VAL):
        clip = random_walk(rng, 1 if i % 3 == 0 else 2, rng.integers(20, 51))
        if i % 3 == 1:
            clip[1] = 0
        clips.append(clip)
    folder = tmp_path_factory.mktemp('data')
    write_clips(folder / 'demo_3d.pkl', clips)
    return folder


@pytest.fixture(scope='session')
def run_tool(skel_data) -> RunTool:
    """Run a program from the root of the repository, as a user does."""

    def run_tool(*args, code: int = 0,
                 **env: str) -> subprocess.CompletedProcess:
        """Run; ``args`` follow ``python``, ``code`` is the exit status."""
        command = [str(arg) for arg in args]
        if not command[0].endswith('.sh'):
            command.insert(0, sys.executable)
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={
                **os.environ, 'SKEL_DATA': str(skel_data),
                'PYTHON': sys.executable,
                'CUDA_VISIBLE_DEVICES': '',
                'OMP_NUM_THREADS': '1',
                **env
            },
            capture_output=True,
            text=True,
            timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run_tool


@pytest.fixture(scope='session')
def pretrained(run_tool, tmp_path_factory) -> Path:
    """A pre-training checkpoint whose teacher lags behind its student."""
    work_dir = tmp_path_factory.mktemp('pretrained')
    run_tool('tools/train.py', PRETRAIN, '--work-dir', work_dir,
             '--cfg-options', *TINY_PRETRAIN, 'train_cfg.max_epochs=2',
             'param_scheduler.warmup=1')
    return work_dir / 'epoch_2.pth'


def free_port() -> int:
    """A port for the processes of a distributed run to meet at."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def load_weights(checkpoint: Path) -> Dict[str, Tensor]:
    """The state dict of a checkpoint."""
    return load_from_local(str(checkpoint))['state_dict']


def under(prefix: str, weights: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """The weights whose names begin with a prefix, without it."""
    return {
        name[len(prefix):]: value
        for name, value in weights.items() if name.startswith(prefix)
    }


def read_log(work_dir: Path) -> List[dict]:
    """What the latest run in a work dir logged, in order."""
    log = max(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in log.read_text().splitlines()]


def training_log(work_dir: Path) -> Dict[int, dict]:
    """What the latest run logged of each training iteration, by iteration."""
    return {r['iter']: r for r in read_log(work_dir) if 'loss' in r}
