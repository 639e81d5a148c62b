# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What is drawn of a clip, of a prediction, and where it goes."""
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from mmengine.visualization import LocalVisBackend
from PIL import Image

from skel_ssl.datasets.layouts import COCO17, NTU25
from skel_ssl.visualization import skeleton_visualizer
from skel_ssl.visualization.contact_sheet import draw_contact_sheet
from skel_ssl.visualization.samples import (
    BodyView,
    read_clip,
    sample_scenes,
    top_classes,
)
from skel_ssl.visualization.skeleton_visualizer import (
    RIGHT,
    WRONG,
    SkeletonVisualizer,
)

M, T, V, S = 2, 6, 25, 3


def clip(persons=M):
    rng = np.random.default_rng(0)
    keypoint = rng.normal(size=(1, M, T, V, 3)).astype(np.float32)
    keypoint[:, persons:] = 0
    return torch.from_numpy(keypoint)


def masked_sample(**more):
    mask = torch.zeros(1, M, S, V, dtype=torch.bool)
    mask[0, 0, 1, 4] = mask[0, 1, 2, 9] = True
    error = torch.ones(1, M, S, V)
    error[0, 0, 1, 4] = 7
    return BaseDataElement(mask=mask, token_error=error, **more)


def scenes_of(inputs, sample, **view):
    return {s.title: s for s in sample_scenes(
        read_clip(inputs, BodyView('ntu25', **view)), sample)}


def test_mask_and_error_are_on_their_joints_and_frames():
    scenes = scenes_of(clip(), masked_sample())
    assert list(scenes) == ['input', 'mask', 'error of hidden tokens']
    hidden = np.zeros((M, T, V), bool)
    hidden[0, 2:4, 4] = hidden[1, 4:6, 9] = True
    np.testing.assert_array_equal(scenes['mask'].hidden, hidden)
    assert '1% of the tokens are hidden' in scenes['mask'].details
    heat = scenes['error of hidden tokens'].heat
    np.testing.assert_array_equal(~np.isnan(heat.values), hidden)
    assert (heat.values[0, 2:4, 4] == 7).all()
    assert (heat.values[1, 4:6, 9] == 1).all()
    assert 'on average' in scenes['error of hidden tokens'].details
    assert heat.low == 0 and 1 < heat.high <= 7


def test_tokens_of_some_joints():
    joints = [24, 3]
    mask = torch.tensor([[[[True, False]], [[True, True]]]])
    sample = BaseDataElement(mask=mask, token_error=mask.float(),
                             token_joints=joints)
    scenes = scenes_of(clip(1), sample)
    hidden = scenes['mask'].hidden
    assert hidden[0, :, 24].all() and hidden[0].sum() == T
    assert '2 of 25 joints are tokens' in scenes['mask'].details
    error = scenes['error of hidden tokens'].heat.values
    # Nobody is in the second slot.
    assert np.isnan(error[1]).all() and (error[0, :, 24] == 1).all()


def test_reconstruction_is_drawn_before_the_truth():
    inputs = clip(1)
    sample = masked_sample(reconstruction=inputs + 1,
                           reconstruction_note='as a test')
    scene = scenes_of(inputs, sample, up='+y')['reconstruction']
    moved = scene.points[0] - scene.truth[0]
    np.testing.assert_allclose(moved, np.broadcast_to([-1, 1], moved.shape),
                               rtol=1e-5)
    assert not scene.seen[1].any() and scene.details == 'as a test'


def test_persons_that_the_model_left_out():
    inputs = clip()
    inputs[:, 1] = inputs[:, 0]  # a copy, as in some pickles
    present = torch.tensor([[True, False]])
    for scene in scenes_of(inputs, masked_sample(present=present)).values():
        assert scene.seen[0].all() and not scene.seen[1].any()


def test_clips_with_scores():
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 9, (1, 1, T, 17, 3))
    view = BodyView(COCO17, num_coordinates=2)
    found = read_clip(values, view)
    assert found.keypoint.shape == (1, T, 17, 2)
    np.testing.assert_allclose(found.scores, values[0, ..., 2], rtol=1e-6)
    # Of three coordinates without a word, the third is depth.
    assert read_clip(values, BodyView()).keypoint.shape[-1] == 3
    four = np.concatenate([values, values[..., :1]], -1)
    assert read_clip(four, BodyView()).scores is not None


