# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What it costs to load a clip, from a pose pickle and from a ragged store.

Time: the CPU time per clip of four ways to the same samples, measured in turn
in one process with one thread; and per person of training batches,
made clip by clip and as person batches. Memory: how much the workers of a
DataLoader grow while they go through the whole data, each way in a process of
its own; Linux only.
"""
import argparse
import json
import multiprocessing
import os
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, Iterator, List

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from skel_ssl.datasets import (
    ClipDataset,
    PersonDataset,
    SeededIndex,
    SeededSampler,
    load_annotations,
    write_store,
)
from skel_ssl.datasets.pose_writer import write_pose_pickle
from skel_ssl.datasets.transforms import PosePreNormalize3D
from skel_ssl.models.data_preprocessors import PersonDataPreprocessor
from skel_ssl.registry import DATASETS
from skel_ssl.utils.cli import run
from skel_ssl.utils.environment import cpu_name

# as in ntu60_xsub
ALIGN: Dict[str, Any] = dict(align_spine=False, align_shoulder=False)
STOCK: List[Dict[str, Any]] = [
    dict(type='PreNormalize3D', **ALIGN),
    dict(type='GenSkeFeat', feats=['j']),
    dict(type='UniformSampleFrames', clip_len=90),
    dict(type='PoseDecode'),
    dict(type='FormatGCNInput', num_person=2),
    dict(type='PackActionInputs', meta_keys=('frame_dir', ))
]
OURS = [dict(type='PosePreNormalize3D', **ALIGN), *STOCK[1:]]
DROP_IN = [
    dict(t, type='PoseUniformSampleFrames')
    if t['type'] == 'UniformSampleFrames' else t for t in OURS
]
# way -> (data set, suffix of the file, pipeline)
WAYS = {
    'MMAction2, pickle': ('PoseDataset', '.pkl', STOCK),
    'SkeletonDataset, pickle': ('SkeletonDataset', '.pkl', OURS),
    'SkeletonDataset, store': ('SkeletonDataset', '.store', OURS),
    'store, PoseUniformSampleFrames': ('SkeletonDataset', '.store', DROP_IN)
}
# whose training batches are made, and by which data set
METHODS = {
    'Skeleton2vec': ('skel2vec_ntu60.py', PersonDataset),
    'MAMP': ('mamp_ntu60.py', PersonDataset),
    'MAMP, fine-tuning': ('benchmarks/finetune/mamp_ntu60.py', ClipDataset)
}
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
BATCH = 128
MEASURES = ('Rss', 'Pss', 'Private')
BLOCK = 50  # clips between two turns


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--pickle',
        type=Path,
        help='a pose pickle of 25 joints to measure on (default: made-up '
        'clips like those of NTU RGB+D)')
    parser.add_argument(
        '--split', default='all', help='which split of that pickle')
    parser.add_argument(
        '--clips',
        type=int,
        default=10000,
        help='number of made-up clips (default: %(default)s)')
    parser.add_argument(
        '--timed',
        type=int,
        default=2000,
        help='number of clips whose loading is timed (default: %(default)s)')
    parser.add_argument(
        '--workers',
        type=int,
        default=8,
        help='number of workers, 0: no memory (default: %(default)s)')
    parser.add_argument(
        '--tmp', type=Path, help='folder for the files, removed afterwards')
    parser.add_argument(
        '--json', type=Path, metavar='F', help='also write the numbers here')
    return parser.parse_args()


def made_up_clip(name: str) -> Dict[str, Any]:
    """20 to 300 frames, 88 on average; 60 % of the clips show one person."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    frames = int(np.clip(rng.gamma(8, 11), 20, 300))
    shape = (1 if rng.random() < .6 else 2, frames, 25, 3)
    steps = rng.normal(0, .01, shape)
    steps[:, 0] += rng.normal(0, .4, (shape[0], 25, 3))
    return dict(
        frame_dir=name,
        label=int(rng.integers(60)),
        total_frames=frames,
        keypoint=steps.cumsum(1).astype(np.float32))


