# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Figures in the documents are those of the records, and of each other."""
import json
import re

import pytest

from skel_ssl.benchmark.cells import cells_of, read_record
from skel_ssl.benchmark.rows import NOT_RUN, rows_of
from skel_ssl.benchmark.suite import load_suite
from skel_ssl.benchmark.table import accuracy_table
from tests.docs.markdown import ROOT, read, section

RECORDS = ROOT / 'docs/records'
SUITES = sorted(path.name for path in RECORDS.iterdir() if path.is_dir())
# Rows of the front page by the column of the long table that they show, and
# columns of the front page by its rows.
README_ROWS = {
    'ten clips a class, joint_std': 'linear, 10 clips a class',
    'kNN k=1, joint_std': 'kNN k=1',
}
README_METHODS = ('MAE', 'MAMP', 'Skeleton2vec', 'HA-CM')
FIGURE = r'\d+\.\d(?: ± \d+\.\d)?'


def table(text):
    """A Markdown table: rows by their first cell, cells by their heading."""
    lines = [[cell.strip() for cell in line.strip('|').split('|')]
             for line in re.findall(r'^\|.*\|$', text, re.M)]
    head, _, *rows = lines
    return {row[0]: dict(zip(head, row)) for row in rows}


def tables_of_results():
    """The long tables in docs/results.md, by their test."""
    found = {}
    for title in ('NW-UCLA, view 3', 'UTD-MHAD'):
        text = section(read('docs/results.md'), title)
        parts = re.split(r'^### (.*)$', text, flags=re.M)[1:]
        found.update({name.strip('`'): table(part)
                      for name, part in zip(parts[::2], parts[1::2])
                      if name.startswith('`')})
    return found


def records_of(name):
    suite = load_suite(ROOT / f'configs/benchmarks/suites/{name}.py')
    found = {cell: read_record(cell.record_path(RECORDS / name))
             for cell in cells_of(suite)}
    return suite, {cell: x for cell, x in found.items() if x is not None}


@pytest.mark.parametrize('name', SUITES)
def test_records_are_of_cells(name):
    _, records = records_of(name)
    paths = [cell.record_path(RECORDS / name) for cell in records]
    assert sorted(paths) == sorted((RECORDS / name).rglob('*.json'))
    for cell, record in records.items():
        assert (record['suite'], record['method'], record['data'],
                record['seed']) == (name, cell.method, cell.data, cell.seed)
        for stage in record['stages'].values():
            assert stage['state'] == 'done', cell
        # No path of the machine that they were made on.
        assert not re.search(r'(?<![\w.])/\w+/', json.dumps(record)), cell


def test_the_tables_are_those_of_the_records():
    suite, records = records_of('full')
    finetuned = {cell for cell, record in records.items()
                 if 'finetune' in record['stages']}
    compared = 0
    for test, shown in tables_of_results().items():
        (data, ) = [x for x in suite.datasets if test in x.tests]
        made = accuracy_table(suite, data, test, rows_of(suite, data, records))
        for first, *entries in made.rows[1:]:  # without chance
            for column, entry in zip(made.head[1:], entries):
                if entry.text != NOT_RUN and first.text in shown:
                    assert shown[first.text][column] == entry.text, (
                        test, first.text, column)
                    compared += bool(re.match(FIGURE, entry.text))
                # A figure that was measured is shown.
                elif re.match(FIGURE, entry.text):
                    raise AssertionError(f'{first.text} is not in {test}')
    assert len(finetuned) >= 7 and compared >= 2 * len(finetuned)


def test_the_front_page_is_that_of_the_tables():
    text = section(read('README.md'), 'Results')
    head = re.search(r'^\| `xview_clean`.*$', text, re.M)[0]
    columns = [cell.split(' (')[0].strip() for cell in head.split('|')[2:-1]]
    assert columns[-4:] == list(README_METHODS)
    results, test, compared = tables_of_results(), 'xview_clean', 0
    for line in re.findall(r'^\|.*\|$', text, re.M):
        label, *cells = [cell.strip(' *') for cell in line.split('|')[1:-1]]
        heading = re.match(r'`(\w+)`', label)
        test = heading[1] if heading else test
        label, *home = label.split(', pre-trained on ')
        column = README_ROWS.get(label, label)
        if column not in results[test]['MAE']:
            continue
        for method, cell in zip(README_METHODS, cells[-4:]):
            row = ', pre-trained on '.join([method, *home])
            expected = re.match(FIGURE, results[test][row][column])[0]
            assert re.match(FIGURE, cell)[0] == expected, (label, row)
            compared += 1
        # What has no pre-training: the random encoders, or the networks from
        # scratch, the second in brackets behind HA-CM; raw coordinates.
        below = ('the transformer from scratch (ceiling)',
                 "HA-CM's encoder from scratch (ceiling)")
        if label != 'fine-tuned':
            below = ('random encoder (floor)',
                     "random encoder, HA-CM's (floor)")
            raw = max((re.match(FIGURE, row[column])[0]
                       for name, row in results[test].items()
                       if name.startswith('raw coordinates')), key=float)
            assert home or re.findall(FIGURE, cells[0])[-1] == raw, label
        for cell, name in zip((cells[1], cells[-1].split('(')[1]), below):
            expected = re.match(FIGURE, results[test][name][column])[0]
            assert re.search(FIGURE, cell)[0] == expected, (label, name)
        if label in README_ROWS:  # of the read-out that was chosen
            assert '(joint_std)' in results[test][row][column], label
    assert compared == 4 * 16
