# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the tables say, and that they are well-formed."""
import re

import pytest
from rich.console import Console

from skel_ssl.benchmark.cells import Cell, cells_of, new_record
from skel_ssl.benchmark.pages import (
    as_html,
    as_markdown,
    footnotes,
    show,
    write_tables,
)
from skel_ssl.benchmark.table import make_tables
from tests.benchmark.suites import content, frozen_result, suite_of
from tests.report.pages import check


def stage(**result):
    return dict(state='done', device='cpu', environment=dict(device='a CPU'),
                seconds=dict(train=dict(wall=9., cpu=20.),
                             evaluate=dict(wall=9., cpu=4.)),
                steps=50, **result)


def finetuned(value):
    common = dict(test='xsub', readout=None, num_clips=8, num_classes=3)
    return stage(figures=[dict(common, metric='finetune', values=[value])])


def frozen(**result):
    request = dict(tests=['xsub'], readouts=['mean', 'joint'])
    return stage(**frozen_result(request, **result))


def fill(suite):
    """Records of a suite that is done but for the second seed of MAE."""
    records = {cell: new_record(suite, cell) for cell in cells_of(suite)
               if str(cell) != 'mae/demo/1'}

    def add(cell, **stages):
        records[Cell(*cell)]['stages'].update(stages)

    raw = frozen(linear=(.3, .35))
    flat = dict(raw['figures'][1], readout='flat', values=[.6])
    raw['figures'].append(flat)
    add(('raw', 'demo', None), frozen=raw)
    # On held-out subjects 'mean' is better here, and 'joint' on test.
    add(('random', 'demo', 0), frozen=frozen(held_out=(.6, .4)))
    add(('random', 'demo', 1),
        frozen=frozen(linear=(.6, .7), held_out=(.6, .4)))
    add(('mae', 'demo', 0), frozen=frozen(), finetune=finetuned(.875),
        pretrain=stage(), cost=stage(
            parameters=dict(encoder=152704, pretrain=1230000, finetune=650),
            flops=dict(pretrain=229539840, inference=67093760)))
    add(('gcn', 'demo', 0), finetune=finetuned(.5))
    add(('gcn', 'demo', 1), finetune=dict(state='failed', error='it broke'))
    return records


@pytest.fixture
def suite():
    return suite_of()


@pytest.fixture
def tables(suite):
    return make_tables(suite, fill(suite))


def texts(table):
    return [[entry.text for entry in row] for row in table.rows]


def test_accuracies(tables):
    table = tables[0]
    assert table.title == 'Demo, xsub'
    assert table.head == ['', 'linear, mean', 'linear, joint',
                          'linear, best read-out', 'kNN k=1', 'fine-tuned']
    half = '[1 of 2 seeds]'
    assert texts(table) == [
        ['chance', *['33.3'] * 5],
        # Neighbours of raw coordinates are those of all frames.
        ['Raw (floor)', '35.0', '40.0', '40.0 (joint)', '60.0 (flat)', '–'],
        ['random (floor)', '60.0 ± 7.1', '75.0 ± 0.0', '60.0 ± 7.1 (mean)',
         '45.0 ± 7.1 (mean)', '–'],
        ['MAE', f'55.0 {half}', f'75.0 {half}', f'75.0 (joint) {half}',
         f'60.0 (joint) {half}', f'87.5 {half}'],
        ['GCN (ceiling)', *['–'] * 4, f'50.0 {half}'],
    ]
    assert table.notes == ['8 test clips (xsub_val), 3 classes.']
    # 4.8 of 8, so 5: Wilson; and 12.7062 * 0.0707107 / sqrt(2)
    assert table.rows[2][1].detail == '95 %: clips 30.6–86.3, seeds 0.0–100.0'
    assert table.rows[1][1].detail == '95 %: clips 13.7–69.4'


def test_costs(tables):
    table = tables[1]
    mae = texts(table)[1]
    assert mae == [
        'Demo', 'MAE', '152.7 k', '1.2 M', '0.23', '50', '20 CPU s', '650',
        '50', '20 CPU s', '0.0671', '4 CPU s', 'a CPU'
    ]
    gcn = texts(table)[2]
    assert gcn[1:6] == ['GCN (ceiling)', 'not run', '–', '–', '–']
    assert gcn[7:10] == ['not run', '50', '20 CPU s']


