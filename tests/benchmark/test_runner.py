# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A cell: what it runs, what it keeps, and what it does not run again."""
import json
import os
from pathlib import Path

import pytest

from skel_ssl.benchmark.processes import InUse, Stopped, lock
from skel_ssl.benchmark.stages import select_stages
from tests.benchmark.suites import LINEAR, content, write_data

ALL = ['train', 'frozen', 'train', 'test']


def methods(**mae):
    made = content()['methods']
    made['mae'].update(mae)
    return dict(methods=made)


def test_the_stages_of_a_method(bench):
    assert bench.run() == ALL
    assert bench.done and bench.record['state'] == 'reproduced'
    train, frozen, finetune, test = bench.commands
    stages = bench.record['stages']
    folder = bench.work_dir / stages['pretrain']['folder']
    assert train[1:] == [
        'tools/train.py', 'configs/mae_demo.py', '--seed', '0', '--work-dir',
        str(folder), '--resume', '--person-batches', 'device',
        '--cfg-options', 'train_cfg.max_epochs=3'
    ]
    checkpoint = str(folder / 'epoch_3.pth')
    assert finetune[1:3] == [
        'tools/train.py', 'configs/benchmarks/supervised/stgcnpp_demo.py']
    assert finetune[-3:] == ['--no-validate', '--pretrained', checkpoint]
    assert test[-2:] == ['--cfg-options',
                         'test_dataloader.dataset.split=[xsub_val]']
    request = json.loads(Path(frozen[-2]).read_text())
    assert request['checkpoint'] == checkpoint
    assert (request['encoder'], request['seed']) == ('pretrained', 0)
    assert request['tests'] == dict(xsub=['xsub_val'])
    # Three of four clips are right; the classes are 1, 1/2 and 1.
    assert [(f['metric'], f['values'], f['num_clips'])
            for f in stages['finetune']['figures']] == [
                ('finetune', [.75], 4),
                ('finetune_mean_class', [pytest.approx(5 / 6)], 4)]


def test_what_the_record_says(bench):
    bench.run()
    stages = bench.record['stages']
    assert list(stages) == ['cost', 'pretrain', 'frozen', 'finetune']
    for name in ('pretrain', 'frozen', 'finetune'):
        for key in ('key', 'config_sha256', 'data_sha256', 'environment',
                    'commands', 'seconds', 'device'):
            assert stages[name][key], (name, key)
    assert stages['pretrain']['steps'] == 21
    assert stages['pretrain']['seconds'] == dict(
        train=dict(wall=2., cpu=3., pieces=1))
    split = stages['frozen']['tests']['xsub']
    assert split['splits'] == ['xsub_val'] and split['num_clips'] == 8
    assert len(split['sha256']) == 64
    assert stages['cost']['parameters'] == dict(encoder=1)
    assert bench.record['seed'] == 0 and bench.record['kind'] == 'method'


def test_floors_and_ceilings(bench):
    assert bench.run(('raw', 'demo', None)) == ['frozen']
    request = json.loads(Path(bench.commands[0][-2]).read_text())
    assert (request['encoder'], request['seed']) == ('raw', None)
    assert bench.run(('random', 'demo', 1)) == ['frozen']
    request = json.loads(Path(bench.commands[0][-2]).read_text())
    assert (request['encoder'], request['seed']) == ('random', 1)
    assert bench.run(('gcn', 'demo', 1)) == ['train', 'test']
    assert '--pretrained' not in bench.commands[0]
    # What it costs is counted with the first seed.
    assert list(bench.record['stages']) == ['finetune']


def test_what_is_done_is_not_done_again(bench):
    bench.run()
    before = bench.record
    assert bench.run() == []
    assert bench.done and bench.record == before


def test_some_of_the_stages(bench):
    assert bench.run(only={'finetune'}) == [] and not bench.done
    assert bench.said == ['mae/demo/0: finetune cannot run: pretrain, with '
                          'whose weights it begins, is not done, or they are '
                          'gone']
    assert bench.run(only={'pretrain', 'finetune'}) == [
        'train', 'train', 'test']
    assert bench.done and bench.record['state'] == 'incomplete'
    assert list(bench.record['stages']) == ['pretrain', 'finetune']
    # Nothing begins with weights of other settings.
    other = methods(options=dict(pretrain={'train_cfg.max_epochs': 3,
                                           'optim_wrapper.optimizer.lr': .1}))
    before = bench.record['stages']
    assert bench.run(only={'frozen'}, changes=other) == []
    assert 'frozen cannot run' in bench.said[-1] and not bench.done
    assert bench.run(only={'frozen'}) == ['frozen'] and bench.done
    assert bench.run() == []
    stages = bench.record['stages']
    assert bench.record['state'] == 'reproduced'
    assert {name: stages[name] for name in before} == before


