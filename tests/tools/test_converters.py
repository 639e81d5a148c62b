# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The converters of tools/data, on original and on made-up files."""
import importlib.util
import json
import shutil
import sys

import numpy as np
import pytest

from skel_ssl.datasets import load_annotations
from skel_ssl.datasets.subjects import recording_of
from skel_ssl.utils import cli
from tests.conftest import shared_file
from tests.datasets.recording_files import write_csv
from tests.tools.conftest import ROOT

SKIPPED = 3


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs a tool in this process: its exit status and what it prints."""

    def run(name, *args):
        spec = importlib.util.spec_from_file_location(
            name, ROOT / 'tools' / 'data' / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setenv('COLUMNS', '200')
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        code = 0
        try:
            cli.run(module.main)
        except SystemExit as error:
            code = error.code
        printed = capsys.readouterr()
        return code, ' '.join((printed.out + printed.err).split())

    return run


def assert_same_clips(clips, reference):
    assert len(clips) == len(reference)
    for clip, expected in zip(clips, reference):
        np.testing.assert_array_equal(clip.pop('keypoint'),
                                      expected.pop('keypoint'))
        assert clip == expected


@pytest.mark.parametrize(('name', 'pattern'), [
    ('nwucla', '*.json'), ('utdmhad', '*.mat')])
def test_original_files(tool, tmp_path, name, pattern):
    """The pickle has what the reference has of these clips."""
    reference = load_annotations(shared_file(f'data/{name}_3d.pkl'))
    raw = shared_file(f'data/raw/{name}')
    out, report = tmp_path / 'new' / 'x.pkl', tmp_path / 'x.json'
    code, printed = tool(name, raw, '--out', out, '--report', report)
    assert code == 0 and 'Left out: 0 damaged' in printed
    data = load_annotations(out)
    names = [clip['frame_dir'] for clip in data['annotations']]
    assert len(names) == len(list(raw.glob(pattern)))
    assert data['split'] == {
        key: [clip for clip in clips if clip in names]
        for key, clips in reference['split'].items()
    }
    for key in ('classes', 'joints'):
        assert data[key] == reference[key]
    assert_same_clips(data['annotations'], [
        clip for clip in reference['annotations']
        if clip['frame_dir'] in names])
    assert json.loads(report.read_text())['damaged'] == []


def test_damaged_files_are_named(tool, tmp_path):
    raw = tmp_path / 'raw'
    shutil.copytree(shared_file('data/raw/nwucla'), raw)
    raw.chmod(0o755)
    (raw / 'a02_s01_e00_v01.json').write_text('{')
    zeros = np.zeros((3, 20, 3)).tolist()
    (raw / 'a03_s01_e00_v01.json').write_text(
        json.dumps(dict(skeletons=zeros)))
    (raw / 'notes.json').write_text('{}')
    out, report = tmp_path / 'x.pkl', tmp_path / 'x.json'
    code, printed = tool('nwucla', raw, '--out', out, '--report', report)
    assert code == SKIPPED and '3 files are damaged and left out' in printed
    assert len(load_annotations(out)['annotations']) == 9
    reasons = {entry['file']: entry['reason']
               for entry in json.loads(report.read_text())['damaged']}
    assert list(reasons) == [
        'a02_s01_e00_v01.json', 'a03_s01_e00_v01', 'notes.json']
    for part, reason in zip(('not JSON', 'holds nobody', 'its name'),
                            reasons.values()):
        assert part in reason


def test_refusals_before_any_work(tool, tmp_path):
    (tmp_path / 'old.pkl').write_text('old')
    for name, args, message in (
        ('nwucla', [tmp_path / 'none', '--out', tmp_path / 'x.pkl'],
         'there is no folder'),
        ('utdmhad', [tmp_path, '--out', tmp_path / 'x.pkl'],
         'there is no file *.mat in'),
        ('nwucla', [tmp_path, '--out', tmp_path / 'old.pkl'],
         'old.pkl already; --overwrite'),
        ('convert', ['npz', tmp_path / 'none', '--protocol', 'x', '--out',
                     tmp_path / 'x.pkl'], 'No such file'),
    ):
        code, printed = tool(name, *args)
        assert code == 1 and message in printed
        assert printed.count('error: ') == 1
    assert [path.name for path in tmp_path.iterdir()] == ['old.pkl']


@pytest.fixture
def pkummd(tmp_path):
    """Four videos of 400 frames, the fourth damaged."""
    rng = np.random.default_rng(0)
    for name in ('skeletons', 'labels', 'splits'):
        (tmp_path / name).mkdir()
    for i, video in enumerate(('0002-L', '0002-M', '0010-R', '0011-R')):
        rows = rng.normal(size=(400, 150)).round(4)
        rows[:, 75:] *= video == '0010-R'
        rows[350:360] = 0
        lines = [' '.join(map(str, row)) for row in rows]
        if i == 3:
            lines[7] += ' 1'
        (tmp_path / 'skeletons' / f'{video}.txt').write_text('\n'.join(lines))
        (tmp_path / 'labels' / f'{video}.txt').write_text(
            f'{1 + i},10,40,2\n51,20,390,1\n7,350,360,2\n9,380,410,2\n')
    (tmp_path / 'splits' / 'cross-subject.txt').write_text(
        'Training videos: \n0002-L, 0002-M, 0099-L\nValidataion videos: \n')
    (tmp_path / 'splits' / 'cross-view.txt').write_text(
        'Training videos: \n0002-M, 0010-R\nValidataion videos: \n0002-L\n')
    return tmp_path


def pkummd_args(folder, *args):
    return ('--part', 1, '--skeletons', folder / 'skeletons', '--labels',
            folder / 'labels', '--splits', folder / 'splits', '--out',
            folder / 'x.pkl', '--report', folder / 'x.json', *args)


def test_pkummd(tool, pkummd):
    code, printed = tool('pkummd', *pkummd_args(pkummd))
    assert code == SKIPPED
    assert 'line 8 of 400 has 151 numbers, not 150' in printed
    assert '1 of the 3 training videos of xsub are not there, the first is ' \
        '0099-L' in printed
    assert '3 clips show nobody and are left out, 3 end with' in printed
    data = load_annotations(pkummd / 'x.pkl')
    clips = {clip['frame_dir']: clip for clip in data['annotations']}
    assert list(clips) == [f'{video}_00{i}' for video in (
        '0002-L', '0002-M', '0010-R') for i in (1, 2, 4)]
    rows = np.loadtxt(pkummd / 'skeletons' / '0010-R.txt')
    expected = rows.reshape(400, 2, 25, 3).swapaxes(0, 1).astype(np.float32)
    for name, first, last, label in (('0010-R_001', 10, 40, 2),
                                     ('0010-R_002', 20, 320, 50),
                                     ('0010-R_004', 380, 400, 8)):
        clip = clips[name]
        np.testing.assert_array_equal(clip['keypoint'],
                                      expected[:, first:last])
        assert clip['label'] == label
        assert clip['total_frames'] == last - first
        assert (clip['video'], clip['recording'], clip['view']) == (
            '0010-R', '0010', 'R')
    assert clips['0002-L_001']['keypoint'].shape == (1, 30, 25, 3)
    assert {recording_of(clip) for name, clip in clips.items()
            if name.startswith('0002-')} == {'0002'}
    names = list(clips)
    assert data['split'] == dict(
        xsub_train=names[:6], xsub_val=names[6:], xview_train=names[3:],
        xview_val=names[:3])
    assert len(data['classes']) == 51
    record = json.loads((pkummd / 'x.json').read_text())
    assert record['empty'] == [f'{video}_003' for video in (
        '0002-L', '0002-M', '0010-R')]
    assert record['xsub_train_missing'] == ['0099-L']
    assert [entry['file'] for entry in record['damaged']] == ['0011-R.txt']


def test_pkummd_without_labels_or_with_odd_ones(tool, pkummd):
    (pkummd / 'labels' / '0002-M.txt').unlink()
    (pkummd / 'labels' / '0010-R.txt').write_text('52,1,5,2\n3,1,5,2\n')
    (pkummd / 'skeletons' / 'readme.txt').write_text('hello')
    assert tool('pkummd', *pkummd_args(pkummd))[0] == SKIPPED
    record = json.loads((pkummd / 'x.json').read_text())
    assert record['clips'] == 3 + 1
    damaged = [(x['file'], x['reason']) for x in record['damaged']]
    assert [name for name, _ in damaged] == [
        '0002-M.txt', '0010-R.txt', '0011-R.txt', 'readme.txt']
    assert 'there are no labels for it' in damaged[0][1]
    assert 'line 1 of its labels says class 52' in damaged[1][1]
    (pkummd / 'splits' / 'cross-view.txt').unlink()
    code, printed = tool('pkummd', *pkummd_args(pkummd, '--overwrite'))
    assert code == 1 and 'there is no cross_view_v1.txt or cross_' in printed


def test_npz_there_and_back(tool, tmp_path):
    """Values and labels survive; a clip of zeros is named and left out."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (('train', 6), ('test', 4)):
        x = rng.normal(size=(count, 300, 2, 75)).astype(np.float32)
        for i in range(count):
            x[i, 20 + i:] = 0
            x[i, :, 1] *= i % 2
        arrays[f'x_{part}'] = x.reshape(count, 300, 150)
        arrays[f'y_{part}'] = np.eye(6)[[5, *rng.integers(0, 6, count - 1)]]
    one, pkl, two = (tmp_path / x for x in ('1.npz', 'x.pkl', '2.npz'))
    np.savez(one, **arrays)
    code, printed = tool('convert', 'npz', one, '--protocol', 'xsub', '--out',
                         pkl)
    assert code == 0 and '10 clips' in printed
    code, printed = tool('convert', 'to-npz', pkl, '--protocol', 'xsub',
                         '--out', two, '--report', tmp_path / 'r.json')
    assert code == 0
    report = json.loads((tmp_path / 'r.json').read_text())
    assert (report['train'], report['test'], report['cut']) == (6, 4, 0)
    assert '6 clips to train, 4 to test' in printed and '0 were cut' in printed
    with np.load(two) as back:
        for name, array in arrays.items():
            np.testing.assert_array_equal(back[name], array)
    arrays['x_test'][2] = 0
    np.savez(one, **arrays)
    code, printed = tool('convert', 'npz', one, '--protocol', 'xsub', '--out',
                         pkl, '--overwrite')
    assert code == SKIPPED and 'test_000002' in printed
    assert 'holds nobody' in printed
    assert load_annotations(pkl)['split']['xsub_val'] == [
        'test_000000', 'test_000001', 'test_000003']


