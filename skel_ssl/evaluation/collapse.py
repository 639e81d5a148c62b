# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Figures that tell whether a representation has collapsed.

Pure functions on tensors. Rows are samples (clips, persons or tokens),
columns are channels.
"""
import math
from typing import Callable, Dict, Optional

import torch
from torch import Tensor

# Rows that differ by less than this share of their size are taken as equal:
# float32 networks give about 1e-6 for identical inputs.
ROUNDING = 1e-5
# Measured on encoders of Skeleton2vec, untrained, in training and trained, on
# real and random clips: a relative spread of 0.18 to 0.87, and 12 to 71 % of
# the variance in the first principal direction. A run that was made to
# collapse fell to a spread of 0.018.
MIN_SPREAD = 0.02
MAX_TOP_SHARE = 0.99
# Fewer rows or channels lie close to a line by chance.
MIN_RANK_FOR_LINE = 4


def channel_std(x: Tensor) -> Tensor:
    """Standard deviation of each channel over the rows.

    Args:
        x (Tensor): ``(N, D)``.

    Returns:
        Tensor: ``(D,)`` float32 or float64, divided by N.
    """
    return _as_float(x).std(0, correction=0)


def relative_spread(z: Tensor) -> float:
    """How much the rows differ, in units of their own size.

    ``sqrt(mean over channels of the variance over rows) / rms(z)``.

    Args:
        z (Tensor): ``(N, D)``.

    Returns:
        float: From 0 (all rows are the same) to 1 (their mean is zero); 0
        for rows that are all zero, NaN if a value is not finite.
    """
    z = z.double()
    size = z.square().mean().sqrt()
    if size == 0:
        return 0.
    return float(channel_std(z).square().mean().sqrt() / size)


def effective_rank(z: Tensor, centre: bool = False) -> float:
    """RankMe: how many directions the rows make use of.

    ``exp(-sum p log p)`` of the singular values, ``p = sigma / sum(sigma) +
    1e-7`` (Garrido et al., arXiv 2210.02885, equation 1).

    Args:
        z (Tensor): ``(N, D)``.
        centre (bool): Take off the mean row first; a large mean hides the
            other directions.

    Returns:
        float: From 1 to ``min(N, D)``. 1 for rows that are all zero, and
        with ``centre`` for rows that are equal up to rounding
        (:data:`ROUNDING`): they span nothing, and the rank of the rounding
        errors would be high. NaN if a value is not finite.
    """
    return _rank_of(_singular_values(z, centre))


def mean_pairwise_cosine(z: Tensor) -> float:
    """Mean cosine of all pairs of different rows.

    ``(|sum f_i|^2 - n) / (n (n - 1))`` of the normalised rows ``f_i``.

    Args:
        z (Tensor): ``(N, D)`` with N at least 2. A row of zeros has a
            cosine of 0 with every other.

    Returns:
        float: 1 = all rows point the same way.

    Raises:
        ValueError: If there is one row only.
    """
    n = len(z)
    if n < 2:
        raise ValueError(f'a pairwise cosine needs 2 rows or more, got {n}')
    unit = torch.nn.functional.normalize(z.double(), dim=1)
    # A row of zeros has no unit length to take off.
    own = unit.square().sum()
    return float((unit.sum(0).square().sum() - own) / (n * (n - 1)))


def constant_predictor_loss(
        target: Tensor, token_error: Callable[[Tensor, Tensor],
                                              Tensor]) -> Tensor:
    """Loss of predicting the mean target of each channel everywhere.

    With a squared error it is the mean variance of the channels.

    Args:
        target (Tensor): ``(N, D)``, targets at the hidden tokens.
        token_error (callable): The head's, from predictions and targets to
            the error of each token.

    Returns:
        Tensor: Scalar.
    """
    mean = target.mean(0, keepdim=True).expand_as(target)
    return token_error(mean, target).mean()


class ChannelMoments:
    """Mean and variance of each channel, batch by batch.

    A large number of rows need not be held at once. The batches are merged
    in float64 (Chan et al. 1979), which loses nothing where the mean is
    large. Nothing is fetched from the device until a result is asked for.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = self._squares = torch.zeros((), dtype=torch.float64)

    def update(self, x: Tensor) -> None:
        """Take in more rows.

        Args:
            x (Tensor): ``(..., D)``; may be without rows.
        """
        x = _as_float(x).flatten(0, -2)
        if not len(x):
            return
        var, mean = torch.var_mean(x, dim=0, correction=0)
        self._merge(len(x), mean.double(), var.double() * len(x))

    def merged(self, other: 'ChannelMoments') -> 'ChannelMoments':
        """The moments of the rows of both."""
        result = ChannelMoments()
        for part in (self, other):
            if part.count:
                result._merge(part.count, part._mean, part._squares)
        return result

    @property
    def var(self) -> Tensor:
        """``(D,)`` float64, variance over the rows, divided by their
        number."""
        return self._squares / self.count

    @property
    def std(self) -> Tensor:
        """``(D,)`` float64, see :func:`channel_std`."""
        return self.var.sqrt()

    @property
    def spread(self) -> float:
        """See :func:`relative_spread`."""
        size = (self.var + self._mean.square()).mean().sqrt()
        return float(self.std.square().mean().sqrt() / size) if size else 0.

    def _merge(self, count: int, mean: Tensor, squares: Tensor) -> None:
        total = self.count + count
        shift = mean - self._mean
        self._squares = (
            self._squares + squares + shift.square() *
            (self.count * count / total))
        self._mean = self._mean + shift * (count / total)
        self.count = total


