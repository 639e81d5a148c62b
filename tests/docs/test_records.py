# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Published tables, and the front page, are those of the records."""
import json
import re

import pytest
import yaml

from skel_ssl.benchmark.cells import cells_of, read_record
from skel_ssl.benchmark.pages import as_markdown
from skel_ssl.benchmark.rows import rows_of
from skel_ssl.benchmark.suite import load_suite
from skel_ssl.benchmark.table import accuracy_table, make_tables
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


def records_of(name):
    suite = load_suite(ROOT / f'configs/benchmarks/suites/{name}.py')
    found = {cell: read_record(cell.record_path(RECORDS / name))
             for cell in cells_of(suite)}
    return suite, {cell: x for cell, x in found.items() if x is not None}


def tables_of(name):
    """Texts by test, row and column."""
    suite, records = records_of(name)
    found = {}
    for data in suite.datasets:
        rows = rows_of(suite, data, records)
        for test in data.tests:
            made = accuracy_table(suite, data, test, rows)
            found[test] = {
                row[0].text: dict(zip(made.head, (x.text for x in row)))
                for row in made.rows
            }
    return found


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


@pytest.mark.parametrize('name', SUITES)
def test_the_tables_are_those_of_the_records(name):
    suite, records = records_of(name)
    made = as_markdown(suite, make_tables(suite, records))
    assert made == read(f'docs/records/{name}/table.md')


def test_the_index_is_that_of_the_tables():
    """Of model-index.yml: a linear probe on the mean over tokens."""
    tables, compared = tables_of('full'), 0
    for path in yaml.safe_load(read('model-index.yml'))['Import']:
        for model in yaml.safe_load(read(path))['Models']:
            for result in model.get('Results') or []:
                assert model['Config'].startswith('configs/benchmarks/linear')
                test = result['Dataset'].split()[-1]
                row = tables[test][model['In Collection']]
                (value, ) = result['Metrics'].values()
                assert row['linear, mean'].split()[0] == str(value)
                compared += 1
    assert compared >= 4


def test_the_front_page_is_that_of_the_tables():
    text = section(read('README.md'), 'Results')
    head = re.search(r'^\| `xview_clean`.*$', text, re.M)[0]
    columns = [cell.split(' (')[0].strip() for cell in head.split('|')[2:-1]]
    assert columns[-4:] == list(README_METHODS)
    tables, test, compared = tables_of('full'), 'xview_clean', 0
    for line in re.findall(r'^\|.*\|$', text, re.M):
        label, *cells = [cell.strip(' *') for cell in line.split('|')[1:-1]]
        heading = re.match(r'`(\w+)`', label)
        test = heading[1] if heading else test
        label, *home = label.split(', pre-trained on ')
        column = README_ROWS.get(label, label)
        if column not in tables[test]['MAE']:
            continue
        for method, cell in zip(README_METHODS, cells[-4:]):
            row = ', pre-trained on '.join([method, *home])
            expected = re.match(FIGURE, tables[test][row][column])[0]
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
                       for name, row in tables[test].items()
                       if name.startswith('raw coordinates')), key=float)
            assert home or re.findall(FIGURE, cells[0])[-1] == raw, label
        for cell, name in zip((cells[1], cells[-1].split('(')[1]), below):
            expected = re.match(FIGURE, tables[test][name][column])[0]
            assert re.search(FIGURE, cell)[0] == expected, (label, name)
        if label in README_ROWS:  # of the read-out that was chosen
            assert '(joint_std)' in tables[test][row][column], label
    assert compared == 4 * 19
