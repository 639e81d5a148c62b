# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Small made-up 2D poses, in the exact format of MMAction2's HRNet pickles."""
import pickle
import zlib
from pathlib import Path

import numpy as np

IMG_SHAPE = (1080, 1920)

# What can be special about a clip:
#   normal     two persons, all the time, each joint with its score
#   absent     in the frames of ABSENT the second person is raw zeros, and the
#              first person's joint HIDDEN has a score of zero
#   unseen     every score is zero, the coordinates are not
#   scoreless  as 'absent', without scores; the joint is raw zeros
VARIANTS = ('normal', 'absent', 'unseen', 'scoreless')
ABSENT = slice(5, 12)
HIDDEN = 3


def coco_clip(name='clip',
              variant='normal',
              label=0,
              persons=2,
              frames=20,
              dtype=np.float16):
    """An annotation: bodies of some 300 pixels that drift through the image.

    The same arguments make the same clip.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    place = rng.uniform((400, 300), (1500, 800), (persons, 1, 1, 2))
    drift = rng.normal(0, 3, (persons, frames, 1, 2)).cumsum(1)
    body = rng.normal(0, (60, 110), (persons, 1, 17, 2))
    jitter = rng.normal(0, 2, (persons, frames, 17, 2))
    keypoint = (place + drift + body + jitter).clip(1, (1919, 1079))
    score = rng.uniform(0.3, 1, (persons, frames, 17))
    if variant in ('absent', 'scoreless'):
        keypoint[1:, ABSENT] = 0
        score[1:, ABSENT] = 0
        score[0, ABSENT, HIDDEN] = 0
    if variant == 'scoreless':
        keypoint[0, ABSENT, HIDDEN] = 0
    if variant == 'unseen':
        score[:] = 0
    clip = dict(
        frame_dir=name,
        label=label,
        img_shape=IMG_SHAPE,
        original_shape=IMG_SHAPE,
        total_frames=frames,
        keypoint=keypoint.astype(dtype),
        keypoint_score=score.astype(dtype))
    if variant == 'scoreless':
        del clip['keypoint_score']
    return clip


def write_coco_clips(path,
                     splits=('xsub_train', 'xsub_val'),
                     variants=VARIANTS,
                     classes=2,
                     **kwargs):
    """Write a pickle; each split has one clip of each variant, so named.

    Args:
        path (str | Path): The file.
        splits (Sequence[str]): Names of the splits.
        variants (Sequence[str]): One or more of ``VARIANTS``.
        classes (int): Labels run round from 0 to this, exclusive.
        **kwargs: See :func:`coco_clip`.

    Returns:
        str: The path.
    """
    names = {s: [f'{s}_{v}_{i}' for i, v in enumerate(variants)]
             for s in splits}
    clips = [
        coco_clip(name, variant, i % classes, **kwargs)
        for split in splits
        for i, (name, variant) in enumerate(zip(names[split], variants))
    ]
    Path(path).write_bytes(pickle.dumps(dict(split=names, annotations=clips)))
    return str(path)