JOINTS = ['top', 'middle', 'left end', 'right end']


@pytest.fixture
def own(tmp_path):
    """Two recordings of each kind, their layout and their table."""
    (tmp_path / 'layout.json').write_text(json.dumps(dict(
        name='stick', joints=JOINTS, bones=[[0, 1], [2, 1], [3, 1]],
        parts=dict(all=[0, 1, 2, 3]), centre=1)))
    rng = np.random.default_rng(0)
    clips = {}
    for i, suffix in enumerate(('.csv', '.json', '.npy', '.npz') * 2):
        keypoint = rng.normal(size=(1, 5 + i, 4, 3)).astype(np.float32)
        name = f'deep/clip{i}' if i == 1 else f'clip{i}'
        clips[name] = keypoint
        path = tmp_path / 'recordings' / f'{name}{suffix}'
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == '.csv':
            write_csv(path, JOINTS, keypoint)
        elif suffix == '.json':
            path.write_text(json.dumps(dict(frames=keypoint[0].tolist())))
        elif suffix == '.npy':
            np.save(path, keypoint)
        else:
            np.savez(path, keypoint=keypoint)
    rows = [f'{path.relative_to(tmp_path / "recordings")},'
            f'{"ab"[len(path.stem) % 2 ^ int(path.stem[-1]) % 2]},'
            f'{int(path.stem[-1]) // 2}'
            for path in (tmp_path / 'recordings').rglob('clip*')]
    write_table(tmp_path, ['file,label,subject', *rows])
    return tmp_path, clips, rows


