# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Data that are damaged after they have passed the checks."""
import os
from pathlib import Path

from skel_ssl.datasets.pickle_io import load_annotations
from skel_ssl.datasets.ragged_writer import write_store

from .lab import EPOCHS, IN_LAST_EPOCH, Lab, Outcome, require, saved

CLIP = 'clip07'
FILE = 'demo_3d.pkl'


def _spoil(lab: Lab, name: str, how: str, workers: int) -> Outcome:
    config = lab.config(
        name, f'''
train_dataloader.update(num_workers={workers})
_base_.train_dataloader.dataset.pipeline.insert(
    0, dict(type='SpoilClip', name={CLIP!r}, how={how!r}))
''')
    line = lab.train(config, lab.folder / name).one_line(
        f'{CLIP}.*{FILE}.*mend it')
    return Outcome('it stopped, and named clip and file', line)


def nan_clip(lab: Lab) -> Outcome:
    """A clip turns out to hold NaN, in a worker of the data loader."""
    return _spoil(lab, 'nan_clip', 'nan', 2)


def misshapen_clip(lab: Lab) -> Outcome:
    """A clip has the wrong shape, in the main process."""
    return _spoil(lab, 'misshapen_clip', 'shape', 0)


def _store(lab: Lab, name: str) -> Path:
    data = load_annotations(str(lab.folder / FILE))
    path = lab.folder / f'{name}.store'
    write_store(path, **data)
    return path


def cut_store(lab: Lab) -> Outcome:
    """A ragged store is not whole when a run begins."""
    path = _store(lab, 'cut')
    os.truncate(path / 'keypoint.npy', 4096)
    config = lab.config(
        'cut', 'train_dataloader.update('
        f'dataset=dict(ann_file={str(path)!r}))\n')
    line = lab.train(config, lab.folder / 'cut').one_line(
        'cut.store.* is not whole.*keypoint.npy.*4096')
    return Outcome('it did not begin, and named the file', line)


def cut_store_in_use(lab: Lab) -> Outcome:
    """A ragged store is cut short while workers read from it."""
    path = _store(lab, 'in_use')
    config = lab.config(
        'in_use', f'''
train_dataloader.update(
    num_workers=1, dataset=dict(ann_file={str(path)!r}))
custom_hooks += [
    dict(type='TruncateHook', at={IN_LAST_EPOCH - 1},
         path={str(path / 'keypoint.npy')!r})]
''')
    work_dir = lab.folder / 'in_use'
    line = lab.train(config, work_dir).one_line(
        'worker.*(cut short|is not whole|in_use)')
    require(saved(work_dir) >= EPOCHS - 2, 'a checkpoint is gone')
    lab.check_resume(work_dir)
    return Outcome('it stopped, and with whole data the run ended like one '
                   'without the fault', line)
