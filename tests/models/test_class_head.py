# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Losses and training accuracies of the heads with classes."""
import pytest
import torch
from mmaction.models.heads import BaseHead
from mmaction.structures import ActionDataSample
from torch import Tensor, nn

from skel_ssl.models.heads import FineTuneHead, LinearProbeHead


def samples_of(labels):
    return [ActionDataSample().set_gt_label(label) for label in labels]


class TwoLosses(nn.Module):

    def forward(self, scores, labels):
        return dict(loss_a=scores.sum(), loss_b=labels.sum())


@pytest.mark.parametrize('make', [FineTuneHead, LinearProbeHead])
@pytest.mark.parametrize('clips, classes, topk, smooth', [
    (7, 9, (1, 5), 0.), (1, 9, (1, 5), 0.1), (9, 9, (1, ), 0.1),
    (6, 3, (1, 5), 0.), (5, 4, (2, ), 0.)
])
def test_as_upstream(make, clips, classes, topk, smooth):
    head = make(classes, label_smooth_eps=smooth, topk=topk)
    gen = torch.Generator().manual_seed(0)
    scores = torch.randn(clips, classes, generator=gen)
    hard = samples_of(torch.randint(classes, (clips, 1), generator=gen))
    shares = torch.rand(clips, classes, generator=gen).softmax(1)
    for samples in (hard, samples_of(shares)):
        found = head.loss_by_feat(scores, samples)
        expected = BaseHead.loss_by_feat(head, scores, samples)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name].item() == pytest.approx(value.item()), name
    assert len(head.loss_by_feat(scores, hard)) == 1 + len(topk)
    assert list(found) == ['loss_cls']  # shares have no accuracy


def test_several_losses_keep_their_names():
    head = FineTuneHead(3)
    head.loss_cls = TwoLosses()
    scores = torch.randn(2, 3)
    found = head.loss_by_feat(scores, samples_of([torch.tensor([2]),
                                                  torch.tensor([0])]))
    assert found['loss_a'] == scores.sum() and found['loss_b'] == 2
    assert found.keys() == {'top1_acc', 'top5_acc', 'loss_a', 'loss_b'}


@pytest.mark.parametrize('head', [
    FineTuneHead(4, 8, 5, hidden_channels=16, dropout=0.),
    LinearProbeHead(4, 8)])
def test_a_last_batch_of_one_clip(head):
    """Its norm has no spread: it is that of evaluation."""
    head.norm.running_mean -= 1
    features = torch.randn(1, 2, 8, 3, 5, requires_grad=True)
    logits = head(features)
    torch.testing.assert_close(logits, head.eval()(features))
    assert head.norm.num_batches_tracked == 0
    head.train()(torch.randn(2, 2, 8, 3, 5))
    assert head.norm.num_batches_tracked == 1
    logits.sum().backward()
    assert features.grad.abs().sum() > 0


@pytest.mark.parametrize('label', [3, -1])
def test_a_label_that_is_no_class(label):
    samples = samples_of([torch.tensor([0]), torch.tensor([label])])
    for smooth in (0., .1):
        head = LinearProbeHead(3, label_smooth_eps=smooth)
        with pytest.raises(ValueError, match=f'label {label} .*3 classes'):
            head.loss_by_feat(torch.randn(2, 3), samples)


def test_nothing_is_fetched():
    """On torch's meta device there is nothing that could be."""
    head = FineTuneHead(4, 8, 5, hidden_channels=16).to('meta')
    features = torch.randn(6, 2, 8, 3, 5, device='meta', requires_grad=True)
    labels = torch.zeros(6, 1, dtype=torch.long, device='meta')
    losses = head.loss(features, samples_of(labels))
    losses['loss_cls'].backward()
    assert features.grad.shape == features.shape
    assert all(isinstance(x, Tensor) and x.is_meta for x in losses.values())
