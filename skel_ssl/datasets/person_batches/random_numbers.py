# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Random numbers that depend on the sample, not on who draws them.

A number is a pure function of the seed of its sample, the name of what it is
for, and its place: it is the same on every device, in every process, and
whatever else is in the batch. The generator is SplitMix64 (Steele, Lea and
Flood, OOPSLA 2014), whose state is a counter: any place can be computed
without those before it.
"""
import copy
import math
import zlib
from typing import Optional

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """The int64 with the bits of a uint64."""
    return value - (1 << 64) if value >> 63 else value


_STEP = _signed(0x9E3779B97F4A7C15)
_FACTORS = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)
_BITS = 24  # of a float32 below 1


def _xor_shift(bits: Tensor, places: int) -> Tensor:
    """``bits ^= bits >> places``, with zeros shifted in; in place."""
    low = (1 << 64 - places) - 1
    return bits.bitwise_xor_((bits >> places).bitwise_and_(low))


def mix(bits: Tensor) -> Tensor:
    """SplitMix64's mixing function, a bijection of int64; in place."""
    bits = _xor_shift(bits, 30).mul_(_FACTORS[0])
    bits = _xor_shift(bits, 27).mul_(_FACTORS[1])
    return _xor_shift(bits, 31)


def splitmix64(seeds: Tensor, count: int) -> Tensor:
    """The first outputs of SplitMix64.

    Args:
        seeds (Tensor): ``(P,)`` int64, the bits of the states to start from.
        count (int): n.

    Returns:
        Tensor: ``(P, n)`` int64, the bits of the outputs.
    """
    places = torch.arange(1, count + 1, device=seeds.device)
    return mix(seeds[:, None] + places * _STEP)


class Draw:
    """Random numbers for a batch of samples.

    Args:
        seeds (Tensor): ``(P,)`` int64, the seeds of the samples; the numbers
            are made on their device.
        slots (Tensor, optional): ``(P,)`` int64, the places of persons that
            share the seed of their clip, see :meth:`of_persons`.
    """

    def __init__(self, seeds: Tensor, slots: Optional[Tensor] = None) -> None:
        self._states = mix(seeds + _STEP)
        self._slots = slots
        self._prefix = ''

    def within(self, name: str) -> 'Draw':
        """The same samples, with other numbers under the same names."""
        other = copy.copy(self)
        other._prefix = f'{self._prefix}{name}/'
        return other

    def of_persons(self) -> 'Draw':
        """Numbers of each person's own, where those of a clip share a seed.

        Person 0, and persons that are samples themselves, have the same
        numbers as before.
        """
        if self._slots is None:
            return self
        other = copy.copy(self)
        other._states = self._states + mix(self._slots * _STEP)
        other._slots = None
        return other

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Numbers in [0, 1), multiples of 2**-24.

        Args:
            name (str): What they are for. The same name has the same numbers.
            *shape (int): Their shape for one sample.

        Returns:
            Tensor: ``(P, *shape)`` float32.
        """
        stream = zlib.crc32(f'{self._prefix}{name}'.encode())
        bits = splitmix64(mix(self._states + stream), math.prod(shape))
        top = (bits >> 64 - _BITS).bitwise_and_((1 << _BITS) - 1)
        return top.float().mul_(2.**-_BITS).unflatten(1, shape)

    def normal(self, name: str, *shape: int) -> Tensor:
        """Normal numbers, mean 0 and deviation 1 (Box and Muller's cosine).

        Args:
            name (str): See :meth:`uniform`.
            *shape (int): See there.

        Returns:
            Tensor: ``(P, *shape)`` float32.
        """
        radius, angle = self.uniform(name, 2, *shape).unbind(1)
        return (-2 * (1 - radius).log()).sqrt() * (2 * math.pi * angle).cos()
