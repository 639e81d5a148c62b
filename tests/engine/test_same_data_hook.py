# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Few labels on two ranks: the clips of one process, or an error."""
import os
import pickle
from types import SimpleNamespace

import numpy as np
import torch
import torch.multiprocessing as mp

from skel_ssl.datasets import SeededSampler, SkeletonDataset
from skel_ssl.engine.hooks import SameDataHook
from tests.tools.conftest import free_port

RANKS = 2
FEW = dict(ratio=.1, subset=1)


def write(path, sizes):
    """Clips of 2 frames, so many of each class."""
    annotations = [
        dict(
            frame_dir=f'c{label}_{i}',
            label=label,
            total_frames=2,
            keypoint=np.ones((1, 2, 25, 3), np.float32))
        for label, n in enumerate(sizes) for i in range(n)
    ]
    names = [x['frame_dir'] for x in annotations]
    path.write_bytes(
        pickle.dumps(dict(split=dict(train=names), annotations=annotations)))
    return str(path)


def few_labels(file):
    return SkeletonDataset(file, [], split='train', few_labels=FEW)


def names_seen(dataset):
    """What this rank trains on in one epoch."""
    sampler = SeededSampler(dataset, seed=0, round_up=False)
    return [dataset.get_data_info(i)['frame_dir'] for i in sampler]


def one_rank(rank, port, files, queue):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo', rank=rank, world_size=RANKS)
    # The generators of ranks differ, and must not matter.
    np.random.seed(rank)
    torch.manual_seed(rank)
    found = []
    for file in files[rank]:
        dataset = few_labels(file)
        loader = SimpleNamespace(dataset=dataset)
        try:
            SameDataHook().before_train(SimpleNamespace(
                train_dataloader=loader))
            error = ''
        except ValueError as raised:
            error = str(raised)
        found.append(
            (names_seen(dataset), dataset.metainfo['few_labels'], error))
    queue.put((rank, found))


def test_two_ranks_share_the_labels_of_one(tmp_path):
    file = write(tmp_path / 'a.pkl', (40, 25, 3))
    other = write(tmp_path / 'b.pkl', (40, 24, 3))
    one = few_labels(file)
    assert len(one) == 4 + 2 + 1
    queue = mp.get_context('spawn').Queue()
    context = mp.spawn(
        one_rank, (free_port(), [(file, file), (file, other)], queue),
        nprocs=RANKS,
        join=False)
    try:
        found = dict(queue.get(timeout=120) for _ in range(RANKS))
    finally:
        for process in context.processes:
            process.kill()
    (first, first_info, error), (_, _, differs) = found[0]
    (second, second_info, other_error), (_, _, also) = found[1]
    assert not set(first) & set(second)
    assert sorted(first + second) == sorted(names_seen(one))
    assert first_info == second_info == one.metainfo['few_labels']
    assert not error and not other_error
    assert 'rank 1 trains on other data than rank 0' in differs
    assert differs == also


def test_one_process_compares_nothing():
    SameDataHook().before_train(None)