def test_nothing_has_run(suite):
    accuracies, _costs, *_ = make_tables(suite, {})
    assert texts(accuracies) == [
        ['Raw (floor)', *['not run'] * 4, '–'],
        ['random (floor)', *['not run'] * 4, '–'],
        ['MAE', *['not run'] * 5],
        ['GCN (ceiling)', *['–'] * 4, 'not run'],
    ]


def test_failures_show(suite):
    records = fill(suite)
    records[Cell('gcn', 'demo', 0)]['stages'] = dict(
        finetune=dict(state='failed'))
    records[Cell('mae', 'demo', 0)]['stages'] = dict(
        pretrain=dict(state='failed'))
    table = make_tables(suite, records)[0]
    assert texts(table)[3:] == [['MAE', *['failed'] * 5],
                                ['GCN (ceiling)', *['–'] * 4, 'failed']]


def test_a_collapse_shows(suite):
    records = fill(suite)
    records[Cell('mae', 'demo', 0)]['stages']['frozen']['warnings'] = [
        'xsub: COLLAPSED: all the same']
    table = make_tables(suite, records)[0]
    assert table.notes[-1] == 'MAE: xsub: COLLAPSED: all the same'


def test_transfer():
    methods = content()['methods']
    other = dict(title='Other', tests=dict(t='xsub_train'))
    suite = suite_of(
        methods=dict(raw=methods['raw'], mae=methods['mae']),
        datasets=dict(demo=content()['datasets']['demo'], other=other),
        transfers=dict(demo=['other']))
    found = frozen()
    for figure in found['figures']:
        figure['test'] = 't'
    cell = Cell('mae', 'demo', 0)
    record = new_record(suite, cell)
    record['stages']['transfer_other'] = found
    tables = {t.title: t for t in make_tables(suite, {cell: record})}
    row = texts(tables['Other, t'])[-1]
    assert row[0] == 'MAE, pre-trained on Demo'
    assert row[1] == '55.0 [1 of 2 seeds]' and row[-1] == '–'
    # Its fine-tuning is no business of the other data set.
    again = new_record(suite, Cell('mae', 'demo', 1))
    for number, tuned in enumerate((record, again)):
        tuned['stages']['finetune'] = dict(
            finetuned(.5), seed=number, config_sha256=str(number))
    notes = {t.title: str(t.notes) for t in make_tables(
        suite, {cell: record, Cell('mae', 'demo', 1): again})}
    assert 'not of one kind. finetune' in notes['Demo, xsub']
    assert 'not of one kind' not in notes['Other, t']
    assert len(tables['Demo, xsub'].rows) == 2
    assert [r[:2] for r in texts(tables['Cost'])] == [['Demo', 'MAE'],
                                                      ['Other', 'MAE']]


def test_one_readout_and_few_labels():
    suite = suite_of(readouts=['mean'], protocols=['linear', 'few', 'semi'],
                     probe=dict(shots=[3, 10], ratios=[.05]))
    head = make_tables(suite, {})[0].head
    assert head == ['', 'linear, mean', 'linear, 3 clips a class',
                    'linear, 10 clips a class', 'linear, 5 % labels',
                    'fine-tuned']


def test_each_probe_chooses_its_readout():
    suite = suite_of(protocols=['linear', 'logistic', 'knn'])
    found = frozen()  # where 'joint' is better on held-out subjects
    for run, known in zip(found['runs'], (.9, .8)):
        run['notes']['logistic'] = dict(validation_accuracy={'0.1': known})
    found['figures'] += [
        dict(figure, metric='logistic', values=[value])
        for figure, value in zip(found['figures'][::2], (.25, .75))
    ]
    cell = Cell('mae', 'demo', 0)
    record = new_record(suite, cell)
    record['stages']['frozen'] = found
    table, *_, every = make_tables(suite, {cell: record})
    row = dict(zip(table.head, texts(table)[-2]))
    assert row['logistic, mean'] == '25.0 [1 of 2 seeds]'
    assert row['logistic, best read-out'] == '25.0 (mean) [1 of 2 seeds]'
    assert row['linear, best read-out'] == '75.0 (joint) [1 of 2 seeds]'
    assert row['kNN k=1'].startswith('60.0 (joint)')
    held_out = {tuple(r[1:3]): r[-1] for r in texts(every)}
    assert held_out['mean', 'linear'] == '40.0'
    assert held_out['mean', 'logistic'] == '90.0'
    assert held_out['mean', 'knn_k1'] == '–'