def test_patterns_of_stages(bench):
    bench.run()
    stages = bench.stages
    assert select_stages(stages, []) is None
    assert select_stages(stages, ['f*', 'pretrain']) == {
        'frozen', 'finetune', 'pretrain'}
    with pytest.raises(ValueError, match=r'--stages transfer_\*: no stage of '
                       'these cells.*cost, pretrain, frozen, finetune$'):
        select_stages(stages, ['cost', 'transfer_*'])


def test_another_seed_is_another_cell(bench):
    bench.run()
    assert bench.run(('mae', 'demo', 1)) == ALL


@pytest.mark.parametrize('changes, again', [
    (methods(options=dict(pretrain={'train_cfg.max_epochs': 3,
                                    'optim_wrapper.optimizer.lr': .1})), ALL),
    (dict(train_options=[]), ALL),
    (dict(probe=dict(ks=[1], seeds=3)), ['frozen']),
    (dict(readouts=['mean']), ['frozen']),
    (methods(frozen='configs/benchmarks/linear/hacm_{data}.py'), ['frozen']),
    (dict(datasets=dict(demo=dict(tests=dict(xsub='xsub_train')))),
     ['frozen', 'train', 'test']),
    (methods(options=dict(pretrain={'train_cfg.max_epochs': 3}, finetune={
        'train_cfg.val_interval': 2})), ['train', 'test']),
    (methods(title='another name'), [])
])
def test_what_changed_is_done_again(bench, changes, again):
    bench.run()
    bench.said.clear()
    assert bench.run(changes=changes) == again
    assert bench.done
    if again:
        first = again[0]
        stage = ('frozen' if first == 'frozen' else
                 'pretrain' if again == ALL else 'finetune')
        assert any(line.startswith(f'mae/demo/0: {stage} runs again')
                   for line in bench.said)
    assert bench.run(changes=changes) == []


def test_another_way_to_train_is_a_change_without_pretraining(bench):
    cell = 'gcn', 'demo', 0
    bench.run(cell)
    train = bench.commands[0]
    place = train.index('--person-batches')
    assert train[place + 1] == 'device'
    assert bench.run(cell, changes=dict(train_options=[])) == [
        'train', 'test']
    assert '--person-batches' not in bench.commands[0]


def test_other_data_are_a_change(bench, tmp_path):
    bench.run()
    write_data(tmp_path, shift=1.)
    assert bench.run() == ALL


def test_test_clips_of_another_file(bench, tmp_path):
    """It is a part of the key; a file that is the same for both is not."""
    bench.run()
    for stage in bench.stages:
        assert 'test_data_sha256' not in stage.depends
    (tmp_path / 'test').mkdir()
    write_data(tmp_path / 'test')
    path = str(tmp_path / 'test' / 'demo_3d.pkl')
    changes = methods(options=dict(
        pretrain={'train_cfg.max_epochs': 3},
        frozen={'test_dataloader.dataset.ann_file': path},
        finetune={'test_dataloader.dataset.ann_file': path}))
    again = ['frozen', 'train', 'test']
    assert bench.run(changes=changes) == again
    assert bench.run(changes=changes) == []
    write_data(tmp_path / 'test', shift=1.)
    assert bench.run(changes=changes) == again


def test_the_place_of_the_data_is_none(bench, tmp_path, monkeypatch):
    bench.run()
    (tmp_path / 'moved').mkdir()
    (tmp_path / 'demo_3d.pkl').rename(tmp_path / 'moved' / 'demo_3d.pkl')
    monkeypatch.setenv('SKEL_DATA', str(tmp_path / 'moved'))
    assert bench.run() == []


def test_a_training_is_ended_and_continues(bench):
    with pytest.raises(Stopped):
        bench.run(stop='train')
    assert list(bench.record['stages']) == ['cost']
    assert bench.run() == ALL
    # In the same folder, and what the first part cost is added.
    assert bench.record['stages']['pretrain']['seconds'] == dict(
        train=dict(wall=4., cpu=6., pieces=2))


