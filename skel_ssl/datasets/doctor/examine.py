# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The examination: one pass over the clips, then what follows from it."""
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Optional

from ..layouts import SkeletonLayout
from .body import Body, get_body
from .clips import Clip, read_clip
from .content import (
    find_body_faults,
    find_names,
    find_oddities,
    find_unusable,
)
from .findings import FAULT, SEVERITIES, Finding
from .labels import find_label_faults, find_untrained, read_names
from .leaks import find_copies, find_leaks, index_prints
from .splits import Protocol, find_protocols, read_splits


@dataclass
class Examination:
    """What was found in a file.

    Attributes:
        clips (list[Clip]): Every clip, in the order of the file.
        members (dict[str, list[int]]): Indices of the clips of each split.
        protocols (list[Protocol]): The pairs of splits.
        body (Body): What bodies of the file are like.
        classes (list[str], optional): Names of the classes.
        findings (list[Finding]): Faults first, then warnings, then notes.
    """
    clips: List[Clip]
    members: Dict[str, List[int]]
    protocols: List[Protocol]
    body: Body
    classes: Optional[List[str]]
    findings: List[Finding]

    def of_severity(self, severity: str) -> List[Finding]:
        return [x for x in self.findings if x.severity == severity]

    @property
    def clean(self) -> bool:
        """Whether there is no fault."""
        return not self.of_severity(FAULT)


def examine(
    data: Dict[str, Any],
    layout: Optional[SkeletonLayout] = None,
    progress: Callable[[List[dict]], Iterable[dict]] = iter
) -> Examination:
    """Look for everything that can be wrong with a pose pickle.

    Args:
        data (dict): What :func:`load_annotations` returned.
        layout (SkeletonLayout, optional): The body that every clip must
            have. None: the preset with as many joints as most clips.
        progress (Callable): Wraps the list of annotations, to show how far
            it is; say :func:`rich.progress.track`.

    Returns:
        Examination: The clips, the splits and the findings.
    """
    annotations = data['annotations']
    classes, findings = read_names(data, 'classes')
    joints, about_joints = read_names(data, 'joints')
    findings += about_joints
    body = get_body(annotations, layout, joints or ())
    if joints and body.joints and len(joints) != body.joints:
        findings.append(
            Finding('class-names', f"'joints' names {len(joints)} joints, the "
                    f'clips have {body.joints}'))
    clips = [
        read_clip(index, annotation, body)
        for index, annotation in enumerate(progress(annotations))
    ]
    if not clips:
        findings.append(Finding('no-clips', 'the file holds no clip'))
    members, about_splits = read_splits(data['split'], clips)
    protocols, about_protocols = find_protocols(list(members))
    findings += find_unusable(clips) + find_names(clips)
    findings += find_label_faults(clips, classes)
    findings += about_splits + about_protocols
    index = index_prints(clips)
    for protocol in protocols:
        findings += find_leaks(protocol, members, clips, index)
        findings += find_untrained(
            protocol.name, [clips[i] for i in members[protocol.train]],
            [clips[i] for i in members[protocol.test]], classes)
    findings += find_copies(clips, index)
    findings += find_oddities(clips) + find_body_faults(clips, body)
    findings.sort(key=lambda x: SEVERITIES.index(x.severity))
    return Examination(clips, members, protocols, body, classes, findings)
