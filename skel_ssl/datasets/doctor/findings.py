# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the doctor can find, and how grave each of it is.

A fault is a fact that breaks a run or falsifies a figure. A warning is a
suspicion, or a fact that some protocols live with: somebody must look. A note
is only good to know. Faults decide the verdict.
"""
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, NamedTuple

FAULT, WARNING, NOTE = 'fault', 'warning', 'note'
SEVERITIES = (FAULT, WARNING, NOTE)


class Kind(NamedTuple):
    """One row of the table of codes.

    Attributes:
        severity (str): 'fault', 'warning' or 'note'.
        meaning (str): What is there.
        way_out (str): What to do about it.
    """
    severity: str
    meaning: str
    way_out: str


_DROP = '--fix drops these clips; better: convert them again'
_LEAK = ('--fix adds a protocol "..._clean" whose test set lacks these clips; '
         'report both')

# The codes are stable: scripts rely on them.
KINDS: Dict[str, Kind] = {
    # the clips themselves
    'no-clips':
    Kind(FAULT, 'the file holds no clip', 'run the converter again'),
    'no-name':
    Kind(FAULT, 'clips without a name, so no split can use them', _DROP),
    'duplicate-name':
    Kind(FAULT, 'several clips have one name, a split means all of them',
         'make the names unique; --fix keeps one of equal clips and drops '
         'those that differ, for nobody knows which one is meant'),
    'bad-array':
    Kind(FAULT, "'keypoint' is missing, not numbers or not (M, T, V, C)",
         _DROP),
    'no-frames':
    Kind(FAULT, 'clips without a frame', _DROP),
    'total-frames':
    Kind(FAULT, "'total_frames' is not the number of frames",
         '--fix writes the number of frames that are there'),
    'joint-count':
    Kind(FAULT, 'clips with another number of joints than the layout',
         'give the right --layout, or convert the clips again; --fix drops '
         'them'),
    'coordinate-count':
    Kind(FAULT, 'joints with neither 2 nor 3 coordinates, or both in a file',
         'keep scores in keypoint_score, and 2-D and 3-D clips in files of '
         'their own; --fix drops the odd ones'),
    'not-finite':
    Kind(FAULT, 'NaN or infinite coordinates', _DROP),
    'nobody':
    Kind(FAULT, 'clips in which every coordinate is zero', _DROP),
    'score':
    Kind(FAULT, "'keypoint_score' does not fit 'keypoint'", _DROP),
    'unusable':
    Kind(FAULT, 'clips that cannot be used for another reason', _DROP),
    # labels
    'label-missing':
    Kind(FAULT, "some clips have no 'label', others do",
         'label them, or move them into a file for pre-training'),
    'label-invalid':
    Kind(FAULT, 'labels that are not whole numbers from 0 on',
         'convert again with labels from 0; --fix mends whole numbers '
         'written as 3.0'),
    'label-beyond-classes':
    Kind(FAULT, "labels for which 'classes' has no name",
         "see whether labels start at 1 or 'classes' is too short"),
    'unlabelled':
    Kind(NOTE, 'no clip has a label', 'good for pre-training only'),
    'label-gap':
    Kind(WARNING, 'classes without a single clip',
         'set num_classes to the number of classes all the same, or '
         'renumber'),
    'class-untrained':
    Kind(WARNING, 'classes that are tested but not trained',
         'no supervised model can be right about them: see to the splits'),
    'class-names':
    Kind(WARNING, "'classes' or 'joints' is not a list of names that fits",
         'write one name each, in order'),
    # splits
    'bad-split':
    Kind(FAULT, 'a split that is not a list of names',
         'write a list of frame_dir; --fix leaves the other entries out'),
    'missing-clip':
    Kind(FAULT, 'splits name clips that are not in the file',
         '--fix takes the names out; better: find out why they are missing'),
    'empty-split':
    Kind(FAULT, 'splits without a clip', 'fill them or take them out'),
    'repeated-in-split':
    Kind(WARNING, 'splits that name a clip twice',
         'it is used once only: say so when you count clips'),
    'unused-clip':
    Kind(NOTE, 'clips that are in no split', 'none, if that is meant'),
    'no-split':
    Kind(WARNING, 'the file has no splits',
         'set split=None in the config, or make splits'),
    'lone-split':
    Kind(NOTE, 'splits without a partner, not searched for leaks',
         'name the two sides of a protocol NAME_train and NAME_val'),
    # leaks
    'leak-name':
    Kind(FAULT, 'clips that are trained on and tested on', _LEAK),
    'leak-values':
    Kind(FAULT, 'tested clips whose poses are trained on under another name',
         _LEAK),
    'leak-frames':
    Kind(FAULT, 'tested clips that share frames with training clips', _LEAK),
    'leak-subject':
    Kind(FAULT, 'subjects on both sides of a cross-subject protocol',
         f'make the split again from the list of subjects. {_LEAK}'),
    'leak-camera':
    Kind(FAULT, 'cameras on both sides of a cross-view protocol',
         f'make the split again from the list of cameras. {_LEAK}'),
    'leak-setup':
    Kind(FAULT, 'setups on both sides of a cross-setup protocol',
         f'make the split again from the list of setups. {_LEAK}'),
    'group-unknown':
    Kind(NOTE, 'protocols whose promise cannot be checked',
         "give every clip 'subject', 'camera' or 'setup'"),
    'copied-clip':
    Kind(WARNING, 'clips that are copies of another one in the file',
         'they count twice: mind it when you balance classes'),
    'copy-other-label':
    Kind(FAULT, 'equal clips with different labels',
         'one of the two labels is wrong: see the source'),
    # persons
    'absent-person':
    Kind(NOTE, 'clips with an empty slot for a person',
         'none: empty slots are recognised'),
    'copied-person':
    Kind(WARNING, 'clips whose further person is a copy of the first',
         'none here: copies are recognised. Other code counts them twice'),
    'empty-first-person':
    Kind(WARNING, 'clips whose first slot is empty though a later one is not',
         'put the persons first: much code looks at slot 0 alone'),
    'many-persons':
    Kind(WARNING, 'clips with slots for more than two persons',
         'set max_persons in SkeletonDataset, or convert two only'),
    # time
    'short-clip':
    Kind(WARNING, 'very short clips', 'look at them; resampling repeats '
         'their frames'),
    'frozen':
    Kind(WARNING, 'clips in which nothing moves',
         'look at them: the tracker may have stood still'),
    'gap-frames':
    Kind(WARNING, 'clips with frames in their middle in which nobody is seen',
         'PreNormalize3D drops such frames; or fill them in'),
    'empty-ends':
    Kind(NOTE, 'clips whose first or last frames show nobody',
         'PreNormalize3D drops such frames'),
    # bodies
    'layout-unknown':
    Kind(NOTE, 'no known layout has that many joints',
         'give --layout to have bones looked at'),
    'units':
    Kind(WARNING, 'coordinates that are not in metres',
         'divide by 1000 (mm) or 100 (cm) when you convert'),
    'mixed-units':
    Kind(FAULT, 'bodies of quite another size than the rest of the file',
         'two units in one file: convert those clips again'),
    'mixed-up-axis':
    Kind(WARNING, 'clips whose up axis is not that of the file',
         'turn them when you convert (a fault from 1 % of the clips on)'),
    'flung-joint':
    Kind(WARNING, 'joints far away from their body', 'look at the clips'),
    'stretched-bone':
    Kind(WARNING, 'bones far longer than their own median',
         'look at the clips'),
    'person-jump':
    Kind(WARNING, 'persons that jump from one frame to the next',
         'look at the clips: tracks may be swapped or cut together'),
    'unseen':
    Kind(WARNING, "clips whose 'keypoint_score' is 0 throughout",
         "take 'keypoint_score' out if it means nothing (a fault if no clip "
         'has any other)'),
}


@dataclass
class Finding:
    """Something that was found.

    Attributes:
        code (str): A key of ``KINDS``.
        message (str): What was found, with counts.
        clips (list[str]): Names of the clips concerned, all of them.
        details (list[str]): What about each clip; as many as clips, or none.
        place (str): The split or protocol, '' for the whole file.
        severity (str): That of its kind, unless it is said here.
    """
    code: str
    message: str
    clips: List[str] = field(default_factory=list)
    details: List[str] = field(default_factory=list)
    place: str = ''
    severity: str = ''

    def __post_init__(self) -> None:
        self.severity = self.severity or KINDS[self.code].severity

    @property
    def way_out(self) -> str:
        return KINDS[self.code].way_out

    def as_dict(self) -> Dict[str, Any]:
        """All of it, as JSON can hold it."""
        return dict(
            code=self.code,
            severity=self.severity,
            place=self.place,
            message=self.message,
            way_out=self.way_out,
            clips=self.clips,
            details=self.details)


def count(number: int, thing: str, things: str = '') -> str:
    """'1 clip', '2 clips'; ``things`` where the plural has no plain s."""
    return f'{number} {thing if number == 1 else things or thing + "s"}'


def listing(items: Iterable[Any], shown: int = 8) -> str:
    """'a, b, c and 9 more'."""
    items = [str(item) for item in items]
    text = ', '.join(items[:shown])
    left = len(items) - shown
    return f'{text} and {left} more' if left > 0 else text
