# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The data doctor as a program: exit codes, JSON, picture, mended file."""
import json
import pickle

import pytest
from matplotlib.image import imread

from skel_ssl.datasets import load_annotations
from skel_ssl.datasets.doctor import KINDS
from skel_ssl.datasets.synthetic import make_dataset
from tests.datasets.doctor.plants import PLANTS, Patient
from tools.data import check

CHECK = 'tools/data/check.py'
WIDE = dict(COLUMNS='200')  # no line is folded


@pytest.fixture(scope='module')
def synthetic():
    return make_dataset(num_subjects=4, repetitions=1)


def write(path, data):
    path.write_bytes(pickle.dumps(data, protocol=4))
    return path


def test_clean_file(run_tool, synthetic, tmp_path):
    path = write(tmp_path / 'demo.pkl', synthetic)
    done = run_tool(CHECK, path, '--json', tmp_path / 'demo.json',
                    '--picture', tmp_path / 'demo.png', **WIDE)
    assert done.stdout.startswith(f'CLEAN {path}: ')
    assert 'fault' not in done.stdout.replace('0 faults', '')
    record = json.loads((tmp_path / 'demo.json').read_text())
    assert record['verdict'] == 'clean'
    assert record['counts']['fault'] == 0
    assert record['clips'] == len(synthetic['annotations'])
    assert record['body']['layout'] == 'ntu25'
    assert imread(tmp_path / 'demo.png').shape[1] > 1000
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'demo.json', 'demo.pkl', 'demo.png']


def test_damaged_file_is_mended(run_tool, synthetic, tmp_path):
    patient = Patient(synthetic)
    planted = {code: PLANTS[code][0](patient)
               for code in ('not-finite', 'total-frames', 'leak-values',
                            'leak-subject')}
    path = write(tmp_path / 'bad.pkl', patient.data)
    before = path.read_bytes()
    out, record = tmp_path / 'mended.pkl', tmp_path / 'bad.json'
    done = run_tool(CHECK, path, '--fix', out, '--json', record,
                    '--picture', tmp_path / 'bad.png', '--verbose',
                    code=1, **WIDE)
    assert done.stdout.startswith(f'FAULTS {path}: 4 faults')
    found = json.loads(record.read_text())
    clips = {x['code']: set(x['clips']) for x in found['findings']
             if x['severity'] == 'fault'}
    assert clips == planted
    for code, names in planted.items():
        assert code in done.stdout
        assert KINDS[code].way_out[:60] in done.stdout
        assert all(name in done.stdout for name in names)
    assert {x['code'] for x in found['fix']['left']} == {'leak-values',
                                                         'leak-subject'}
    assert path.read_bytes() == before
    dropped, = planted['not-finite']
    assert dropped not in {x['frame_dir']
                           for x in load_annotations(out)['annotations']}
    again = run_tool(CHECK, out, code=1, **WIDE)
    assert 'not-finite' not in again.stdout
    assert f'FAULTS {out}: 2 faults' in again.stdout


@pytest.mark.parametrize('content, said', [
    (None, 'there is no annotation file'),
    (b'', 'is empty'),
    (pickle.dumps(dict(split={}, annotations=[dict(frame_dir='a')]))[:-20],
     'cut off or damaged'),
    (pickle.dumps([1, 2]), "a dict with the keys 'split' and 'annotations'"),
    (pickle.dumps(dict(split={}, annotations=[], run=print)),
     'asks for builtins.print'),
])
def test_unreadable_file(main, tmp_path, content, said):
    path, record = tmp_path / 'x.pkl', tmp_path / 'x.json'
    if content is not None:
        path.write_bytes(content)
    code, text = main(path, '--json', record)
    assert code == 2 and text.startswith('UNREADABLE')
    found = json.loads(record.read_text())
    assert found['verdict'] == 'unreadable'
    assert said in found['error'] and str(path) in found['error']


@pytest.fixture
def main(monkeypatch, capsys):
    """The tool in this process: its exit code and what it wrote."""

    def main(*args):
        monkeypatch.setattr('sys.argv', ['check.py', *map(str, args)])
        with pytest.raises(SystemExit) as end:
            check.main()
        out, err = capsys.readouterr()
        return end.value.code, ' '.join(f'{out} {err}'.split())

    return main


def test_wrong_arguments(main, synthetic, tmp_path):
    path = write(tmp_path / 'demo.pkl', synthetic)
    other = tmp_path / 'other.pkl'
    other.write_text('mine')
    for arguments, said in [
        (['--fix', path, '--overwrite'], 'the file to be examined'),
        (['--fix', other], 'exists; give another name, or --overwrite'),
        (['--json', tmp_path / 'no' / 'x.json'], 'there is no folder'),
        (['--layout', 'ntu26'], "there is no layout 'ntu26'"),
    ]:
        code, text = main(path, *arguments)
        assert code == 2 and said in text
    assert other.read_text() == 'mine'
    assert path.read_bytes() == pickle.dumps(synthetic, protocol=4)
    assert main(path, '--fix', other, '--overwrite')[0] == 0
    assert len(load_annotations(other)['annotations']) == len(
        synthetic['annotations'])


def test_what_cannot_be_written_is_no_verdict(run_tool, synthetic, tmp_path):
    path = write(tmp_path / 'demo.pkl', synthetic)
    (tmp_path / 'folder').mkdir()
    done = run_tool(CHECK, path, '--json', tmp_path / 'folder', code=2)
    assert 'error: ' in done.stderr and 'Traceback' not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ['demo.pkl', 'folder']


def test_layout_from_a_file(main, synthetic, tmp_path):
    path = write(tmp_path / 'demo.pkl', synthetic)
    layout = tmp_path / 'stick.json'
    layout.write_text(json.dumps(dict(
        name='stick', joints=['top', 'end'], bones=[[1, 0]],
        parts=dict(all=[0, 1]), centre=0)))
    code, text = main(path, '--layout', layout)
    assert code == 1
    assert "has 25 joints, the layout 'stick' has 2" in text


def test_truncated_file_as_a_program(run_tool, synthetic, tmp_path):
    path = write(tmp_path / 'demo.pkl', synthetic)
    path.write_bytes(path.read_bytes()[:100_000])
    done = run_tool(CHECK, path, code=2)
    assert done.stdout.startswith('UNREADABLE')
    assert 'cut off or damaged' in done.stdout
    assert 'Traceback' not in done.stderr


def test_table_of_codes(run_tool):
    done = run_tool(CHECK, '--codes', **WIDE)
    rows = [line.split('│')[1].strip() for line in done.stdout.splitlines()
            if line.startswith('│')]
    assert [row for row in rows if row] == list(KINDS)
