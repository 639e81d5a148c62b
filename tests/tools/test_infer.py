# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""tools/infer.py: from files to a table, results and pictures."""
import json
import pickle

import numpy as np
import pytest

from tests.apis.tiny_models import make_clip, save_probe
from tests.tools.conftest import NUM_CLASSES, TINY_ENCODER
from tools import infer

INFER, LINEAR = 'tools/infer.py', 'configs/benchmarks/linear/skel2vec_demo.py'
OPTIONS = ('--cfg-options', *TINY_ENCODER, 'model.cls_head.in_channels=16',
           f'model.cls_head.num_classes={NUM_CLASSES}')


@pytest.fixture(scope='module')
def probe(tmp_path_factory):
    path = tmp_path_factory.mktemp('probe') / 'probe.pth'
    save_probe(path, dataset_meta=dict(classes=['sit', 'stand', 'wave']))
    return path


@pytest.fixture
def call(monkeypatch, capsys):
    """Run it in this process; what it prints."""

    def call(*args):
        monkeypatch.setattr('sys.argv', [INFER, *map(str, args), *OPTIONS])
        infer.main()
        return capsys.readouterr().out

    monkeypatch.chdir(infer.__file__.rpartition('/tools/')[0])
    monkeypatch.setenv('COLUMNS', '120')
    return call


def test_files_to_results(run_tool, probe, tmp_path):
    np.save(tmp_path / 'walk.npy', make_clip(0, 2, 50))
    (tmp_path / 'more.pkl').write_bytes(pickle.dumps([
        dict(frame_dir=f'clip{i}', label=i, keypoint=make_clip(i))
        for i in range(3)]))
    out = tmp_path / 'out'
    done = run_tool(
        INFER, LINEAR, probe, tmp_path / 'walk.npy', tmp_path / 'more.pkl',
        '--topk', 2, '--out-dir', out, '--save-vis', '--window', 20,
        '--stride', 15, '--fps', 10, '--layout', 'ntu25', *OPTIONS,
        COLUMNS='120')
    results = json.loads((out / 'predictions.json').read_text())['predictions']
    assert [x['name'] for x in results] == ['walk', 'clip0', 'clip1', 'clip2']
    assert [len(x['topk']) for x in results] == [2] * 4
    assert [x['end_second'] for x in results[0]['windows']] == [2, 3.5, 5]
    assert len(list(out.glob('*.png'))) == 4
    right = sum(x['pred_label'] == x['gt_label'] for x in results[1:])
    assert f'{right} of 3 clips with a label are right' in done.stdout
    for text in ('walk', '30-49 (3.0-5.0 s)', results[0]['pred_name'],
                 'predictions.json'):
        assert text in done.stdout


def test_faults_are_one_message(run_tool, probe, tmp_path):
    np.save(tmp_path / 'walk.npy', make_clip(0, joints=17))
    done = run_tool(INFER, LINEAR, probe, tmp_path / 'walk.npy', *OPTIONS,
                    code=1)
    assert '17 joints' in done.stderr and 'Traceback' not in done.stderr


def test_a_short_table(call, probe, tmp_path):
    np.save(tmp_path / 'walk.npy', make_clip(0))
    printed = call(LINEAR, probe, tmp_path)
    assert 'walk' in printed and 'label' not in printed


def test_the_unit_and_the_stream_change_what_is_predicted(
        call, probe, tmp_path):
    """Both reach the model: the same clip in millimetres, and as bones."""
    np.save(tmp_path / 'metres.npy', make_clip(0))
    np.save(tmp_path / 'millimetres.npy', 1000 * make_clip(0))

    def scores(name, *args):
        call(LINEAR, probe, tmp_path / f'{name}.npy', *args,
             '--out-dir', tmp_path / 'out')
        found = json.loads((tmp_path / 'out/predictions.json').read_text())
        (result, ) = found['predictions']
        return [score for _, _, score in result['topk']]

    metres = scores('metres')
    assert scores('millimetres', '--scale', .001) == pytest.approx(
        metres, abs=1e-4)
    assert scores('millimetres') != pytest.approx(metres, abs=1e-4)
    assert scores('metres', '--stream', 'b') != pytest.approx(
        metres, abs=1e-4)


def test_long_tables_are_cut(call, probe, tmp_path):
    np.save(tmp_path / 'walk.npy', make_clip(0, frames=500))
    printed = call(LINEAR, probe, tmp_path, '--window', 10)
    assert 'and 11 more rows' in printed  # 51 in all, 40 shown


def test_names_from_a_file(call, probe, tmp_path):
    np.save(tmp_path / 'walk.npy', make_clip(0))
    (tmp_path / 'names.txt').write_text('eins\nzwei\ndrei\n')
    printed = call(LINEAR, probe, tmp_path / 'walk.npy', '--classes',
                   tmp_path / 'names.txt')
    assert 'eins' in printed and 'zwei' in printed and 'drei' in printed


@pytest.mark.parametrize('args, error, message', [
    (['--save-vis'], SystemExit, '2'),
    (['--layout', 'coco17'], ValueError, "'coco17' and the model"),
    (['--stride', 3], ValueError, 'goes with window'),
    (['gone.npy'], FileNotFoundError, 'gone.npy'),
])
def test_refused(call, probe, tmp_path, args, error, message):
    np.save(tmp_path / 'walk.npy', make_clip(0))
    with pytest.raises(error, match=message):
        call(LINEAR, probe, tmp_path / 'walk.npy', *args)


def test_an_option_that_does_not_exist(call, probe, tmp_path, monkeypatch):
    monkeypatch.setattr(f'{__name__}.OPTIONS', ('--cfg-options', 'modle.x=1'))
    with pytest.raises(ValueError, match='did you mean model'):
        call(LINEAR, probe, tmp_path)


def test_bad_files_are_left_out(call, probe, tmp_path):
    np.save(tmp_path / 'good.npy', make_clip(0))
    np.save(tmp_path / 'none.npy', make_clip(0) * np.nan)
    with pytest.raises(ValueError, match=r'none.npy\): .*nan at person 0'):
        call(LINEAR, probe, tmp_path)
    out = tmp_path / 'out'
    call(LINEAR, probe, tmp_path, '--skip-bad', '--out-dir', out)
    written = json.loads((out / 'predictions.json').read_text())
    assert [x['name'] for x in written['predictions']] == ['good']
    assert [str(tmp_path / 'none.npy') in x for x in written['skipped']] == [
        True]
