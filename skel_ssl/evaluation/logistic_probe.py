# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The linear probe as a logistic regression, solved to its optimum."""
import warnings
from typing import Callable, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .linear_probe import LinearProbes

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# Of the gradient, in the units of _minimise. A tenth of it takes three times
# as long and moves accuracies by a point at most.
TOLERANCE = 1e-3


def check_penalties(penalties: Sequence[float]) -> None:
    """Raise a ValueError unless all are above 0: without a penalty, classes
    that can be separated have no optimum."""
    wrong = [penalty for penalty in penalties if not penalty > 0]
    if wrong:
        raise ValueError(f'penalties: {wrong[0]} must be above 0, such as '
                         f'{PENALTIES}')


def fit_probes(features: Tensor,
               labels: Tensor,
               num_classes: int,
               penalties: Sequence[float],
               max_iterations: int = 500,
               on_fit: Callable[[], None] = lambda: None) -> LinearProbes:
    """Fit one probe for each penalty.

    Minimises the mean cross-entropy plus half the penalty times the squared
    weights, with L-BFGS, on features that are standardised over all clips
    and views. Nothing is random: there is one optimum, and it is approached
    to ``TOLERANCE``. A few hundred epochs of SGD stay far from it if features
    are correlated, those of a random encoder above all.

    Args:
        features (Tensor): ``(n, D)``, or ``(W, n, D)``, W views of each clip,
            all of which count.
        labels (Tensor): ``(n,)``.
        num_classes (int): Number of classes.
        penalties (Sequence[float]): Strengths, above 0.
        max_iterations (int): Where to stop, with a warning, if a probe is
            not at its optimum.
        on_fit (Callable): Called after every probe.

    Returns:
        LinearProbes: In eval mode, in the order of the penalties.

    Raises:
        ValueError: See :func:`check_penalties`.
    """
    check_penalties(penalties)
    views = features if features.ndim == 3 else features[None]
    x, y = views.flatten(0, 1), labels.repeat(len(views))
    probes = LinearProbes(x.shape[1], num_classes, len(penalties))
    probes = probes.to(x.device).eval()
    probes.norm.load_state_dict(
        dict(running_mean=x.mean(0), running_var=x.var(0, correction=0)),
        strict=False)
    with torch.no_grad():
        x = probes.norm(x)
        # Along the principal axes the problem is nearly round, see _minimise.
        spread, axes = torch.linalg.eigh(x.T @ x / len(x))
        x = x @ axes
    weight, bias = probes.weights[0].detach(), probes.biases[0].detach()
    # From strong to weak: each begins at the optimum of the one before.
    for i in sorted(range(len(penalties)), key=lambda i: -penalties[i]):
        weight, bias, reached = _minimise(weight, bias, x, y, penalties[i],
                                          spread, max_iterations)
        if not reached:
            warnings.warn(
                f'the probe with penalty={penalties[i]:g} on {len(x)} '
                f'features of {x.shape[1]} numbers is not at its optimum '
                f'after {max_iterations} iterations: a stronger penalty '
                'needs fewer',
                stacklevel=2)
        with torch.no_grad():
            probes.weights[i].copy_(weight @ axes.T)
            probes.biases[i].copy_(bias)
        on_fit()
    return probes


def _minimise(weight: Tensor, bias: Tensor, x: Tensor, y: Tensor,
              penalty: float, spread: Tensor, max_iterations: int
              ) -> Tuple[Tensor, Tensor, bool]:
    """The optimal weights and biases, and whether they were reached.

    The curvature along a principal axis is about ``spread * p (1 - p) +
    penalty``, p = 1 / C at the start. In units of its root it is about 1
    along each, and a few dozen iterations will do.
    """
    chance = 1 / len(weight)
    unit = (spread.clamp(min=0) * chance * (1 - chance) + penalty).rsqrt()
    scaled = (weight / unit).requires_grad_()
    bias = bias.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [scaled, bias],
        max_iter=max_iterations,
        max_eval=26 * max_iterations,  # a line search takes 25 at most
        tolerance_grad=TOLERANCE,
        tolerance_change=1e-8,
        line_search_fn='strong_wolfe')

    def closure() -> Tensor:
        optimizer.zero_grad()
        weight = scaled * unit
        loss = F.cross_entropy(F.linear(x, weight, bias), y)
        loss = loss + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    reached: bool = optimizer.state[scaled]['n_iter'] < max_iterations
    return (scaled * unit).detach(), bias.detach(), reached
