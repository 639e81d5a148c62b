# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From a mask to indices: the only place where they are derived."""
from typing import NamedTuple, Optional

import torch
from torch import Tensor


class TokenIndices(NamedTuple):
    """Where the tokens of a masked batch are.

    Attributes:
        kept (Tensor): ``(P, K)`` int64, positions of the visible tokens;
            ascending if they come from :func:`mask_to_indices`.
        hidden (Tensor): ``(P, H)`` int64, positions of the hidden tokens,
            likewise.
    """
    kept: Tensor
    hidden: Tensor

    @property
    def restore(self) -> Tensor:
        """``(P, K + H)``: gathering ``cat(kept tokens, hidden tokens)`` with
        it puts every token back to its own position."""
        order = torch.cat([self.kept, self.hidden], dim=1)
        places = torch.arange(order.shape[1], device=order.device)
        return torch.empty_like(order).scatter_(1, order,
                                                places.expand_as(order))


def mask_to_indices(mask: Tensor,
                    num_hidden: Optional[int] = None) -> TokenIndices:
    """Split the token positions of a batch into visible and hidden ones.

    Where the number of hidden tokens is not given, it is looked up, and on an
    accelerator must come back to the host: then call it where the mask is
    still in host memory, as the data preprocessor does.

    Args:
        mask (Tensor): ``(P, ...)`` bool, True = hidden, the same number of
            hidden tokens in each row. Trailing axes are flattened.
        num_hidden (int, optional): The number of hidden tokens in each row,
            if it is known. It is believed, and the host need not wait for
            the device.

    Returns:
        TokenIndices: Positions in the flattened token axis.

    Raises:
        ValueError: If the mask is not boolean, or the rows hide different
            numbers of tokens, or there are fewer tokens than ``num_hidden``.
    """
    if mask.dtype != torch.bool:
        raise ValueError(f'a mask is boolean, True = hidden; got {mask.dtype}')
    mask = mask.flatten(1)
    rows, tokens = mask.shape
    if num_hidden is not None:
        if not 0 <= num_hidden <= tokens:
            raise ValueError(
                f'num_hidden={num_hidden} of {tokens} tokens cannot be hidden')
        # As numbers, since not every device sorts booleans.
        order = mask.view(torch.uint8).argsort(dim=1, stable=True)
        return TokenIndices(*order.split([tokens - num_hidden, num_hidden], 1))
    hidden = mask.sum(1)
    if rows and hidden.min() != hidden.max():
        raise ValueError(
            'each person of a batch must have the same number of hidden '
            f'tokens; here it runs from {int(hidden.min())} to '
            f'{int(hidden.max())} of {tokens}')

    def positions(flags: Tensor) -> Tensor:
        found = flags.nonzero()[:, 1]
        return found.view(rows, -1) if rows else found.view(0, 0)

    return TokenIndices(kept=positions(~mask), hidden=positions(mask))


def gather_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Pick tokens by position.

    Args:
        tokens (Tensor): ``(P, L, D)``.
        index (Tensor): ``(P, K)`` int64.

    Returns:
        Tensor: ``(P, K, D)``.
    """
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def place_tokens(tokens: Tensor, index: Tensor, background: Tensor) -> Tensor:
    """Put tokens at their positions on a background.

    Args:
        tokens (Tensor): ``(P, K, D)``.
        index (Tensor): ``(P, K)`` int64, positions.
        background (Tensor): Broadcasts to ``(P, L, D)``; what stands where
            no token is put.

    Returns:
        Tensor: ``(P, L, D)``.
    """
    background = background.to(tokens.dtype)
    grid = background.expand(len(tokens), -1, tokens.shape[-1])
    return grid.scatter(1, index[..., None].expand_as(tokens), tokens)


class HiddenJoints(NamedTuple):
    """Where hidden joints are, if each graph may hide another number.

    Attributes:
        mask (Tensor): ``(G, V)`` bool, True = hidden.
        positions (Tensor): ``(H,)`` int64, the joints to be predicted, in
            the flattened (G, V), ascending: those that are hidden and seen.
    """
    mask: Tensor
    positions: Tensor

    @property
    def counts(self) -> Tensor:
        """``(H,)`` float32: how many joints of its graph are to be
        predicted, for each of them."""
        graph = self.positions.div(self.mask.shape[1], rounding_mode='floor')
        ones = torch.ones_like(graph, dtype=torch.float32)
        return ones.new_zeros(len(self.mask)).index_add(0, graph, ones)[graph]


def find_hidden_joints(mask: Tensor, seen: Tensor) -> HiddenJoints:
    """Which joints are to be predicted.

    As :func:`mask_to_indices`, call it where the mask is in host memory.

    Args:
        mask (Tensor): ``(G, V)`` bool, True = hidden.
        seen (Tensor): ``(G, V)`` bool. A joint that was not seen has nothing
            to predict.

    Returns:
        HiddenJoints: The mask and the positions.
    """
    return HiddenJoints(mask, (mask & seen).flatten().nonzero()[:, 0])
