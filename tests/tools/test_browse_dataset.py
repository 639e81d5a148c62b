# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The browser as a program: which pictures, and what it says of mistakes."""
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skel_ssl.visualization.clip_sources import PickleClips
from tools.visualization import browse_dataset
from tools.visualization.browse_dataset import (
    find_clips,
    find_steps,
    spread,
)

BROWSE = 'tools/visualization/browse_dataset.py'
DEMO = 'configs/skel2vec_demo.py'
STEPS = ('raw', 'PoseRandomRotate', 'PoseRandomScale', 'FormatGCNInput')


@pytest.fixture
def browse(monkeypatch, skel_data, tmp_path):
    """Run it in this process; gives the pictures."""
    monkeypatch.setenv('SKEL_DATA', str(skel_data))
    out = tmp_path / 'pictures'

    def browse(*args):
        monkeypatch.setattr('sys.argv', [
            BROWSE, *map(str, args), '--output-dir', str(out)])
        browse_dataset.main()
        return sorted(out.iterdir())

    return browse


def test_every_step_of_chosen_clips(run_tool, tmp_path):
    out = tmp_path / 'a' / 'b'
    done = run_tool(BROWSE, DEMO, '--clips', 'clip02', '0', '--num-poses', 3,
                    '--output-dir', out)
    names = ['skel2vec_demo_train_00000_clip00.png',
             'skel2vec_demo_train_00002_clip02.png']
    assert sorted(p.name for p in out.iterdir()) == names
    last = done.stdout.strip().splitlines()[-1]
    assert last == f'2 picture(s) in {out}: {names[1]} ...'
    sizes = {Image.open(out / name).size for name in names}
    # 9 rows of 1.5 inches, and more for captions, title and legend
    assert all(9 * 1.5 * 110 < height < 9 * 1.9 * 110 for _, height in sizes)


def test_pickle_without_config(run_tool, tmp_path):
    layout = tmp_path / 'stick.json'
    layout.write_text(json.dumps(dict(
        name='stick', joints=['foot', 'head'], bones=[[1, 0]],
        parts=dict(all=[0, 1]), centre=0)))
    keypoint = np.arange(24, dtype=float).reshape(1, 4, 2, 3) + 1
    clips = [dict(frame_dir=f'c{i}', label=i, total_frames=4,
                  keypoint=keypoint) for i in range(3)]
    clips[1]['keypoint'] = keypoint * np.nan
    path = tmp_path / 'sticks.pkl'
    path.write_bytes(pickle.dumps(dict(split={}, annotations=clips)))
    done = run_tool(BROWSE, path, '--layout', layout, '--output-dir', tmp_path)
    assert 'clips 0, 1, 2 of 3, layout: stick' in done.stdout
    assert (tmp_path / 'sticks_00000-00002.png').is_file()
    [step] = PickleClips(path).steps(1)
    assert step.keypoint is None and 'not finite' in step.note


def test_one_step_of_several_clips_is_one_sheet(browse):
    [path] = browse(DEMO, '--step', 'PoseRandomRotate', '-n', 2,
                    '--num-poses', 2, '--view', '3d')
    assert path.name == (
        'skel2vec_demo_train_00000-00015_step3_PoseRandomRotate.png')


def test_animation_of_the_last_step(browse):
    [path] = browse(DEMO, '--step', 'last', '--format', 'gif', '--clips', 4)
    with Image.open(path) as gif:
        assert gif.n_frames == 32  # what the model gets
    assert path.name == 'skel2vec_demo_train_00004_clip04_step8_' \
        'PackActionInputs.gif'


def test_seed_and_epoch_decide(browse):
    def draw(*args):
        [path] = browse(DEMO, '--clips', 1, '--step', 'PoseRandomRotate',
                        '--num-poses', 1, *args)
        return np.asarray(Image.open(path))

    first = draw()
    np.testing.assert_array_equal(first, draw('--seed', 0, '--epoch', 0))
    assert not np.array_equal(first, draw('--seed', 1))
    assert not np.array_equal(first, draw('--epoch', 1))


def test_options_reach_the_pipeline(browse):
    option = 'train_dataloader.dataset.pipeline.1.clip_len=8'
    [path] = browse(DEMO, '--clips', 1, '--step', 'last', '--format', 'gif',
                    '--cfg-options', option,
                    'train_dataloader.dataset.pipeline.6.tube_len=1')
    with Image.open(path) as gif:
        assert gif.n_frames == 8


def test_phase_that_is_not_there(run_tool, tmp_path):
    done = run_tool(BROWSE, DEMO, '--phase', 'val', '--output-dir', tmp_path,
                    code=1)
    assert "no val_dataloader, only those of ['train']" in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('args,message', [
    (('configs/none.py', ), 'no config'),
    (('none.pkl', ), 'no annotation file'),
    ((DEMO, '--step', 'PoseRandomRotat'), "Did you mean 'PoseRandomRotate'"),
    ((DEMO, '--clips', 'clp01'), "like .'clip01'"),
    ((DEMO, '--cfg-options', 'train_dataloade.batch_size=1'),
     'train_dataloader'),
    ((DEMO, '--layout', 'kinect20'), '25 joints'),
])
def test_mistakes(browse, args, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        browse(*args)


@pytest.mark.parametrize('args', [
    ('a.pkl', '--step', 'all'), ('a.pkl', '--phase', 'train'),
    (DEMO, '--show-number', '0'), (DEMO, '--seed', '-1')])
def test_arguments_that_make_no_sense(browse, capsys, args):
    with pytest.raises(SystemExit):
        browse(*args)
    option = args[1].replace('--seed', '--seed and --epoch')
    assert f'error: {option} ' in capsys.readouterr().err


def test_unreadable_pickle(browse, tmp_path):
    path = tmp_path / 'page.pkl'
    path.write_text('<html>')
    with pytest.raises(ValueError, match='is not a pickle'):
        browse(path)


def test_find_clips():
    names = ['b', '2', 'a', 'b']
    assert find_clips(['b', 'a', '2', '3'], names) == [0, 2, 1, 3]
    with pytest.raises(ValueError, match='0 to 3'):
        find_clips(['4'], names)


def test_find_steps():
    names = [*STEPS, 'PoseRandomScale']
    assert find_steps('all', names) == [0, 1, 2, 3, 4]
    assert find_steps('last', names) == [4]
    assert find_steps('0', names) == find_steps('raw', names) == [0]
    assert find_steps('PoseRandomScale', names) == [2, 4]
    with pytest.raises(ValueError, match='one of: 0 raw, 1 Pose'):
        find_steps('5', names)


def test_spread():
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(3, 5) == [0, 1, 2]
    assert spread(10, 1) == [0]


def test_help_has_no_config(run_tool):
    done = run_tool(BROWSE, '--help')
    for option in ('--phase', '--show-number', '--output-dir', '--step'):
        assert option in done.stdout
    assert Path(BROWSE).name in done.stdout
