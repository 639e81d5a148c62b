# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Predictions: the right ones, for any number of frames, persons, inputs."""
import json
import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from PIL import Image
from rich.console import Console
from scipy.special import softmax

from skel_ssl.apis import InputError, SkeletonInferencer
from skel_ssl.apis.clip_windows import (
    cut_clip,
    describe_window,
    find_windows,
)
from skel_ssl.apis.prediction_results import (
    describe_scores,
    make_table,
    to_probabilities,
)
from skel_ssl.registry import DATASETS
from tests.apis.tiny_models import (
    LINEAR,
    PRETRAIN,
    ROOT,
    SKELETONMAE_2D,
    TINY_PRETRAIN,
    TINY_PROBE,
    make_clip,
    save_model,
    save_pretraining,
    save_probe,
)
from tests.datasets.coco_clips import coco_clip

NAMES = ('sit', 'stand', 'wave')


@pytest.fixture(scope='module')
def probe(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('probe') / 'probe.pth'
    save_probe(path, dataset_meta=dict(classes=NAMES))
    return path


@pytest.fixture(scope='module')
def infer(probe):
    return SkeletonInferencer(
        LINEAR, probe, 'cpu', cfg_options=TINY_PROBE, show_progress=False)


def clips_of_all_kinds():
    """From one frame to many; one and two persons, absent ones."""
    absent = make_clip(5, 2)
    absent[1] = 0
    return [make_clip(0), make_clip(1, 2), make_clip(2, frames=1),
            make_clip(3, 2, frames=500), absent]


def scores_of(results):
    return np.array([result['scores'] for result in results])


def without_input(result):
    return {key: value for key, value in result.items()
            if key not in ('input', 'name', 'num_frames')}


class TestResults:

    def test_plain_python(self, infer):
        (result, ) = infer(make_clip(0), topk=2)
        assert json.loads(json.dumps(result)).keys() == result.keys()
        scores = result['scores']
        order = sorted(range(3), key=lambda i: -scores[i])
        assert sum(scores) == pytest.approx(1)
        assert result['pred_label'] == order[0]
        assert result['pred_name'] == NAMES[order[0]]
        assert result['pred_score'] == max(scores)
        assert result['topk'] == [(i, NAMES[i], scores[i]) for i in order[:2]]
        assert result['name'] == result['input'] == 'input 0'
        assert describe_scores(np.array(scores), NAMES, 2) == {
            key: result[key] for key in ('pred_label', 'pred_name',
                                         'pred_score', 'topk', 'scores')}
        assert result['num_frames'] == 40
        assert 'windows' not in result and 'gt_label' not in result

    def test_it_is_what_the_model_says(self, infer):
        clips = clips_of_all_kinds()
        packed = [infer.pipeline(dict(
            keypoint=clip, total_frames=clip.shape[1], frame_dir='x',
            label=0)) for clip in clips]
        batch = infer.model.data_preprocessor(pseudo_collate(packed))
        with torch.no_grad():
            feats = infer.model.backbone(batch['inputs'][:, 0])
            logits = infer.model.cls_head(feats).numpy()
        np.testing.assert_allclose(
            scores_of(infer(clips)), softmax(logits, 1), atol=1e-5)

    def test_the_weights_matter(self, infer):
        scores = scores_of(infer(clips_of_all_kinds()))
        assert np.ptp(scores, 0).min() > 1e-3

    def test_batch_against_single(self, infer):
        clips = clips_of_all_kinds()
        together = scores_of(infer(clips))
        for size in (1, 2):
            np.testing.assert_allclose(
                scores_of(infer(clips, batch_size=size)), together, atol=1e-5)
        alone = scores_of([infer(clip)[0] for clip in clips])
        np.testing.assert_allclose(alone, together, atol=1e-5)

    def test_an_absent_person_changes_nothing(self, infer):
        clip = make_clip(5, 1)
        there = infer(clip)[0]
        for slots in ((1, 2), (0, 2), (1, 4)):
            padded = np.zeros((slots[1], *clip.shape[1:]), np.float32)
            padded[slots[0]] = clip[0]
            assert without_input(infer(padded)[0]) == without_input(there)

    def test_a_true_label(self, infer):
        results = infer([dict(keypoint=make_clip(0), label=2),
                         dict(keypoint=make_clip(0), label=-1)])
        assert results[0]['gt_label'] == 2
        assert 'gt_label' not in results[1]

    def test_data_samples(self, infer):
        clip = make_clip(0, frames=50)
        clip[:, 20:40] = 0
        samples = infer(clip, return_datasamples=True, window=20)
        assert samples[1] is None and len(samples) == 3
        assert samples[0].pred_score.shape == (3, )

    def test_random_pipelines_are_seeded(self, probe):
        cfg = Config.fromfile(LINEAR)
        cfg.test_dataloader.dataset.pipeline = cfg.multi_clip_pipeline
        infer = SkeletonInferencer(cfg, probe, 'cpu', cfg_options=TINY_PROBE)
        clip = make_clip(0, frames=80)
        np.random.seed(3)
        _first, second = infer([make_clip(1), clip])
        state = np.random.get_state()[1].tolist()
        assert without_input(infer(clip)[0])['scores'] == pytest.approx(
            second['scores'], abs=1e-5)
        assert np.random.get_state()[1].tolist() == state

    def test_random_weights_are_warned_of(self):
        with pytest.warns(UserWarning, match='no weights are given'):
            infer = SkeletonInferencer(
                LINEAR, device='cpu', cfg_options=TINY_PROBE)
        assert len(infer(make_clip(0))) == 1

    def test_it_is_an_inferencer(self, infer):
        assert isinstance(infer, BaseInferencer)
        assert infer.classes == list(NAMES)

    def test_the_data_set_of_the_config_gives_the_same(
            self, infer, tmp_path, monkeypatch):
        clips = [dict(frame_dir=f'c{i}', label=i % 3, keypoint=clip,
                      total_frames=clip.shape[1])
                 for i, clip in enumerate(clips_of_all_kinds())]
        path = tmp_path / 'demo_3d.pkl'
        path.write_bytes(pickle.dumps(dict(
            split=dict(xsub_val=[x['frame_dir'] for x in clips]),
            annotations=clips)))
        monkeypatch.setenv('SKEL_DATA', str(tmp_path))
        cfg = Config.fromfile(LINEAR)
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        with torch.no_grad():
            samples = infer.model.test_step(
                pseudo_collate([dataset[i] for i in range(len(clips))]))
        expected = softmax([x.pred_score.numpy() for x in samples], 1)
        np.testing.assert_allclose(
            scores_of(infer(path)), expected, atol=1e-5)


class TestWindows:

    @pytest.mark.parametrize('frames, window, stride, expected', [
        (10, None, None, [(0, 10)]),
        (10, 5, None, [(0, 5), (5, 10)]),
        (10, 4, None, [(0, 4), (4, 8), (6, 10)]),
        (10, 4, 3, [(0, 4), (3, 7), (6, 10)]),
        (11, 4, 3, [(0, 4), (3, 7), (6, 10), (7, 11)]),
        (4, 4, 1, [(0, 4)]),
        (3, 4, 2, [(0, 3)]),
        (1, 1, None, [(0, 1)]),
    ])
    def test_by_hand(self, frames, window, stride, expected):
        assert find_windows(frames, window, stride) == expected

    def test_they_cover_all(self):
        for frames in range(1, 30):
            for window in range(1, 12):
                for stride in range(1, window + 1):
                    spans = find_windows(frames, window, stride)
                    seen = {t for a, b in spans for t in range(a, b)}
                    assert seen == set(range(frames))
                    assert len(set(spans)) == len(spans)

    @pytest.mark.parametrize('window, stride', [(0, None), (4, 0), (4, 5),
                                                (None, 3)])
    def test_numbers_out_of_range(self, infer, window, stride):
        with pytest.raises(ValueError, match=f'stride={stride or window}|'
                           'from 1 to window|goes with window'):
            infer(make_clip(0), window=window, stride=stride)

    def test_each_is_a_clip_of_its_own(self, infer):
        clip = make_clip(0, 2, 50)
        (result, ) = infer(clip, window=20, stride=15, fps=10, batch_size=2)
        spans = [(0, 20), (15, 35), (30, 50)]
        parts = [infer(clip[:, a:b])[0] for a, b in spans]
        assert [(x['start_frame'], x['end_frame'])
                for x in result['windows']] == spans
        assert [(x['start_second'], x['end_second'])
                for x in result['windows']] == [(0, 2), (1.5, 3.5), (3, 5)]
        np.testing.assert_allclose(
            scores_of(result['windows']), scores_of(parts), atol=1e-5)
        np.testing.assert_allclose(
            result['scores'], scores_of(parts).mean(0), atol=1e-5)
        assert result['pred_label'] == np.argmax(result['scores'])

    def test_a_window_without_anybody(self, infer):
        clip = make_clip(0, 1, 60)
        clip[:, 20:] = 0
        (result, ) = infer(clip, window=20)
        seen, *others = result['windows']
        assert result['scores'] == seen['scores']
        assert others == [dict(start_frame=a, end_frame=a + 20,
                               pred_label=None) for a in (20, 40)]

    def test_who_is_absent_from_a_window(self, infer):
        clip = make_clip(0, 2, 40)
        clip[0, 20:] = 0
        window = infer(clip, window=20)[0]['windows'][1]
        alone = infer(clip[1:, 20:])[0]
        assert window['scores'] == pytest.approx(alone['scores'], abs=1e-5)

    def test_absent_persons_are_cut_off(self):
        keypoint = make_clip(0, 2, 6)
        keypoint[0, 3:] = 0
        score = keypoint[..., 0] ** 2
        clip = dict(keypoint=keypoint, keypoint_score=score, total_frames=6,
                    frame_dir='x')
        assert cut_clip(clip, (0, 6)) is clip
        piece = cut_clip(clip, (3, 5))
        assert piece['total_frames'] == 2 and piece['frame_dir'] == 'x'
        np.testing.assert_array_equal(piece['keypoint'], keypoint[1:, 3:5])
        np.testing.assert_array_equal(piece['keypoint_score'],
                                      score[1:, 3:5])
        keypoint[1, 3:] = 0
        assert cut_clip(clip, (3, 5)) is None

    def test_ten_thousand_frames(self, infer):
        clip = make_clip(0, 1, 10_000)
        whole, cut = infer(clip)[0], infer(clip, window=100)[0]
        assert whole['num_frames'] == 10_000 and 'windows' not in whole
        assert len(cut['windows']) == 100
        assert np.isfinite(scores_of([whole, cut])).all()

    def test_no_times_without_fps(self):
        assert describe_window((2, 5), None) == dict(
            start_frame=2, end_frame=5)


class TestScores:

    def test_logits_and_probabilities(self):
        logits = np.array([0., np.log(3)])
        np.testing.assert_allclose(
            to_probabilities(logits, 'score'), [.25, .75])
        np.testing.assert_allclose(
            to_probabilities(np.array([.25, .75]), 'prob'), [.25, .75])
        views = np.array([[0., np.log(3)], [0., 0.]])
        np.testing.assert_allclose(
            to_probabilities(views, None), [.375, .625])

    def test_equals_and_few_classes(self):
        found = describe_scores(np.array([.2, .4, .4]), None, 5)
        assert found['topk'] == [(1, None, .4), (2, None, .4), (0, None, .2)]
        assert found['pred_name'] is None

    def test_a_diverged_model(self, probe):
        infer = SkeletonInferencer(
            LINEAR, probe, 'cpu', cfg_options=TINY_PROBE)
        infer.model.cls_head.fc.bias.data[1] = np.nan
        with pytest.raises(ValueError, match='did the training diverge'):
            infer(make_clip(0))


def test_brackets_in_names_are_no_markup(capsys):
    result = describe_scores(np.array([1.]), ['[b]wave'], 1)
    result.update(name='[red]x', num_frames=3)
    Console(width=80).print(make_table([result]))
    printed = capsys.readouterr().out
    assert '[red]x' in printed and '[b]wave' in printed


class TestFiles:

    def test_results_on_disk(self, infer, tmp_path):
        out = tmp_path / 'a' / 'b'
        clips = [make_clip(0, 2), dict(frame_dir='x/y z', keypoint=make_clip(
            1, frames=3))]
        results = infer(clips, out_dir=out, save_vis=True)
        assert sorted(path.name for path in out.iterdir()) == [
            '00000_input_0.png', '00001_x_y_z.png', 'predictions.json']
        written = json.loads((out / 'predictions.json').read_text())
        assert written['predictions'] == json.loads(json.dumps(results))
        assert written['classes'] == list(NAMES)
        assert written['config'] == str(LINEAR)
        with Image.open(out / '00000_input_0.png') as picture:
            colours = picture.convert('RGB').getcolors(1 << 24)
        assert len(colours) > 50  # something is drawn

    def test_animation(self, infer, tmp_path):
        infer(make_clip(0, frames=4), out_dir=tmp_path, save_vis='gif')
        with Image.open(tmp_path / '00000_input_0.gif') as gif:
            assert gif.n_frames == 4

    def test_pictures_need_a_folder(self, infer, tmp_path):
        with pytest.raises(ValueError, match='needs an out_dir'):
            infer(make_clip(0), save_vis=True)
        with pytest.raises(ValueError, match="'jpg' must be one of"):
            infer(make_clip(0), save_vis='jpg', out_dir=tmp_path)

    def test_a_table(self, infer, capsys):
        clip = make_clip(0, frames=60)
        clip[:, 20:40] = 0
        infer(clip, window=20, fps=10, print_result=True)
        printed = capsys.readouterr().out
        assert '40-59 (4.0-6.0 s)' in printed and 'nobody' in printed
        assert 'truth' not in printed

    def test_the_truth_is_shown_where_it_is_known(self, infer, capsys,
                                                  monkeypatch):
        monkeypatch.setenv('COLUMNS', '150')
        label = infer(make_clip(0), topk=1)[0]['pred_label']
        other = (label + 1) % 3
        infer([make_clip(0), dict(keypoint=make_clip(0), label=other)],
              topk=1, print_result=True)
        *_, first, second, _ = capsys.readouterr().out.splitlines()
        assert NAMES[other] not in first and NAMES[other] in second


class TestFaults:

    @pytest.mark.parametrize('bad, message', [
        (make_clip(0, joints=17), 'input 1: it has 17 joints'),
        (np.full((1, 3, 25, 3), np.nan), 'input 1.*nan at person 0, frame 0'),
        (np.zeros((1, 3, 25, 3)), 'input 1.*nobody'),
    ])
    def test_inputs(self, infer, bad, message):
        with pytest.raises(InputError, match=message):
            infer([make_clip(0), bad])

    def test_bad_ones_are_left_out(self, infer, tmp_path, monkeypatch):
        said = []
        monkeypatch.setattr('skel_ssl.apis.inputs.print_log',
                            lambda text, *how: said.append(text))
        clips = [make_clip(0), make_clip(0, joints=17), make_clip(1)]
        results = infer(clips, skip_bad=True, out_dir=tmp_path)
        assert [x['input'] for x in results] == ['input 0', 'input 2']
        np.testing.assert_allclose(
            scores_of(results), scores_of(infer(clips[::2])), atol=1e-5)
        written = json.loads((tmp_path / 'predictions.json').read_text())
        (reason, ) = written['skipped']
        assert reason.startswith('input 1: it has 17 joints')
        assert f'left out: {reason}' in said

    def test_no_input(self, infer):
        with pytest.raises(InputError, match='list of inputs is empty'):
            infer([])

    @pytest.mark.parametrize('number', [dict(batch_size=0), dict(topk=0),
                                        dict(fps=0)])
    def test_numbers(self, infer, number):
        with pytest.raises(ValueError, match='must be above 0'):
            infer(make_clip(0), **number)

    def test_times_without_windows(self, infer):
        with pytest.raises(ValueError, match='fps=30 is for the times of win'):
            infer(make_clip(0), fps=30)

    def test_layouts(self, probe):
        def make(layout):
            return SkeletonInferencer(
                LINEAR, probe, 'cpu', layout, cfg_options=TINY_PROBE)

        assert make('ntu25').layout.name == 'ntu25'
        with pytest.raises(ValueError, match="'coco17'.*made for 'ntu25'"):
            make('coco17')
        with pytest.raises(ValueError, match="no layout 'ntu26'"):
            make('ntu26')

    def test_models_that_do_not_classify(self, tmp_path):
        save_pretraining(tmp_path / 'pre.pth')
        with pytest.raises(ValueError, match='does not classify.*FeatureExt'):
            SkeletonInferencer(
                PRETRAIN, tmp_path / 'pre.pth', cfg_options=TINY_PRETRAIN)
        knn = ROOT / 'configs/benchmarks/knn/skel2vec_demo.py'
        save_model(tmp_path / 'knn.pth', knn, {})
        with pytest.raises(ValueError, match='does not classify'):
            SkeletonInferencer(knn, tmp_path / 'knn.pth')


@pytest.fixture(scope='module')
def infer_2d(tmp_path_factory):
    path = tmp_path_factory.mktemp('2d') / 'strl.pth'
    save_model(path, SKELETONMAE_2D, {})
    return SkeletonInferencer(SKELETONMAE_2D, path, 'cpu')


class TestTwoDimensions:

    def test_with_and_without_scores(self, infer_2d, tmp_path):
        clips = [coco_clip('a'), coco_clip('b', 'scoreless'),
                 coco_clip('c', 'absent')]
        together = infer_2d(clips, out_dir=tmp_path, save_vis=True)
        alone = [infer_2d(clip)[0] for clip in clips]
        np.testing.assert_allclose(
            scores_of(together), scores_of(alone), atol=1e-5)
        assert len(os.listdir(tmp_path)) == 4

    def test_windows(self, infer_2d):
        clip = coco_clip('c', 'absent', frames=20)
        windows = infer_2d(clip, window=10)[0]['windows']
        part = dict(clip, keypoint=clip['keypoint'][:, 10:], total_frames=10,
                    keypoint_score=clip['keypoint_score'][:, 10:])
        assert windows[1]['scores'] == pytest.approx(
            infer_2d(part)[0]['scores'], abs=1e-5)

    def test_as_large_as_the_images_are(self, infer_2d, tmp_path):
        """A file that does not say it, against the clip that does."""
        clip = dict(coco_clip('a'), img_shape=(480, 640))
        np.save(tmp_path / 'a.npy', clip['keypoint'].astype(np.float32))
        del clip['keypoint_score']
        told = SkeletonInferencer(
            SKELETONMAE_2D, infer_2d.weights, 'cpu', img_shape=(480, 640))
        path = str(tmp_path / 'a.npy')
        expected = infer_2d(clip)[0]['scores']
        assert told(path)[0]['scores'] == pytest.approx(expected, abs=1e-4)
        with pytest.warns(UserWarning, match='how large the images'):
            unsaid = infer_2d(path)[0]['scores']
        assert np.abs(np.subtract(unsaid, expected)).max() > 1e-3

    def test_layout_by_another_name(self, infer_2d):
        assert infer_2d.layout.joints[0] == 'nose'
        with pytest.raises(InputError, match='takes 2'):
            infer_2d(make_clip(0, joints=17))
