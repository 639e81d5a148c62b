# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Findings about labels and the names of classes."""
from collections import Counter
from itertools import count as naturals
from itertools import islice
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .clips import Clip
from .findings import Finding, count, listing

_MAX_LISTED = 20


def read_names(data: Dict[str, Any],
               key: str) -> Tuple[Optional[List[str]], List[Finding]]:
    """The names under a key of the file, and what is wrong with them.

    Returns:
        tuple[list[str] | None, list[Finding]]: None if the file has none.
    """
    names = data.get(key)
    if names is None:
        return None, []
    try:
        names = list(names)
    except TypeError:
        names = [names]
    strays = [name for name in names if not isinstance(name, str)]
    if not strays:
        return names, []
    return None, [
        Finding(
            'class-names', f'{key!r} is not a list of names, it has '
            f'{type(strays[0]).__name__} in it')
    ]


def find_label_faults(clips: Sequence[Clip],
                      classes: Optional[Sequence[str]]) -> List[Finding]:
    """Labels that are missing, invalid or without a name, and gaps."""
    labelled = [clip for clip in clips if clip.label is not None]
    invalid = [clip for clip in clips if clip.label_text is not None]
    missing = [clip for clip in clips
               if clip.label is None and clip.label_text is None]
    findings = []
    if missing and not labelled and not invalid:
        findings.append(Finding('unlabelled', 'no clip has a label'))
    elif missing:
        findings.append(
            Finding('label-missing',
                    f"{count(len(missing), 'clip')} without a 'label'",
                    [clip.name for clip in missing]))
    if invalid:
        findings.append(
            Finding(
                'label-invalid', f"{count(len(invalid), 'label')} not whole "
                'numbers from 0 on', [clip.name for clip in invalid],
                [f'label {clip.label_text}' for clip in invalid]))
    if not labelled:
        return findings
    used = {clip.label for clip in labelled if clip.label is not None}
    num_names = len(classes or ())
    beyond = [clip for clip in labelled
              if classes is not None and clip.label not in range(num_names)]
    if beyond:
        findings.append(
            Finding(
                'label-beyond-classes',
                f"'classes' names {num_names} classes (0 to "
                f"{num_names - 1}), {count(len(beyond), 'clip')} have "
                'larger labels', [clip.name for clip in beyond],
                [f'label {clip.label}' for clip in beyond]))
    num_classes = max(max(used) + 1, num_names)
    gaps = num_classes - len(used)
    if gaps:
        first = islice((i for i in naturals() if i not in used),
                       min(gaps, _MAX_LISTED))
        names = [describe_class(i, classes) for i in first]
        more = f' and {gaps - len(names)} more' if gaps > len(names) else ''
        findings.append(
            Finding(
                'label-gap', f'{count(gaps, "class", "classes")} of '
                f'{num_classes} without a clip: {", ".join(names)}{more}'))
    return findings


def find_untrained(protocol: str, train: Sequence[Clip], test: Sequence[Clip],
                   classes: Optional[Sequence[str]]) -> List[Finding]:
    """Classes of the test set that the training set has not."""
    trained = {clip.label for clip in train}
    untrained = Counter(clip.label for clip in test
                        if clip.label is not None
                        and clip.label not in trained)
    if not trained - {None} or not untrained:
        return []
    return [
        Finding(
            'class-untrained',
            f'{count(len(untrained), "class", "classes")} tested '
            f'({count(sum(untrained.values()), "clip")}) but not trained: ' +
            listing(describe_class(i, classes) for i in sorted(untrained)),
            [clip.name for clip in test if clip.label in untrained],
            place=protocol)
    ]


def describe_class(label: int, classes: Optional[Sequence[str]]) -> str:
    """'3 (throw)', or '3'."""
    if classes is None or label >= len(classes):
        return str(label)
    return f'{label} ({classes[label]})'
