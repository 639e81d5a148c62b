# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a suite may say, and what is found out before anything runs."""
import pickle

import pytest
from mmengine.config import Config

from skel_ssl.benchmark.cells import Cell, cells_of, select
from skel_ssl.benchmark.configs import (
    DataFiles,
    hash_config,
    read_config,
    words_of,
)
from skel_ssl.benchmark.stages import plan
from skel_ssl.benchmark.suite import load_suite, make_suite
from tests.benchmark.suites import LINEAR, content, suite_of

GCN = 'configs/benchmarks/supervised/stgcnpp_{data}.py'


def test_cells():
    cells = cells_of(suite_of())
    # A table of all methods is there after the first seed.
    assert [str(cell) for cell in cells] == [
        'raw/demo', 'random/demo/0', 'mae/demo/0', 'gcn/demo/0',
        'random/demo/1', 'mae/demo/1', 'gcn/demo/1'
    ]
    for patterns, chosen in (
        ([], range(7)), (['mae'], [2, 5]), (['*/demo/1'], [4, 5, 6]),
        (['raw', 'r*/demo/1'], [0, 4]), (['m*e/d*/0'], [2])):
        assert select(cells, patterns) == [cells[i] for i in chosen]
    for wrong in ('raw/demo/0', 'mea', 'mae/demo/0/1'):
        with pytest.raises(ValueError, match=f'--only {wrong}: no cell fits'):
            select(cells, [wrong])


def test_only_some_data_sets():
    data = dict(a=dict(tests=dict(t='x')), b=dict(tests=dict(t='x')))
    suite = suite_of(
        datasets=data, seeds=[5],
        methods=dict(m=dict(finetune=GCN, only=['b']), n=dict(finetune=GCN)))
    assert cells_of(suite) == [Cell('n', 'a', 5), Cell('m', 'b', 5),
                               Cell('n', 'b', 5)]


def method(**keys):
    return dict(methods=dict(m=keys))


@pytest.mark.parametrize('changes, fault', [
    (dict(sedes=[1]), "there is no 'sedes'.*did you mean 'seeds'"),
    (dict(seeds=[]), r'seeds=\[\]'),
    (dict(seeds=[1, 1]), 'different whole numbers'),
    (dict(seeds=[True]), 'different whole numbers'),
    (dict(protocols=['liner']), "protocols: .*'liner'.*'linear'"),
    (dict(readouts=['max']), "readouts: there is no 'max'"),
    (dict(persons='both'), "persons: there is no 'both'"),
    (dict(probe=dict(shot=3)), "probe: keys: .*did you mean 'shots'"),
    (dict(probe=dict(shots=[0])), 'shots: 0 must be a whole number'),
    (dict(train_options='--amp'), "train_options='--amp' must be a list"),
    (dict(transfers=dict(demo='demo')), 'carried over to itself'),
    (dict(transfers=dict(demo='other')), "transfers: there is no 'other'"),
    (dict(datasets={}), 'datasets must be a dict with something in it'),
    (dict(datasets=dict(demo=dict(title='x'))), "'tests' is missing"),
    (dict(datasets=dict(demo=dict(tests=dict(a=3)))), 'must be a name'),
    (dict(datasets={'a/b': dict(tests=dict(a='x'))}), 'part of file names'),
    (dict(datasets=dict(demo=dict(tests=dict(train='x')))),
     "cannot be called 'train'"),
    (method(title='x'), 'does nothing'),
    (method(finetune=GCN, kind='roof'), "kind: there is no 'roof'"),
    (method(encoder='raw'), 'has the config "frozen"'),
    (method(encoder='raw', frozen=LINEAR, finetune=GCN), 'neither'),
    (method(encoder='none', frozen=LINEAR), "encoder: there is no 'none'"),
    (method(frozen=LINEAR), 'give "pretrain"'),
    (method(finetune=GCN, options=dict(pretrain={})), "no 'pretrain', only"),
    (method(finetune=GCN, only=['x']), "only: there is no 'x'"),
    (method(finetune=GCN, fintune=GCN), "did you mean 'finetune'"),
])
def test_what_a_suite_may_not_say(changes, fault):
    with pytest.raises(ValueError, match=fault):
        suite_of(**changes)


def test_nothing_in_it():
    with pytest.raises(ValueError, match="'methods' is missing"):
        make_suite('x', dict(datasets=content()['datasets']))