def test_bodies_stand_upright():
    values = 0.1 * clip(1).numpy()
    heads = [i for i, n in enumerate(NTU25.joints) if 'head' in n]
    feet = [i for i, n in enumerate(NTU25.joints)
            if 'foot' in n or 'ankle' in n]
    values[..., heads, 2] += 1
    values[..., feet, 2] -= 1
    scene = read_clip(values, BodyView()).scene()
    assert read_clip(values, BodyView()).view.up == '+z'
    assert scene.points[0][:, heads, 1].min() > scene.points[
        0][:, feet, 1].max()


@pytest.mark.parametrize('shape', [(3, 32, 56), (1, 1, T, 25, 7, 2),
                                   (1, 1, T, 25, 1)])
def test_no_keypoints(shape):
    with pytest.raises(ValueError, match='got a shape of'):
        read_clip(np.ones(shape), BodyView())


def test_likeliest_classes():
    sample = BaseDataElement(pred_score=torch.tensor([0.2, 0.7, 0.1]))
    assert [n for n, _ in top_classes(sample, ['a', 'b', 'c'])] == [
        'b', 'a', 'c']
    logits = BaseDataElement(pred_score=torch.tensor([0., np.log(3.)]))
    [(name, share), _] = top_classes(logits)
    assert name == 'class 1' and share == pytest.approx(0.75)
    assert top_classes(BaseDataElement()) == []


@pytest.fixture
def drawn(monkeypatch):
    """What the visualizer hands to the contact sheet."""
    calls = []

    def draw(scenes, title, num_poses, colour):
        calls.append((scenes, title, colour))
        return draw_contact_sheet(scenes, title, 1, colour)

    monkeypatch.setattr(skeleton_visualizer, 'draw_contact_sheet', draw)
    return calls


@pytest.mark.parametrize('truth,title,colour', [
    (1, 'x: predicted sit (88%), right', RIGHT),
    (0, 'x: predicted sit (88%), true: walk', WRONG),
    (None, 'x: predicted sit (88%)', 'black'),
])
def test_prediction_in_the_title(drawn, tmp_path, truth, title, colour):
    sample = BaseDataElement(pred_score=torch.tensor([0.12, 0.88]))
    if truth is not None:
        sample.set_field(torch.tensor([truth]), 'gt_label')
    visualizer = SkeletonVisualizer()
    visualizer.dataset_meta = dict(classes=['walk', 'sit'])
    visualizer.add_datasample('x', clip(), sample,
                              out_file=tmp_path / 'a/b.png')
    [([scene], *found)] = drawn
    assert found == [title, colour]
    assert scene.details == '88%  sit\n12%  walk'
    assert (tmp_path / 'a/b.png').is_file()


def test_what_is_not_to_be_drawn(drawn, tmp_path):
    sample = masked_sample(pred_score=torch.ones(3),
                           gt_label=torch.tensor([2]))
    visualizer = SkeletonVisualizer()
    visualizer.add_datasample('x', clip(), sample, draw_pred=False,
                              out_file=tmp_path / 'a.png')
    visualizer.add_datasample('x', clip(), sample, draw_gt=False,
                              draw_pred=False, out_file=tmp_path / 'a.png')
    assert [len(scenes) for scenes, _, _ in drawn] == [1, 1]
    assert [title for _, title, _ in drawn] == ['x: class 2', 'x']


def test_pictures_go_to_the_backends(tmp_path):
    visualizer = SkeletonVisualizer(
        num_poses=2, vis_backends=[LocalVisBackend(str(tmp_path))])
    visualizer.add_datasample('x', clip(), masked_sample(), step=7)
    picture = Image.open(tmp_path / 'vis_image/x_7.png').convert('RGB')
    # Three rows, with the colours of the left and of the right arm.
    assert 3 * 1.6 * 110 < picture.height < 3 * 2.2 * 110
    pixels = np.asarray(picture).reshape(-1, 3).astype(int)
    for colour in ((0x00, 0x79, 0x8c), (0xd1, 0x49, 0x5b)):
        assert (np.abs(pixels - colour).sum(1) < 12).sum() > 50


def test_animation(tmp_path):
    SkeletonVisualizer().add_datasample(
        'x', clip(), masked_sample(), out_file=tmp_path / 'x.gif')
    with Image.open(tmp_path / 'x.gif') as gif:
        assert gif.n_frames == T


def test_another_kind_of_file(tmp_path):
    with pytest.raises(ValueError, match='must end in .png, .gif or .mp4'):
        SkeletonVisualizer().add_datasample('x', clip(),
                                            out_file=tmp_path / 'x.jpg')
