# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Numbers that depend on the sample and the place alone."""
import zlib

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skel_ssl.datasets.person_batches.random_numbers import (
    Draw,
    mix,
    splitmix64,
)

MASK = (1 << 64) - 1


def as_int64(values):
    return torch.tensor([v - (1 << 64) if v >> 63 else v for v in values])


def mixed_by_hand(value):
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


def test_published_outputs_of_splitmix64():
    """Those of the reference implementation for the seed 1234567."""
    found = splitmix64(torch.tensor([0, 1234567]), 5)[1].tolist()
    assert [value & MASK for value in found] == [
        6457827717110365317, 3203168211198807973, 9817491932198370423,
        4593380528125082431, 16408922859458223821
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, MASK), min_size=1, max_size=9))
def test_mixing_of_any_bits(values):
    found = mix(as_int64(values)).tolist()
    assert [v & MASK for v in found] == [mixed_by_hand(v) for v in values]


def test_numbers_are_the_top_24_bits():
    seeds, name = torch.tensor([7]), b'a/b'
    state = mixed_by_hand(7 + 0x9E3779B97F4A7C15)
    start = as_int64([mixed_by_hand(state + zlib.crc32(name) & MASK)])
    bits = [v & MASK for v in splitmix64(start, 6)[0].tolist()]
    expected = torch.tensor([(v >> 40) / 2**24 for v in bits])
    found = Draw(seeds).within('a').uniform('b', 2, 3)
    assert found.dtype == torch.float32 and found.shape == (1, 2, 3)
    assert torch.equal(found.flatten(), expected)


def test_numbers_belong_to_the_sample_whatever_else_is_there():
    seeds = torch.tensor([3, 2**32 - 1, 0, 3])
    whole = Draw(seeds).uniform('x', 4, 2)
    assert torch.equal(whole[0], whole[3])
    for i, seed in enumerate(seeds):
        alone = Draw(seed[None])
        alone.uniform('before', 5)  # leaves no trace
        assert torch.equal(alone.uniform('x', 4, 2)[0], whole[i])
        longer = alone.uniform('x', 11)[0, :8]  # nor does the shape
        assert torch.equal(longer, whole[i].flatten())
    assert torch.equal(Draw(seeds.flip(0)).uniform('x', 4, 2), whole.flip(0))
    assert seeds.tolist() == [3, 2**32 - 1, 0, 3]


def test_no_two_streams_are_alike():
    draw = Draw(torch.tensor([0, 1]))
    streams = [
        *draw.uniform('a', 50), *draw.uniform('b', 50),
        *draw.within('a').uniform('a', 50), *draw.within('b').uniform('a', 50)
    ]
    for i, one in enumerate(streams):
        for other in streams[:i]:
            # 1 / sqrt(3 * 50) is a deviation of the mean difference
            assert not (one == other).any()
            assert (one - other).mean().abs() < 5 / 150**.5


def test_numbers_are_uniform_and_independent():
    """Of neighbouring seeds, at neighbouring places."""
    numbers = Draw(torch.arange(2000)).uniform('x', 100).double()
    assert numbers.min() >= 0 and numbers.max() < 1
    share = torch.histc(numbers, 20, 0, 1) / numbers.numel()
    spread = (.05 * .95 / numbers.numel())**.5
    assert (share - .05).abs().max() < 5 * spread
    centred = (numbers - .5) * 12**.5
    for one, other in ((centred[1:], centred[:-1]),
                       (centred[:, 1:], centred[:, :-1])):
        product = (one * other).mean()
        assert product.abs() < 5 / one.numel()**.5


def test_normal_numbers():
    numbers = Draw(torch.arange(1000)).normal('x', 10, 20)
    assert numbers.shape == (1000, 10, 20) and numbers.isfinite().all()
    values = np.sort(numbers.flatten().numpy())
    count = len(values)
    assert abs(values.mean()) < 5 / count**.5
    assert abs(values.std() - 1) < 5 / (2 * count)**.5
    # Kolmogorov and Smirnov's distance
    theory = torch.special.ndtr(torch.from_numpy(values)).numpy()
    assert np.abs(theory - np.arange(count) / count).max() < 2.2 / count**.5