def write_table(folder, lines):
    """Among the recordings, where a table does no harm."""
    (folder / 'recordings' / 'labels.csv').write_text('\n'.join(lines))


def own_args(folder, *args):
    return ('recordings', folder / 'recordings', '--layout',
            folder / 'layout.json', '--labels',
            folder / 'recordings' / 'labels.csv', '--out', folder / 'x.pkl',
            '--report', folder / 'x.json', '--overwrite', *args)


def test_recordings(tool, own):
    folder, clips, rows = own
    code, printed = tool('convert', *own_args(folder, '--scale', '.5'))
    assert code == 0 and 'warning' not in printed
    data = load_annotations(folder / 'x.pkl')
    assert [clip['frame_dir'] for clip in data['annotations']] == sorted(clips)
    table = {file: (label, subject) for file, label, subject in (
        row.split(',') for row in rows)}
    for clip in data['annotations']:
        keypoint = clips[clip['frame_dir']]
        np.testing.assert_array_equal(clip['keypoint'], keypoint / 2)
        assert clip['keypoint'].dtype == np.float32
        assert clip['total_frames'] == keypoint.shape[1]
        assert table[clip['file']] == (data['classes'][clip['label']],
                                       clip['subject'])
        part = 'val' if clip['subject'] in '13' else 'train'
        assert clip['frame_dir'] in data['split'][part]
    assert {name: len(x) for name, x in data['split'].items()} == dict(
        train=4, val=4)
    assert data['classes'] == ['a', 'b'] and data['joints'] == JOINTS


