# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From scores to plain results: the best classes, a table."""
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np
from rich.markup import escape
from rich.table import Table
from scipy.special import softmax

Result = Dict[str, Any]
_MOST_ROWS = 40


def to_probabilities(scores: np.ndarray,
                     average_clips: Optional[str]) -> np.ndarray:
    """Probabilities of the classes from what a head gives.

    Args:
        scores (np.ndarray): (C, ), or (num_clips, C) of a head that does not
            average them.
        average_clips (str, optional): The head's own: ``'prob'`` gives
            probabilities, otherwise they are logits.

    Returns:
        np.ndarray: (C, ) float64.
    """
    scores = scores.astype(np.float64)
    if average_clips != 'prob':
        scores = softmax(scores, -1)
    return scores.reshape(-1, scores.shape[-1]).mean(0)


def describe_scores(scores: np.ndarray, classes: Optional[Sequence[str]],
                    topk: int) -> Result:
    """The best classes, in plain Python.

    Args:
        scores (np.ndarray): (C, ) probabilities.
        classes (Sequence[str], optional): Names of the classes.
        topk (int): How many classes; all if there are fewer.

    Returns:
        dict: ``pred_label``, ``pred_name`` (None if names are not known),
        ``pred_score``, ``topk`` (tuples of label, name and score, the best
        first; of equals the lower label) and ``scores``.
    """
    best = [(int(i), None if classes is None else classes[i],
             float(scores[i]))
            for i in np.argsort(-scores, kind='stable')[:topk]]
    label, name, score = best[0]
    return dict(
        pred_label=label,
        pred_name=name,
        pred_score=score,
        topk=best,
        scores=scores.tolist())


def make_table(results: Sequence[Result],
               classes: Optional[Sequence[str]] = None) -> Table:
    """Clips with their best classes; windows below their clip.

    Args:
        results (Sequence[dict]): Of ``SkeletonInferencer``; the first 40 rows
            are shown.
        classes (Sequence[str], optional): Names of the true classes.
    """
    table = Table()
    table.add_column('clip', overflow='fold')
    table.add_column('frames', justify='right')
    table.add_column('prediction')
    table.add_column('%', justify='right')
    table.add_column('then')
    labelled = any('gt_label' in result for result in results)
    if labelled:
        table.add_column('truth')
    rows = []
    for result in results:
        truth = [_truth(result, classes)] if labelled else []
        rows.append((escape(result['name']), str(result['num_frames']),
                     *_cells(result), *truth))
        rows += [('', _when(part), *_cells(part))
                 for part in result.get('windows', ())]
    for row in rows[:_MOST_ROWS]:
        table.add_row(*row)
    if len(rows) > _MOST_ROWS:
        table.add_row(f'and {len(rows) - _MOST_ROWS} more rows')
    return table


def _truth(result: Result, classes: Optional[Sequence[str]]) -> str:
    label = result.get('gt_label')
    if label is None:
        return ''
    text = _named(
        label, classes[label] if classes and label < len(classes) else None)
    return text if label == result['pred_label'] else f'[red]{text}[/]'


def _when(part: Result) -> str:
    text = f'{part["start_frame"]}-{part["end_frame"] - 1}'
    if 'start_second' in part:
        text += f' ({part["start_second"]:.1f}-{part["end_second"]:.1f} s)'
    return text


def _cells(part: Result) -> Tuple[str, str, str]:
    if part['pred_label'] is None:
        return 'nobody', '', ''
    (label, name, score), *others = part['topk']
    then = [f'{_named(label, name)} {100 * value:.0f}'
            for label, name, value in others[:2]]
    return _named(label, name), f'{100 * score:.1f}', ', '.join(then)


def _named(label: int, name: Optional[str]) -> str:
    return f'class {label}' if name is None else escape(name)