def test_what_was_done_before_the_end_stays(bench):
    with pytest.raises(Stopped):
        bench.run(stop='frozen')
    assert list(bench.record['stages']) == ['cost', 'pretrain']
    assert bench.record['state'] == 'incomplete'
    assert bench.run() == ALL[1:]


def test_a_failure_stops_what_needs_it(bench):
    assert bench.run(fail='train') == ['train']
    assert not bench.done and bench.record['state'] == 'incomplete'
    found = bench.record['stages']['pretrain']
    assert found['state'] == 'failed' and 'it broke' in found['error']
    assert bench.said[-1].startswith(
        'mae/demo/0: pretrain failed: it broke\n')
    assert bench.run() == ALL


def test_a_failure_does_not_stop_the_others(bench):
    assert bench.run(fail='frozen') == ALL
    assert not bench.done
    assert bench.record['stages']['finetune']['state'] == 'done'
    assert bench.run() == ['frozen']


def test_a_training_that_ends_early_is_a_failure(bench):
    assert bench.run(epochs=2) == ['train']
    error = bench.record['stages']['pretrain']['error']
    assert 'of epoch 2, not of the last, 3' in error


def test_weights_that_are_gone(bench):
    bench.run()
    path = bench.record['stages']['pretrain']['checkpoint']['path']
    (bench.work_dir / path).unlink()
    # Nobody needs them any more.
    assert bench.run() == []
    # What may not run again is not forgotten.
    before = bench.record['stages']
    assert bench.run(changes=dict(readouts=['mean']), only={'frozen'}) == []
    assert 'they are gone' in bench.said[-1] and not bench.done
    assert bench.record['stages'] == before
    assert bench.run(changes=dict(readouts=['mean']))[0] == 'train'
    assert any('is gone or another' in line for line in bench.said)


def test_weights_that_are_others(bench):
    bench.run()
    found = bench.record['stages']['pretrain']['checkpoint']
    (bench.work_dir / found['path']).write_bytes(b'other')
    assert bench.run(changes=dict(readouts=['mean']))[0] == 'train'


def test_commands_name_paths_as_the_user_does(bench):
    """Whatever ``last_checkpoint`` says."""
    bench.work_dir = Path(os.path.relpath(bench.work_dir))
    bench.run()
    commands = [command for stage in bench.record['stages'].values()
                for command in stage['commands']]
    assert len(commands) == len(ALL)
    assert not [command for command in commands if ' /' in command]


def test_the_whole_folder_may_be_moved(bench):
    bench.run()
    moved = bench.work_dir.with_name('moved')
    bench.work_dir = bench.work_dir.rename(moved)
    assert bench.run(changes=dict(readouts=['mean'])) == ['frozen']
    request = json.loads(Path(bench.commands[0][-2]).read_text())
    assert request['checkpoint'].startswith(str(moved))
    assert Path(request['checkpoint']).is_file()


def test_one_process_a_cell(bench, tmp_path):
    folder = bench.work_dir / 'runs/demo/mae_s0'
    folder.mkdir(parents=True)
    with lock(folder / '.lock'):
        with pytest.raises(InUse, match='another process'):
            bench.run()
        assert bench.run(('raw', 'demo', None)) == ['frozen']


def test_transfer(bench, tmp_path):
    """To a data set of the same body; here it is the same data."""
    other = dict(title='Other', tests=dict(t='xsub_train'))
    changes = dict(
        methods=dict(mae=dict(pretrain='configs/mae_demo.py',
                              frozen=LINEAR.replace('{data}', 'demo'))),
        datasets=dict(demo=content()['datasets']['demo'], other=other),
        transfers=dict(demo=['other']))
    assert bench.run(changes=changes, epochs=40) == ['train', 'frozen',
                                                     'frozen']
    found = bench.record['stages']['transfer_other']
    assert {f['test'] for f in found['figures']} == {'t'}


def test_a_broken_record_is_refused(bench):
    path = bench.work_dir / 'results/demo/raw.json'
    path.parent.mkdir(parents=True)
    path.write_text('{"stages":')
    with pytest.raises(ValueError, match='raw.json is not JSON.*delete it'):
        bench.run(('raw', 'demo', None))
