# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""tools/analysis/run_benchmark.py: a real suite, from one end to the other."""
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from skel_ssl.benchmark.processes import lock
from tests.report.pages import check
from tests.tools.conftest import NUM_CLASSES, NUM_VAL, ROOT

TOOL = 'tools/analysis/run_benchmark.py'
ENCODER = {'model.backbone.embed_dims': 16, 'model.backbone.depth': 1}
LOADER = {
    'train_dataloader.batch_size': 4,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False
}
SUITE = f'''
title = 'Tiny'
seeds = (3, )
protocols = ('linear', 'knn')
readouts = ('mean', 'joint')
probe = dict(seeds=1, epochs=2, ks=(1, ), learning_rates=(.1, 1.))
datasets = dict(demo=dict(title='Demo', tests=dict(xsub='xsub_val')))
loader = {LOADER}
encoder = {ENCODER}
methods = dict(
    mae=dict(
        title='MAE',
        pretrain='configs/mae_{{data}}.py',
        frozen='configs/benchmarks/linear/mamp_{{data}}.py',
        options=dict(
            pretrain=dict(**encoder, **loader, **{{
                'model.neck.in_dims': 16,
                'model.neck.embed_dims': 16,
                'model.head.in_dims': 16,
                'train_cfg.max_epochs': 2,
                'default_hooks.checkpoint.interval': 1}}),
            frozen=dict(**encoder, **{{
                'train_dataloader.num_workers': 0,
                'model.cls_head.in_channels': 16}}))),
    gcn=dict(
        title='GCN',
        kind='ceiling',
        finetune='configs/benchmarks/supervised/stgcnpp_{{data}}.py',
        options=dict(finetune=dict(**loader, **{{
            'test_dataloader.num_workers': 0,
            'model.backbone.base_channels': 16,
            'model.cls_head.in_channels': 64,
            'model.cls_head.num_classes': {NUM_CLASSES},
            'train_cfg.max_epochs': 1}}))))
del loader, encoder
'''


@pytest.fixture(scope='module')
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp('suite') / 'tiny.py'
    path.write_text(SUITE)
    return path


@pytest.fixture(scope='module')
def first(run_tool, suite):
    """The first call, two cells at a time."""
    return run_tool(TOOL, suite, '--work-dir', suite.parent / 'work',
                    '--jobs', 2, COLUMNS='200')


def records(suite):
    found = sorted(suite.parent.glob('work/results/demo/*.json'))
    return {path.stem: path.read_text() for path in found}


def test_it_runs(first, suite):
    for text in ('mae/demo/3: pretrain is done', 'Demo, xsub', 'MAE',
                 'GCN (ceiling)', 'chance', f'{NUM_VAL} test clips',
                 'table.html'):
        assert text in first.stdout, text
    mae, gcn = (json.loads(records(suite)[name])
                for name in ('mae_s3', 'gcn_s3'))
    assert mae['state'] == gcn['state'] == 'reproduced'
    assert list(mae['stages']) == ['cost', 'pretrain', 'frozen']
    for stage, part in (('pretrain', 'train'), ('frozen', 'evaluate')):
        spent = mae['stages'][stage]['seconds'][part]
        assert spent['cpu'] > 0 and spent['wall'] > 0
    # Batches of four of the 16 clips.
    assert mae['stages']['pretrain']['steps'] == 2 * 4
    assert gcn['stages']['finetune']['steps'] == 4
    (top1, _) = gcn['stages']['finetune']['figures']
    assert top1['num_clips'] == NUM_VAL
    assert top1['values'][0] * NUM_VAL == pytest.approx(
        round(top1['values'][0] * NUM_VAL))
    figures = mae['stages']['frozen']['figures']
    assert {(f['readout'], f['metric']) for f in figures} >= {
        ('mean', 'linear'), ('joint', 'linear'), ('mean', 'knn_k1')}
    work = suite.parent / 'work'
    assert not list(work.rglob('features'))
    check((work / 'table.html').read_text())
    assert '| MAE |' in (work / 'table.md').read_text()


def test_a_second_call_does_nothing(first, suite, run_tool):
    before = records(suite)
    done = run_tool(TOOL, suite, '--work-dir', suite.parent / 'work')
    assert 'is done' not in done.stdout
    assert records(suite) == before


def test_dry_run_and_table(first, suite, run_tool):
    work = suite.parent / 'work'
    done = run_tool(TOOL, suite, '--work-dir', work, '--dry-run', '--only',
                    'mae')
    assert done.stdout.splitlines()[-1] == (
        'mae/demo/3: cost done, pretrain done, frozen done')
    done = run_tool(TOOL, suite, '--work-dir', work, '--dry-run', '--stages',
                    'f*', 'cost')
    assert done.stdout.splitlines()[-2:] == [
        'mae/demo/3: cost done, frozen done',
        'gcn/demo/3: cost done, finetune done']
    for name in ('table.md', 'table.html'):
        (work / name).unlink()
    # The tables need no data.
    done = run_tool(TOOL, suite, '--work-dir', work, '--table',
                    SKEL_DATA='/nowhere')
    assert '| MAE |' in (work / 'table.md').read_text()


def test_faults(suite, run_tool, tmp_path):
    done = run_tool(TOOL, suite, '--table', '--work-dir', tmp_path, code=1)
    assert 'there is nothing in' in done.stderr
    done = run_tool(TOOL, suite, '--work-dir', tmp_path, code=1,
                    SKEL_DATA='/nowhere')
    assert 'cannot run; nothing has been started' in done.stderr
    assert 'there is no data file' in done.stderr
    assert 'Traceback' not in done.stderr
    assert not list(tmp_path.iterdir())
    done = run_tool(TOOL, suite, '--table', '--stages', 'frozen', code=2)
    assert 'leave --only and --stages out' in done.stderr


def test_it_can_be_ended_in_the_background(suite, skel_data, tmp_path):
    """A shell lets a job in the background ignore SIGINT; SIGTERM, which
    schedulers send, has to end it, with its children, all the same."""
    work_dir = tmp_path / 'work'
    with open(tmp_path / 'output', 'w') as output:
        process = subprocess.Popen(
            [sys.executable, TOOL, str(suite), '--only', 'mae', '--work-dir',
             str(work_dir)],
            cwd=ROOT,
            env={**os.environ, 'SKEL_DATA': str(skel_data),
                 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_IGN))
    try:
        until = time.monotonic() + 240
        while not list(work_dir.glob('runs/*/*/pretrain_*/output.log')):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(.1)
        process.terminate()
        assert process.wait(60) == 130, (tmp_path / 'output').read_text()
    finally:
        process.kill()
    assert 'what is done stays done' in (tmp_path / 'output').read_text()
    lock_of_cell, = work_dir.glob('**/*.lock')
    with lock(lock_of_cell):  # no child holds it
        pass
