# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Nearest neighbours by cosine: classification and retrieval."""
from typing import Dict, Iterator, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor


def sort_gallery(query: Tensor,
                 gallery: Tensor,
                 chunk: int = 512) -> Iterator[Tuple[Tensor, Tensor]]:
    """Sort the whole gallery by its similarity to each query.

    Equal similarities are in the order of the gallery, so that the result
    does not depend on the machine's sorting.

    Args:
        query (Tensor): ``(q, D)``.
        gallery (Tensor): ``(g, D)``.
        chunk (int): Queries at a time.

    Yields:
        tuple[Tensor, Tensor]: Cosine similarities, falling, and indices into
        the gallery, both ``(<= chunk, g)``.
    """
    gallery = F.normalize(gallery.float(), dim=1)
    for part in query.split(chunk):
        similarity = F.normalize(part.float(), dim=1) @ gallery.T
        yield torch.sort(similarity, dim=1, descending=True, stable=True)


def vote(similarity: Tensor,
         labels: Tensor,
         num_classes: int,
         temperature: Optional[float] = 0.07) -> Tensor:
    """The class that the neighbours agree on.

    Args:
        similarity (Tensor): ``(q, k)``, of the neighbours.
        labels (Tensor): ``(q, k)``, their classes.
        num_classes (int): Number of classes.
        temperature (float, optional): A neighbour's vote weighs
            ``exp(similarity / temperature)``; None: 1.

    Returns:
        Tensor: ``(q,)``; the lowest of several classes with as many votes.
    """
    if temperature is None:
        weights = torch.ones_like(similarity)
    else:
        # The largest weight is 1: a constant factor changes no vote.
        weights = ((similarity - similarity[:, :1]) / temperature).exp()
    votes = similarity.new_zeros(len(labels), num_classes)
    return votes.scatter_add_(1, labels, weights).argmax(1)


def average_precision(relevant: Tensor) -> Tensor:
    """Average precision of sorted galleries.

    Args:
        relevant (Tensor): ``(q, g)`` bool: whether the gallery's clip at that
            rank is of the query's class.

    Returns:
        Tensor: ``(q,)``, the mean over the relevant clips of the precision at
        their rank; 0 if there are none.
    """
    rank = torch.arange(1, relevant.shape[1] + 1, device=relevant.device)
    precision = relevant.cumsum(1) / rank
    return (precision * relevant).sum(1) / relevant.sum(1).clamp(min=1)


@torch.no_grad()
def evaluate_neighbours(gallery: Tensor,
                        gallery_labels: Tensor,
                        query: Tensor,
                        query_labels: Tensor,
                        ks: Sequence[int] = (1, 20),
                        temperature: Optional[float] = 0.07,
                        recalls: Sequence[int] = (1, 5),
                        retrieval: bool = True) -> Dict[str, float]:
    """Classify and retrieve in one pass over the similarities.

    Args:
        gallery (Tensor): ``(g, D)`` features.
        gallery_labels (Tensor): ``(g,)``.
        query (Tensor): ``(q, D)`` features.
        query_labels (Tensor): ``(q,)``.
        ks (Sequence[int]): Numbers of neighbours; one neighbour needs no
            vote, so the temperature does not matter there.
        temperature (float, optional): See :func:`vote`.
        recalls (Sequence[int]): R@n: the share of queries with a clip of
            their class among the first n.
        retrieval (bool): Whether to compute mAP and recalls.

    Returns:
        dict[str, float]: ``knn_k1``, ... ; ``map``, ``recall_1``, ...; each
        between 0 and 1.

    Raises:
        ValueError: If a k or a recall is below 1 or larger than the gallery,
            or gallery or query are empty.
    """
    if not len(gallery) or not len(query):
        raise ValueError(f'a gallery of {len(gallery)} and a query of '
                         f'{len(query)} clips: neither may be empty')
    ks, recalls = sorted(set(ks)), sorted(set(recalls))  # each once
    wanted = [*ks, *(recalls if retrieval else ())]
    for k in wanted:
        if not 1 <= k <= len(gallery):
            raise ValueError(
                f'k={k} neighbours of a gallery of {len(gallery)} clips: '
                f'choose 1 to {len(gallery)}')
    num_classes = int(max(gallery_labels.max(), query_labels.max())) + 1
    total = {f'knn_k{k}': 0. for k in ks}
    if retrieval:
        total.update({'map': 0., **{f'recall_{n}': 0. for n in recalls}})
    truths = query_labels.split(512)
    for truth, (similarity, index) in zip(truths,
                                          sort_gallery(query, gallery, 512)):
        labels = gallery_labels[index]
        for k in ks:
            found = vote(similarity[:, :k], labels[:, :k], num_classes,
                         temperature)
            total[f'knn_k{k}'] += int((found == truth).sum())
        if retrieval:
            relevant = labels == truth[:, None]
            total['map'] += float(average_precision(relevant).sum())
            for n in recalls:
                total[f'recall_{n}'] += int(relevant[:, :n].any(1).sum())
    return {name: value / len(query) for name, value in total.items()}