def test_recordings_without_subjects(tool, own):
    folder, clips, rows = own
    write_table(folder, ['file,label'] + [
        row.rpartition(',')[0] for row in rows])
    code, printed = tool('convert', *own_args(folder))
    assert code == 0 and 'a quarter of each class is drawn' in printed
    split = load_annotations(folder / 'x.pkl')['split']
    assert sorted(split['train'] + split['val']) == sorted(clips)
    assert len(split['val']) == 2


def test_recordings_in_2d(tool, own):
    folder, _, _ = own
    shutil.rmtree(folder / 'recordings')
    (folder / 'recordings').mkdir()
    rng = np.random.default_rng(0)
    keypoint, score = rng.normal(size=(2, 5, 4, 2)), rng.random((2, 5, 4))
    write_csv(folder / 'recordings' / 'x.csv', JOINTS, keypoint, score)
    write_table(folder, ['file,label,split', 'x.csv,a,test'])
    code, _ = tool('convert', *own_args(folder, '--img-shape', 480, 640))
    assert code == 0
    data = load_annotations(folder / 'x.pkl')
    [clip] = data['annotations']
    np.testing.assert_array_equal(clip['keypoint'], keypoint.astype('f4'))
    np.testing.assert_array_equal(clip['keypoint_score'], score.astype('f4'))
    assert clip['img_shape'] == (480, 640)
    assert data['split'] == dict(test=['x'])


def test_recordings_that_cannot_be_used(tool, own):
    """Each is named, with what is wrong; the others are converted."""
    folder, clips, rows = own
    raw = folder / 'recordings'
    np.save(raw / 'clip0.npy', np.ones((5, 4, 3)))
    np.save(raw / 'five.npy', np.ones((5, 5, 3)))
    np.save(raw / 'flat.npy', np.ones((5, 4, 2)))
    np.save(raw / 'hole.npy', np.full((5, 4, 3), np.nan))
    np.save(raw / 'new.npy', np.ones((5, 4, 3)))
    write_table(folder, ['file,label,subject', *rows] + [
        f'{name},a,1' for name in ('clip0.npy', 'five.npy', 'flat.npy',
                                   'gone.csv', 'hole.npy')])
    code, _printed = tool('convert', *own_args(folder))
    assert code == SKIPPED
    data = load_annotations(folder / 'x.pkl')
    assert [clip['frame_dir'] for clip in data['annotations']] == sorted(clips)
    damaged = json.loads((folder / 'x.json').read_text())['damaged']
    assert len(damaged) == 6
    for entry, (name, reason) in zip(damaged, (
        ('clip0.npy', 'clip0.csv would have the same name, clip0'),
        ('five', 'has 5 joints, the layout has 4'),
        ('flat.npy', 'it is 2D, the first one is 3D'),
        ('gone.csv', '--labels names it, but there is no'),
        ('hole', 'not finite'),
        ('new.npy', '--labels has no row for it'),
    )):
        assert entry['file'] == name and reason in entry['reason']
