# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The linear probe on features that are already there."""
from typing import Callable, Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skel_ssl.engine.schedulers import warmup_cosine

LEARNING_RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class LinearProbes(nn.Module):
    """Several probes over one batch norm: BN without affine, then linear.

    Args:
        in_channels (int): Width of the features, D.
        num_classes (int): Number of classes, C.
        num_probes (int): Number of probes, R; all start alike.
        generator (torch.Generator, optional): Draws the start; None: zeros.
    """

    def __init__(self,
                 in_channels: int,
                 num_classes: int,
                 num_probes: int,
                 generator: Optional[torch.Generator] = None) -> None:
        super().__init__()
        start = torch.zeros(num_classes, in_channels)
        if generator is not None:
            nn.init.trunc_normal_(start, std=0.01, generator=generator)
        self.norm = nn.BatchNorm1d(in_channels, eps=1e-6, affine=False)
        self.weights = nn.ParameterList(start.clone()
                                        for _ in range(num_probes))
        self.biases = nn.ParameterList(
            torch.zeros(num_classes) for _ in range(num_probes))

    def forward(self, features: Tensor) -> Tensor:
        """``(n, D)`` features to ``(n, R, C)`` logits."""
        # All probes in one product: they share what is read.
        logits = F.linear(
            self.norm(features), torch.cat(list(self.weights)),
            torch.cat(list(self.biases)))
        return logits.unflatten(1, (len(self.weights), -1))


def train_probes(features: Tensor,
                 labels: Tensor,
                 num_classes: int,
                 learning_rates: Sequence[float],
                 seed: int = 0,
                 epochs: int = 100,
                 batch_size: int = 256,
                 on_epoch: Callable[[], None] = lambda: None) -> LinearProbes:
    """Train one probe for each learning rate, side by side.

    SGD with momentum 0.9, no weight decay, cosine to 0 in each iteration, no
    warm-up; the weights after the last epoch are the result. If clips come
    in several views, each epoch takes one of them for each clip, as a
    training with augmentation does.

    Args:
        features (Tensor): ``(n, D)``, or ``(W, n, D)``, W views of each clip.
        labels (Tensor): ``(n,)``.
        num_classes (int): Number of classes.
        learning_rates (Sequence[float]): Absolute rates.
        seed (int): Of the start and of the order of the clips.
        epochs (int): Number of epochs.
        batch_size (int): Clips in a batch.
        on_epoch (Callable): Called after every epoch.

    Returns:
        LinearProbes: In eval mode.

    Raises:
        ValueError: If there are fewer than two clips, which batch norm
            cannot standardise.
    """
    views = features if features.ndim == 3 else features[None]
    num_views, num_clips, width = views.shape
    if num_clips < 2:
        raise ValueError(f'a linear probe on {num_clips} clip(s): its batch '
                         'norm needs two or more')
    generator = torch.Generator().manual_seed(seed)
    probes = LinearProbes(width, num_classes, len(learning_rates), generator)
    probes = probes.to(features.device).train()
    optimizer = torch.optim.SGD([
        dict(params=[weight, bias], lr=lr) for weight, bias, lr in zip(
            probes.weights, probes.biases, learning_rates)
    ], lr=0.1, momentum=0.9)
    # A last batch of one clip has no variance: it is left out.
    rest = num_clips % batch_size == 1
    steps = -(-num_clips // batch_size) - rest
    for epoch in range(epochs):
        order = torch.randperm(num_clips, generator=generator)
        view = torch.zeros_like(order)
        if num_views > 1:
            view = torch.randint(num_views, (num_clips, ), generator=generator)
        order, view = order.to(features.device), view.to(features.device)
        for step in range(steps):
            factor = warmup_cosine(epoch * steps + step, 0, epochs * steps, 0.)
            for group, lr in zip(optimizer.param_groups, learning_rates):
                group['lr'] = lr * factor
            batch = order[step * batch_size:(step + 1) * batch_size]
            logits = probes(views[view[batch], batch])
            # The sum keeps the probes apart: each has its own gradient.
            target = labels[batch, None].expand(-1, len(learning_rates))
            loss = F.cross_entropy(
                logits.flatten(0, 1), target.flatten(),
                reduction='sum') / len(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        on_epoch()
    return probes.eval()


@torch.no_grad()
def probe_accuracy(probes: LinearProbes,
                   features: Tensor,
                   labels: Tensor,
                   topk: Sequence[int] = (1, )) -> Tensor:
    """Accuracy of each probe, ``(R,)``, or ``(K, R)`` for several top-k.

    Args:
        probes (LinearProbes): Trained probes.
        features (Tensor): ``(n, D)``.
        labels (Tensor): ``(n,)``.
        topk (Sequence[int]): The right class must be among so many.
    """
    hits = []
    for x, y in zip(features.split(4096), labels.split(4096)):
        logits = probes(x)
        best = logits.topk(min(max(topk), logits.shape[2]), dim=2).indices
        right = best == y[:, None, None]
        hits.append(torch.stack([right[..., :k].any(2) for k in topk]))
    accuracy = torch.cat(hits, 1).double().mean(1)
    return accuracy[0] if len(topk) == 1 else accuracy