def diagnose_features(z: Tensor) -> Dict[str, float]:
    """The figures of pooled features.

    Args:
        z (Tensor): ``(N, D)``, one row a clip or person; N at least 2, and
            better 4 times D.

    Returns:
        dict[str, float]: ``rank`` and ``rank_centred``, see
        :func:`effective_rank`; ``cosine``, see :func:`mean_pairwise_cosine`;
        ``spread``, see :func:`relative_spread`; ``top_share``, the share of
        the variance along the first principal direction, 1 = all on a line;
        ``max_rank``, the highest rank that N centred rows can have.
    """
    sigma = _singular_values(z, centre=True)
    energy = sigma.square()
    total = energy.sum()
    return dict(
        rank=effective_rank(z),
        rank_centred=_rank_of(sigma),
        cosine=mean_pairwise_cosine(z),
        spread=relative_spread(z),
        top_share=float(energy[0] / total) if total != 0 else 1.,
        max_rank=min(len(z) - 1, z.shape[1]))


def collapsed(figures: Dict[str, float]) -> Optional[str]:
    """Whether figures are those of an encoder that says nothing.

    The cosine alone is no reason: features of a healthy transformer may
    share a large mean.

    Args:
        figures (dict[str, float]): Of :func:`diagnose_features`.

    Returns:
        str | None: The reason in words, or None.
    """
    spread, share = figures['spread'], figures['top_share']
    if not math.isfinite(spread):
        return 'some features are not finite'
    if spread < MIN_SPREAD:
        return ('the features are constant: they vary by '
                f'{spread:.2g} of their size, less than {MIN_SPREAD}')
    if figures['max_rank'] >= MIN_RANK_FOR_LINE and share > MAX_TOP_SHARE:
        return (f'the features lie on a line: one direction has {share:.1%} '
                f'of their variance, more than {MAX_TOP_SHARE:.0%}')
    return None


def _as_float(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _singular_values(z: Tensor, centre: bool) -> Tensor:
    """Descending; all 0 for rows without anything but rounding errors."""
    spread = relative_spread(z)
    if not math.isfinite(spread):
        return z.new_full((min(z.shape), ), math.nan, dtype=torch.float64)
    if centre and spread < ROUNDING:
        return z.new_zeros(min(z.shape), dtype=torch.float64)
    z = z.double()
    return torch.linalg.svdvals(z - z.mean(0) if centre else z)


def _rank_of(sigma: Tensor) -> float:
    total = sigma.sum()
    if total == 0:
        return 1.
    share = sigma / total + 1e-7
    return float(torch.exp(-(share * share.log()).sum()))