def test_nothing_is_best_where_nothing_was_compared():
    suite = suite_of(protocols=['linear', 'knn'])
    found = frozen()
    for run in found['runs']:
        run['notes']['linear'].pop('validation_accuracy')
    cell = Cell('mae', 'demo', 0)
    record = new_record(suite, cell)
    record['stages']['frozen'] = found
    table = make_tables(suite, {cell: record})[0]
    row = dict(zip(table.head, texts(table)[-2]))
    assert row['linear, best read-out'] == '–'
    assert row['linear, joint'].startswith('75.0')
    assert row['kNN k=1'].startswith('40.0 (mean)')


def test_seeds_of_two_kinds_show():
    suite = suite_of()
    records = fill(suite)
    for seed, config in ((0, 'a'), (1, 'b')):
        stage = records[Cell('random', 'demo', seed)]['stages']['frozen']
        stage.update(seed=seed, config_sha256=config)
    table = make_tables(suite, records)[0]
    (note, ) = (x for x in table.notes if 'not of one kind' in x)
    assert 'frozen of the seeds 0 and 1 had other settings' in note
    stage.update(config_sha256='a')
    assert 'not of one kind' not in str(make_tables(suite, records)[0].notes)
    grid = stage['runs'][0]['notes']['linear']['validation_accuracy']
    grid['0.77'] = 0.
    assert 'not of one kind' in str(make_tables(suite, records)[0].notes)


@pytest.mark.parametrize('views, said', [
    (0, 'probes on the training clips, their'),
    (8, 'probes on the training clips and 8 augmented copies of each, their'),
])
def test_notes_say_what_probes_train_on(views, said):
    notes = footnotes(suite_of(probe=dict(ks=[1], views=views)))
    assert any(said in line for line in notes)
    assert any('over recordings or clips where no subject is known' in line
               for line in notes)


def test_markdown(suite, tables):
    lines = as_markdown(suite, tables).splitlines()
    assert '| MAE | 55.0 [1 of 2 seeds] |' in '\n'.join(lines)
    for line in lines:
        if line.startswith('|'):
            assert line.count('|') in (7, 14)
    assert not any('Every figure' in line for line in lines)


def test_page(suite, tables):
    page = check(as_html(suite, tables, 'python x <y>'))
    assert ['MAE', '55.0 [1 of 2 seeds]95 %: clips 21.5–78.5'] == page.rows[
        4][:2]
    assert 'Made by skel_ssl' in page.text and 'python x <y>' in page.text
    # The raw values of all seeds are there, folded.
    assert ['random (floor)', 'mean', 'linear'] in [r[:3] for r in page.rows]
    assert any('55.0, 65.0' in row for row in page.rows)
    (meta, ) = (x for x in page.of('meta') if x.get('name') == 'viewport')
    assert 'width=device-width' in meta['content']


def test_files_and_terminal(suite, tables, tmp_path):
    paths = write_tables(tmp_path / 'new', suite, tables, 'python x')
    assert [path.name for path in paths.values()] == ['table.md',
                                                      'table.html']
    assert all(path.read_text() for path in paths.values())
    console = Console(width=200, record=True, file=open('/dev/null', 'w'))
    show(console, suite, tables)
    shown = console.export_text()
    assert 'random (floor)' in shown and '[1 of 2 seeds]' in shown


@pytest.mark.parametrize('width, pieces', [(60, 3), (80, 2), (120, 1)])
def test_a_narrow_terminal(suite, tables, width, pieces):
    """Wide tables are shown in pieces, and nothing is cut."""
    console = Console(width=width, record=True, file=open('/dev/null', 'w'))
    show(console, suite, tables)
    shown = console.export_text()
    assert '…' not in shown
    assert max(map(len, shown.splitlines())) <= width
    for one in tables:
        for row in one.rows if not one.folded else []:
            for entry in row[1:]:
                assert re.split(r' (?=[([])', entry.text)[0] in shown
    words = re.findall(r'[\w-]+', shown)
    for title in tables[0].head:
        assert set(re.findall(r'[\w-]+', title)) <= set(words)
    # A piece begins with the methods again.
    assert words.count('chance') == pieces
