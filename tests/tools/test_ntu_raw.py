# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""tools/data/ntu_raw.py: real clips, damaged files, a killed run, refusals."""
import importlib.util
import json
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from skel_ssl.datasets import load_annotations
from skel_ssl.utils import cli
from tests.conftest import shared_file
from tests.datasets.ntu_files import write_files
from tests.tools.conftest import ROOT

TOOL = 'tools/data/ntu_raw.py'
MMACTION = ('--dataset', 'ntu60', '--cleaning', 'mmaction2')
DENOISE = ('--dataset', 'ntu60', '--cleaning', 'denoise')
SKIPPED = 3


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs the tool in this process: its exit status and what it prints."""
    spec = importlib.util.spec_from_file_location('ntu_raw', ROOT / TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*args):
        monkeypatch.setenv('COLUMNS', '200')
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, args)])
        code = 0
        try:
            cli.run(module.main)
        except SystemExit as error:
            code = error.code
        printed = capsys.readouterr()
        return code, ' '.join((printed.out + printed.err).split())

    return run


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / 'raw'
    write_files(folder, 6, mean=6)
    return folder


@pytest.mark.parametrize('dataset', ['ntu60', 'ntu120'])
@pytest.mark.parametrize('cleaning', ['mmaction2', 'denoise'])
def test_real_clips(tool, tmp_path, dataset, cleaning):
    reference = load_annotations(
        shared_file(f'data/ntu_sample5_{cleaning}_3d.pkl'))
    out = tmp_path / 'new' / 'x.pkl'
    code, _ = tool(
        shared_file('data/raw/ntu'), '--dataset', dataset, '--cleaning',
        cleaning, '--out', out, '--workers', 1, '--missing-list',
        shared_file('data/raw/ntu_lists/'
                    'NTU_RGBD120_samples_with_missing_skeletons.txt'))
    assert code == 0
    data = load_annotations(out)
    assert data['split'] == {
        name[len(dataset) + 1:]: clips
        for name, clips in reference['split'].items()
        if name.startswith(dataset)
    }
    assert len(data['annotations']) == 5
    for clip, expected in zip(data['annotations'], reference['annotations']):
        np.testing.assert_array_equal(clip.pop('keypoint'),
                                      expected.pop('keypoint'))
        assert clip == expected


def test_damaged_files_are_named(run_tool, tmp_path, raw):
    """As a batch script runs it, two workers, the report beside it."""
    files = sorted(raw.iterdir())
    text = files[0].read_bytes()
    bad = {
        'S005C001P001R001A050': (text[:len(text) // 2], 'frame'),
        'S005C001P001R001A051':
        (text.replace(b'\n1\n', b'\n2\n', 1), 'number of bodies is wrong'),
        'S005C001P001R001A052': (b'2\n0\n0\n', 'there are 0 bodies'),
        'S005C001P001R001A053':
        (text.replace(b'\n', b'\r\n', 7), 'Windows line end'),
        'S005C001P001R001A054': (b'', 'the file is empty'),
        'S005': (text, 'not the name of a clip'),
    }
    for name, (content, _) in bad.items():
        (raw / f'{name}.skeleton').write_bytes(content)
    out, report = tmp_path / 'x.pkl', tmp_path / 'x.json'
    done = run_tool(TOOL, raw, *MMACTION, '--out', out, '--report', report,
                    '--workers', 2, code=SKIPPED, COLUMNS='200')
    with out.open('rb') as file:
        data = pickle.load(file)
    good = sorted(path.stem for path in files)
    assert [clip['frame_dir'] for clip in data['annotations']] == good
    for protocol in ('xsub', 'xview'):
        both = [name for part in ('train', 'val')
                for name in data['split'][f'{protocol}_{part}']]
        assert sorted(both) == good
    record = json.loads(report.read_text())
    assert record['clips'] == len(good) == sum(
        record['splits'][f'xsub_{part}'] for part in ('train', 'val'))
    reasons = {entry['file']: entry['reason'] for entry in record['damaged']}
    assert list(reasons) == sorted(f'{name}.skeleton' for name in bad)
    for name, (_, reason) in bad.items():
        assert reason in reasons[f'{name}.skeleton']
        assert f'{name}.skeleton' in done.stdout
    assert '6 files are damaged and left out' in done.stdout


def group_is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_killed_and_started_again(run_tool, tool, tmp_path):
    """The parent alone is killed; its workers do not outlive it."""
    raw = tmp_path / 'raw'
    write_files(raw, 600, mean=8)  # three chunks
    whole, out = tmp_path / 'whole.pkl', tmp_path / 'x.pkl'
    command = [TOOL, raw, *MMACTION, '--workers', '2', '--out', out]
    process = subprocess.Popen([sys.executable, *map(str, command)],
                               cwd=ROOT,
                               stdout=subprocess.DEVNULL,
                               start_new_session=True)
    try:
        while not list(tmp_path.glob('x.pkl.parts/*/0*.pkl')):
            assert process.poll() is None
            time.sleep(.002)
        process.kill()
        process.wait()
        deadline = time.monotonic() + 60
        while group_is_alive(process.pid):
            assert time.monotonic() < deadline
            time.sleep(.05)
    finally:
        if group_is_alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
    assert not out.exists()
    assert len(list(tmp_path.glob('x.pkl.parts/*/0*.pkl'))) < 3
    run_tool(*command)
    assert tool(raw, *MMACTION, '--workers', 1, '--out', whole)[0] == 0
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(tmp_path.iterdir()) == [raw, whole, out]


def test_left_out_by_name(tool, tmp_path, raw):
    files = sorted(raw.iterdir())
    other = raw / 'S018C001P001R001A061.skeleton'
    other.write_bytes(files[0].read_bytes())
    listed = tmp_path / 'missing.txt'
    listed.write_text(f'{files[1].stem}\n')
    out, report = tmp_path / 'x.pkl', tmp_path / 'x.json'
    code, printed = tool(raw, *MMACTION, '--out', out, '--report', report,
                         '--missing-list', listed, '--workers', 1)
    assert code == 0
    assert 'has 1 clips of ntu60, the published list has 302' in printed
    assert '1 on the missing list, 1 of NTU RGB+D 120 only' in printed
    names = [x['frame_dir'] for x in load_annotations(out)['annotations']]
    assert names == [path.stem for path in files if path != files[1]]
    record = json.loads(report.read_text())
    assert record['on_missing_list'] == [files[1].stem]
    assert record['not_in_dataset'] == [other.stem]
    code, printed = tool(raw, *MMACTION, '--out', out, '--overwrite',
                         '--workers', 1)
    assert code == 0 and 'no --missing-list: the 302 clips' in printed
    assert len(load_annotations(out)['annotations']) == len(files)


def test_single_persons_twice(tool, tmp_path):
    raw = tmp_path / 'raw'
    write_files(raw, 6, mean=40)
    once, twice = tmp_path / 'once.pkl', tmp_path / 'twice.pkl'
    assert tool(raw, *DENOISE, '--out', once, '--workers', 1)[0] == 0
    assert tool(raw, *DENOISE, '--out', twice, '--repeat-single',
                '--workers', 1)[0] == 0
    doubled = 0
    for one, two in zip(load_annotations(once)['annotations'],
                        load_annotations(twice)['annotations']):
        alone = len(one['keypoint']) == 1 != len(two['keypoint'])
        doubled += alone
        persons = one['keypoint'].repeat(1 + alone, 0)
        np.testing.assert_array_equal(two['keypoint'], persons)
    assert doubled
    code, printed = tool(raw, *MMACTION, '--out', once, '--repeat-single')
    assert code == 2 and '--repeat-single goes with' in printed


def test_no_file_can_be_used(tool, tmp_path, raw):
    """They are all named all the same."""
    for path in raw.iterdir():
        path.write_bytes(path.read_bytes()[:-50])
    out, report = tmp_path / 'x.pkl', tmp_path / 'x.json'
    code, printed = tool(raw, *MMACTION, '--out', out, '--report', report,
                         '--workers', 1)
    assert code == 1 and 'nothing was written' in printed
    names = sorted(path.name for path in raw.iterdir())
    assert all(name in printed for name in names)
    damaged = json.loads(report.read_text())['damaged']
    assert [entry['file'] for entry in damaged] == names
    assert sorted(tmp_path.iterdir()) == [raw, report]


def test_refusals_before_any_work(tool, tmp_path, raw):
    out = tmp_path / 'x.pkl'
    (tmp_path / 'file').write_text('')
    (tmp_path / 'wrong.txt').write_text('<html>')
    existing = tmp_path / 'old.pkl'
    existing.write_text('old')
    for args, message in (
        ((raw, '--out', existing), 'old.pkl already; --overwrite'),
        ((raw, '--out', out, '--report', existing), 'old.pkl already'),
        ((raw, '--out', raw, '--overwrite'), 'is a folder, not a file'),
        ((raw, '--out', tmp_path / 'file' / 'x.pkl'), 'cannot write in'),
        ((tmp_path / 'none', '--out', out), 'there is no folder'),
        ((raw, '--out', out, '--missing-list', tmp_path / 'wrong.txt'),
         'wrong.txt: there is no name such as'),
    ):
        code, printed = tool(*args, *MMACTION)
        assert code == 1 and message in printed
        assert printed.count('error: ') == 1
    assert existing.read_text() == 'old'
    code, printed = tool(raw, *MMACTION, '--out', out, '--workers', 0)
    assert code == 2 and '--workers is 1 or more' in printed
    assert not out.exists() and not list(tmp_path.glob('*.parts'))
    (raw / 'S001C001P001R001A001.skeleton').rename(raw / 'x.skeleton')
    for path in raw.glob('S*'):
        path.unlink()
    code, printed = tool(raw, *MMACTION, '--out', out)
    assert code == 1 and 'no file is one of ntu60: 0 are on' in printed
