# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The whole page of a run, and what it says of missing parts."""
import numpy as np
import pytest
import torch
from mmengine.config import Config

from skel_ssl.evaluation.predictions import Predictions, save_predictions
from skel_ssl.report import find_run, make_page, write_page
from skel_ssl.report.clips import draw_map
from skel_ssl.report.overview import read_weights, summarise
from skel_ssl.report.style import CSS
from tests.report.pages import CONFIG, check, training, write_log


@pytest.fixture
def work_dir(tmp_path):
    (tmp_path / 'tiny.py').write_text(CONFIG + "# </pre><script>'\n")
    write_log(tmp_path, '1', [*training(range(1, 4), loss=.5),
                              {'step': 7, 'acc/top1': .375}])
    torch.save(
        dict(meta=dict(epoch=7, iter=21),
             state_dict={'backbone.a': torch.zeros(1000, 2),
                         'cls_head.b': torch.zeros(3)}),
        tmp_path / 'epoch_7.pth')
    return tmp_path


def page_of(work_dir, **kwargs):
    run = find_run(work_dir)
    cfg = Config.fromfile(run.config)
    weights = read_weights(run.checkpoint)
    page, sections = make_page(run, cfg, weights, **kwargs)
    return check(page), {s.name: s for s in sections}


def test_the_page_of_a_run(work_dir):
    labels = np.arange(6) % 3
    predictions = Predictions(np.eye(3)[labels], labels)
    save_predictions(work_dir / 'p.pkl', predictions)
    (work_dir / 'q.pkl').write_bytes(b'no pickle')
    page, sections = page_of(work_dir, with_data=False, command='make <this>')
    facts = ('trainedepoch 7 of 7', 'last loss1.5', 'last top-137.5%',
             'top-1, p.pkl100.0%', 'modelRecognizerGCN')
    for text in (*facts, 'make <this>', "# </pre><script>'", 'q.pkl',
                 'encoderSTGCN (num_stages=4)', 'seed11',
                 'Left out by --no-data'):
        assert text in page.text
    assert ['backbone', '2,000'] in page.rows and ['all', '2,003'] in page.rows
    absent = [name for name, s in sections.items() if not s.found]
    assert absent == ['collapse', 'evaluation', 'clips', 'embedding',
                      'environment']
    # The contents lead to every section.
    links = [attrs['href'][1:] for attrs in page.of('a')]
    ids = [attrs.get('id') for attrs in page.of('div')]
    assert links == list(sections) and set(links) <= set(ids)
    [viewport] = [x for x in page.of('meta') if x.get('name') == 'viewport']
    assert viewport['content'].startswith('width=device-width')


def test_hints_name_the_files_of_the_run(work_dir):
    page, _ = page_of(work_dir)
    weights = work_dir / 'epoch_7.pth'
    for command in (
            f'tools/evaluate.py {work_dir}/tiny.py {weights} --out '
            f'{work_dir}/evaluation.json',
            f'tools/test.py {work_dir}/tiny.py {weights} --dump '
            f'{work_dir}/predictions.pkl'):
        assert command in page.text


def test_data_that_are_not_here(work_dir):
    config = work_dir / 'tiny.py'
    config.write_text(CONFIG + (
        "val_dataloader = dict(dataset=dict(ann_file='/no/<data>.pkl', "
        'pipeline=[]))\n'))
    page, sections = page_of(work_dir)
    assert not sections['clips'].found and not sections['embedding'].found
    assert 'The data file of the config, /no/<data>.pkl, is not' in page.text
    assert 'val_dataloader.dataset.ann_file=FILE' in page.text


def test_a_fault_of_the_data_is_on_the_page(work_dir):
    """No test data in the config: the other sections are made."""
    page, sections = page_of(work_dir)
    assert sections['curves'].found and not sections['embedding'].found
    assert 'has no val_dataloader' in page.text
    assert 'is not a checkpoint of this whole RecognizerGCN' in page.text


def test_a_given_dump_must_be_one(work_dir, tmp_path):
    path = tmp_path / 'x.txt'
    path.write_bytes(b'no pickle')
    with pytest.raises(ValueError, match='x.txt'):
        page_of(work_dir, dumps=[path], with_data=False)


def test_without_config_and_weights(tmp_path):
    write_log(tmp_path, '1', training(range(1, 3), loss=1.))
    page, sections = make_page(find_run(tmp_path))
    check(page)
    assert [s.name for s in sections if s.found] == ['curves']


def test_settings_that_matter():
    cfg = Config(dict(
        model=dict(type='A', backbone=dict(type='B', depth=3, init_cfg={})),
        train_dataloader=dict(batch_size=8, dataset=dict(
            type='RepeatDataset', dataset=dict(
                ann_file='x.pkl', split='s',
                pipeline=[dict(type='TubeMask', ratio=.9)])))))
    assert summarise(cfg) == {
        'model': 'A', 'encoder': 'B (depth=3)', 'mask': 'TubeMask (ratio=0.9)',
        'training data': 'x.pkl, split s', 'batch size': '8 a process'}
    assert summarise(Config()) == {}


def test_a_map_has_its_key_as_text():
    points = np.random.default_rng(0).normal(size=(12, 2))
    picture, key = draw_map(points, np.arange(12) % 2 * 2,
                            ['a', 'b', '<c>'], 'a map')
    assert check(picture).of('img')[0]['alt'] == 'a map'
    page = check(key)
    assert page.text == '0 a2 <c>'
    assert len({x['fill'] for x in page.of('circle')}) == 2


def test_a_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / 'report.html'
    assert write_page(path, 'ä') == 2
    assert path.read_text(encoding='utf-8') == 'ä'

    def fail(*args):
        raise OSError('the disk is full')

    monkeypatch.setattr('os.replace', fail)
    with pytest.raises(OSError, match='disk is full'):
        write_page(path, 'new')
    assert path.read_text(encoding='utf-8') == 'ä'
    assert list(tmp_path.iterdir()) == [path]


def test_both_colour_schemes_know_the_same_colours():
    light, dark = CSS.split('@media (prefers-color-scheme: dark)')
    dark = dark.split('* {')[0]

    def names(text):
        return {x.split(':')[0].strip() for x in text.split('--')[1:]}

    assert names(light.split('* {')[0]) == names(dark) != set()
    assert 'http' not in CSS and '@import' not in CSS