def write_files(args: argparse.Namespace, folder: Path) -> Path:
    """Write the pickle and the store; returns their path, no suffix."""
    stem = folder / 'clips'
    path = stem.with_suffix('.pkl')
    if args.pickle is None:
        names = [f'clip{i:06}' for i in range(args.clips)]
        write_pose_pickle(path, map(made_up_clip, names),
                          {args.split: names})
    else:
        path.symlink_to(args.pickle.resolve())
    data = load_annotations(path)
    write_store(
        stem.with_suffix('.store'), data['annotations'], data['split'],
        [PosePreNormalize3D(**ALIGN)])
    return stem


def build(way: str, stem: Path, split: str) -> Any:
    init_default_scope('mmaction')
    kind, suffix, pipeline = WAYS[way]
    return DATASETS.build(
        dict(
            type=kind,
            ann_file=str(stem.with_suffix(suffix)),
            split=split,
            pipeline=pipeline))


def measure_time(stem: Path, split: str,
                 count: int) -> Dict[str, List[float]]:
    """CPU milliseconds per clip of each way, one number a block of clips."""
    torch.set_num_threads(1)
    datasets = {way: build(way, stem, split) for way in WAYS}
    total = len(next(iter(datasets.values())))
    order = np.random.default_rng(0).permutation(total)[:count]
    blocks = np.array_split(order, max(1, len(order) // BLOCK))
    spent: Dict[str, List[float]] = {way: [] for way in WAYS}
    for turn, block in enumerate([blocks[0], *blocks]):  # the first warms up
        samples = {}
        for way, dataset in datasets.items():
            np.random.seed(turn)
            start = time.process_time()
            samples[way] = [dataset[i]['inputs'] for i in block.tolist()]
            passed = time.process_time() - start
            if turn > 0:
                spent[way].append(1000 * passed / len(block))
        for way, inputs in samples.items():
            if not all(map(torch.equal, inputs, next(iter(samples.values())))):
                raise ValueError(f'{way!r} gives other samples')
    return spent


def epochs(dataset: Any) -> Iterator[SeededIndex]:
    """Indices without end, made as the data loader asks for them."""
    sampler = SeededSampler(dataset, seed=0)
    for epoch in count():
        sampler.set_epoch(epoch)
        yield from sampler


def measure_persons(stem: Path, split: str,
                    clips: int) -> Dict[str, List[float]]:
    """CPU milliseconds per person that is there, one number a batch.

    MMAction2's classes neither crop, rotate nor mask. Clip by clip, to pick
    the persons and to index the masks is not in the time; in person batches
    it is.
    """
    torch.set_num_threads(1)
    pick = PersonDataPreprocessor()
    ways = {'MMAction2, clip by clip': build(next(iter(WAYS)), stem, split)}
    for method, (config, batches) in METHODS.items():
        settings = Config.fromfile(CONFIGS / config).train_dataloader.dataset
        settings.update(ann_file=str(stem.with_suffix('.pkl')), split=split)
        ways[f'{method}, clip by clip'] = DATASETS.build(settings)
        ways[f'{method}, person batches'] = batches(settings)
    indices = {way: epochs(dataset) for way, dataset in ways.items()}
    spent: Dict[str, List[float]] = {way: [] for way in ways}
    for turn in range(1 + max(1, clips // BATCH)):  # the first warms up
        for way, dataset in ways.items():
            whole = hasattr(dataset, '__getitems__')
            start = time.process_time()
            chosen = list(islice(indices[way], BATCH))
            batch = dataset.__getitems__(chosen) if whole else (
                pseudo_collate([dataset[i] for i in chosen]))
            passed = time.process_time() - start
            if turn > 0:
                batch.setdefault('data_samples', None)
                persons = len(pick(batch)['inputs'])
                spent[way].append(1000 * passed / persons)
    return spent


def resident(pids: List[int]) -> Dict[str, float]:
    """Memory of some processes together, in MiB."""
    found = dict.fromkeys(MEASURES, 0.)
    for pid in pids:
        for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
            key = line.split(':')[0].split('_')[0]
            if key in MEASURES and not line.startswith('Private_Hugetlb'):
                found[key] += int(line.split()[1]) / 1024
    return found


def measure_memory(way: str, stem: Path, split: str,
                   workers: int) -> Dict[str, Any]:
    """Growth of the processes over two epochs, in MiB.

    ``workers`` is that of all workers from their first batches on, ``main``
    that of the process that opens the data set.
    """
    torch.set_num_threads(1)
    before = resident([os.getpid()])
    dataset = build(way, stem, split)
    opened = resident([os.getpid()])
    loader = DataLoader(
        dataset,
        batch_size=32,
        shuffle=True,
        num_workers=workers,
        collate_fn=pseudo_collate,
        multiprocessing_context='fork',
        persistent_workers=True)
    start = None
    for _ in range(2):
        for i, _ in enumerate(loader):
            if start is None and i >= workers:
                pids = [
                    p.pid or 0 for p in multiprocessing.active_children()]
                start = resident(pids)
    if start is None:
        raise ValueError(f'{len(dataset)} clips are too few for {workers} '
                         'workers')
    end = resident(pids)
    return dict(
        workers={k: end[k] - start[k] for k in MEASURES},
        main={k: opened[k] - before[k] for k in MEASURES})


def time_table(spent: Dict[str, List[float]], what: str,
               title: str) -> Table:
    table = Table('way', f'CPU ms per {what}', 'quartiles', 'times cheaper',
                  title=title)
    stock = np.asarray(next(iter(spent.values())))
    for way, values in spent.items():
        low, middle, high = np.percentile(values, [25, 50, 75])
        table.add_row(way, f'{middle:.3f}', f'{low:.3f} to {high:.3f}',
                      f'{np.median(stock / values):.1f}')
    return table


def memory_table(found: Dict[str, Any], size: float, workers: int) -> Table:
    table = Table(
        'way', *(f'{workers} workers, {k}' for k in MEASURES),
        'opening, Private', title=f'growth in MiB, and in % of {size:.0f} MiB')
    for way, numbers in found.items():
        cells = [*numbers['workers'].values(), numbers['main']['Private']]
        table.add_row(way, *(f'{x:.0f} ({x / size:.1%})' for x in cells))
    return table


def main() -> None:
    args, console = parse_args(), Console()
    with TemporaryDirectory(dir=args.tmp) as folder:
        stem = write_files(args, Path(folder))
        size = (stem.with_suffix('.store') /
                'keypoint.npy').stat().st_size / 2**20
        spent = measure_time(stem, args.split, args.timed)
        console.print(time_table(spent, 'clip', 'loading a clip'))
        persons = measure_persons(stem, args.split, args.timed)
        console.print(
            time_table(persons, 'person', f'batches of {BATCH}, one thread'))
        memory: Dict[str, Any] = {}
        for way in WAYS if args.workers else ():
            with ProcessPoolExecutor(
                    1, multiprocessing.get_context('spawn')) as pool:
                memory[way] = pool.submit(measure_memory, way, stem,
                                          args.split, args.workers).result()
        if memory:
            console.print(memory_table(memory, size, args.workers))
    load = ', '.join(f'{x:.1f}' for x in os.getloadavg())
    console.print(f'{cpu_name()}, {os.cpu_count()} cores, load {load}; '
                  f'NumPy {np.__version__}, torch {torch.__version__}')
    if args.json is not None:
        args.json.write_text(
            json.dumps(
                dict(
                    machine=cpu_name(),
                    cores=os.cpu_count(),
                    load=os.getloadavg(),
                    data_mib=size,
                    milliseconds=spent,
                    milliseconds_per_person=persons,
                    workers=args.workers,
                    memory_mib=memory),
                indent=1),
            encoding='utf-8')


if __name__ == '__main__':
    run(main)