def test_no_file():
    with pytest.raises(FileNotFoundError, match='there is no suite x.py'):
        load_suite('x.py')


def test_all_that_is_missing_is_said_at_once():
    suite = suite_of(
        datasets=dict(demo=dict(tests=dict(a='xsub_val', b='xsbu_val')),
                      nwucla=dict(tests=dict(a='xview_val'))),
        methods=dict(
            a=dict(finetune='configs/gone_{data}.py', only=['demo']),
            b=dict(finetune=GCN),
            c=dict(finetune=GCN, only=['demo'], options=dict(
                finetune={'train_cgf.max_epochs': 1}))))
    with pytest.raises(ValueError) as caught:
        plan(suite)
    head, *lines = str(caught.value).splitlines()
    assert head == "suite 'tiny' cannot run; nothing has been started:"
    for text, line in zip((
        'methods.a: there is no config configs/gone_demo.py',
        "no split 'xsbu_val', only ['xsub_train', 'xsub_val']",
        'methods.c: configs/benchmarks/supervised/stgcnpp_demo.py: '
        '--cfg-options train_cgf.max_epochs: the config has no setting '
        'train_cgf; did you mean train_cfg',
        'datasets.nwucla: there is no data file',
    ), lines):
        assert text in line
    assert len(lines) == 4


def test_what_does_not_run_may_be_missing():
    suite = suite_of(
        datasets=dict(demo=dict(tests=dict(a='xsub_val')),
                      nwucla=dict(tests=dict(a='xview_val'))),
        methods=dict(gcn=dict(finetune=GCN)))
    demo, *_ = [cell for cell in cells_of(suite) if cell.data == 'demo']
    found = plan(suite, cells=[demo])
    assert {names: [stage.name for stage in stages]
            for names, stages in found.items()} == {
                ('gcn', 'demo'): ['cost', 'finetune'],
                ('gcn', 'nwucla'): ['cost']}
    other, *_ = [cell for cell in cells_of(suite) if cell.data == 'nwucla']
    with pytest.raises(ValueError, match='datasets.nwucla: there is no data'):
        plan(suite, cells=[demo, other])


def test_a_test_set_of_one_clip(tmp_path):
    path = tmp_path / 'demo_3d.pkl'
    data = pickle.loads(path.read_bytes())
    data['split']['one'] = data['split']['xsub_val'][:1]
    path.write_bytes(pickle.dumps(data))
    with pytest.raises(ValueError) as caught:
        plan(suite_of(datasets=dict(demo=dict(tests=dict(a='one')))))
    assert str(caught.value).splitlines()[1:] == [
        "  datasets.demo: the test set 'a' (split=['one']) has 1 clip(s), and "
        'an evaluation needs two or more: give it another split']


@pytest.mark.parametrize('options, words', [
    ({'a.b': 3, 'c': .5, 'd': True, 'e': None, 'f': 'x'},
     ['a.b=3', 'c=0.5', 'd=True', 'e=None', 'f=x']),
    ({'a': [1, 2.5], 'b': ('x', ), 'c': [[1], ['y', 'z']]},
     ['a=[1,2.5]', 'b=[x]', 'c=[[1],[y,z]]']),
])
def test_options_as_words(options, words):
    assert words_of(options) == words


@pytest.mark.parametrize('value', ['3', 'a b', dict(a=1), 'None'])
def test_options_that_would_become_something_else(value):
    with pytest.raises(ValueError, match='cannot be given on a command line'):
        words_of({'a': value})


def test_a_config_is_known_by_what_it_says(tmp_path):
    path = 'configs/mae_demo.py'
    plain = hash_config(read_config(path, {}))
    assert plain == hash_config(Config.fromfile(path))
    assert plain == hash_config(
        read_config(path, {'train_dataloader.dataset.ann_file': 'else.pkl'}))
    assert plain != hash_config(read_config(path, {'train_cfg.max_epochs': 3}))


def test_splits_are_known_by_their_clips():
    files = DataFiles()
    dataset = read_config('configs/mae_demo.py', {}).train_dataloader.dataset
    train, test, both = (files.clips(dataset, splits) for splits in (
        ['xsub_train'], ['xsub_val'], ['xsub_train', 'xsub_val']))
    assert (train.num_clips, test.num_clips, both.num_clips) == (16, 8, 24)
    assert files.clips(dataset, None).num_clips == 24
    assert len({train.sha256, test.sha256, both.sha256}) == 3
