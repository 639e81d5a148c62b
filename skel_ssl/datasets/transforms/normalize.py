# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from typing import Any, Dict, Optional, Tuple

import numpy as np

from skel_ssl.registry import TRANSFORMS

from ..layouts import LayoutLike, get_layout
from .base import PoseTransform
from .geometry import apply_matrix, rotation_between


def occupied_frames(keypoint: np.ndarray) -> np.ndarray:
    """Where a person is seen.

    Args:
        keypoint (np.ndarray): Shape (M, T, V, C).

    Returns:
        np.ndarray: Shape (M, T), bool: True where a coordinate is further
        than 1e-8 from zero.
    """
    near_zero = np.abs(keypoint) <= 1e-8
    return ~near_zero.reshape(*keypoint.shape[:2], -1).all(-1)


def select_frames(keypoint: np.ndarray, occupied: np.ndarray) -> np.ndarray:
    """Keep the frames of the person seen more often, and put it first.

    Args:
        keypoint (np.ndarray): Shape (M, T, V, C), M one or two.
        occupied (np.ndarray): Shape (M, T), see :func:`occupied_frames`.

    Returns:
        np.ndarray: Shape (M, T', V, C); T' is the number of frames in which
        that person is seen. Person 0 stays first in a tie.
    """
    lead = int(occupied.sum(1).argmax())
    keep = occupied[lead]
    ordered = keypoint[::-1] if lead else keypoint
    return ordered if keep.all() else ordered[:, keep]


def centre_on(keypoint: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Move the origin; joints at exactly (0, 0, 0), not seen, stay there.

    Args:
        keypoint (np.ndarray): Shape (M, T, V, C).
        origin (np.ndarray): Shape (C, ).

    Returns:
        np.ndarray: Shape (M, T, V, C).
    """
    seen = (keypoint != 0).any(-1, keepdims=True)
    return (keypoint - origin) * seen


def alignment(pose: np.ndarray, spine: Optional[Tuple[int, int]],
              shoulders: Optional[Tuple[int, int]]) -> np.ndarray:
    """Rotation that turns the spine upright and then the shoulders sideways.

    Args:
        pose (np.ndarray): One person in one frame, shape (V, 3).
        spine (tuple[int, int], optional): (bottom, top), to become parallel
            to +z. None: not turned.
        shoulders (tuple[int, int], optional): (right, left). After the first
            rotation, left -> right is turned parallel to +x, as MMAction2
            does. None: not turned.

    Returns:
        np.ndarray: Shape (3, 3), float64, for column vectors.
    """
    matrix = np.eye(3)
    if spine is not None:
        bottom, top = spine
        matrix = rotation_between(pose[top] - pose[bottom], (0, 0, 1))
        pose = pose @ matrix.T
    if shoulders is not None:
        right, left = shoulders
        matrix = rotation_between(pose[right] - pose[left], (1, 0, 0)) @ matrix
    return matrix


@TRANSFORMS.register_module()
class PosePreNormalize3D(PoseTransform):
    """MMAction2's ``PreNormalize3D``, vectorised and for any layout.

    1. Of two persons, the one seen in more frames becomes person 0. Frames
       in which it is not seen are dropped, for both.
    2. The centre joint of person 0 in the first frame left becomes the
       origin. Joints at exactly zero stay zero. Nothing is scaled.
    3. Optionally everything is rotated so that person 0's spine in that
       frame is parallel to z, and then so that its shoulders are parallel to
       x (which tips the spine again, unless the two are perpendicular).

    The result is MMAction2's: bit for bit and in the dtype of the input
    without alignment, float64 and to 1e-6 with it. An all-zero clip passes
    unchanged, as there. (MMAction2 also takes a clip for empty whose values
    happen to add up to zero; here every value must be zero.)

    Required Keys:

        - keypoint
        - total_frames (optional)

    Modified Keys:

        - keypoint
        - total_frames

    Added Keys:

        - body_center

    Args:
        align_spine (bool): Whether to turn the spine upright.
        align_shoulder (bool): Whether to turn the shoulders sideways.
        layout (str | dict): The body, see :func:`get_layout`: the joints of
            spine and shoulders.
        centre (int, optional): The centre joint. None is MMAction2's rule,
            whatever the layout: joint 1 of a body with 25 joints, and of any
            other body the **last** joint, which is a foot in ``kinect20``.

    Raises:
        ValueError: If the layout lacks what an alignment needs, or the centre
            joint.
    """

    def __init__(self,
                 align_spine: bool = True,
                 align_shoulder: bool = True,
                 layout: LayoutLike = 'ntu25',
                 centre: Optional[int] = None) -> None:
        self.align_spine = align_spine
        self.align_shoulder = align_shoulder
        self.layout = layout
        self.centre = centre
        body = self._body = get_layout(layout)
        for option, joints in (('align_spine', 'spine'), ('align_shoulder',
                                                          'shoulders')):
            if getattr(self, option) and getattr(body, joints) is None:
                raise ValueError(
                    f'layout {body.name!r} does not say which joints are its '
                    f'{joints}: set {option}=False, or give a layout that '
                    'does')
        if centre is None:
            centre = 1 if body.num_joints == 25 else body.num_joints - 1
        if not 0 <= centre < body.num_joints:
            raise ValueError(
                f'centre={centre} is no joint of layout {body.name!r}, whose '
                f'joints are 0 to {body.num_joints - 1}')
        self._centre = centre

    def offline_settings(self) -> Dict[str, Any]:
        body = self._body
        return dict(
            type=type(self).__name__,
            num_joints=body.num_joints,
            centre=self._centre,
            spine=list(body.spine or ()) if self.align_spine else None,
            shoulders=list(body.shoulders or ())
            if self.align_shoulder else None)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Normalise a clip; one from a store is done already.

        Args:
            results (dict): The clip; ``keypoint`` is (M, T, V, 3).

        Returns:
            dict: The same dict.

        Raises:
            ValueError: If the clip does not fit the layout, has more than two
                persons, or has coordinates but no frame with a person, or if
                ``total_frames`` is not T; see also :meth:`done_offline`.
        """
        if self.done_offline(results):
            return results
        keypoint = self.read_keypoint(results)
        persons, frames = keypoint.shape[:2]
        self.check_joints(results, self._body)
        if results.get('total_frames', frames) != frames:
            raise ValueError(
                f"{self.where(results)}: 'total_frames' is "
                f"{results['total_frames']}, but 'keypoint' has {frames} "
                'frames; this transform comes before any sampling of frames')
        if not keypoint.any():
            return results
        if persons > 2:
            raise ValueError(
                f'{self.where(results)}: {persons} persons, but only one or '
                'two can be put in order; choose two when the pickle is made, '
                "or leave such clips out with SkeletonDataset(invalid='drop')")
        occupied = occupied_frames(keypoint)
        if not occupied.any():
            raise ValueError(
                f'{self.where(results)}: no frame holds a person, every '
                'coordinate is within 1e-8 of zero; leave the clip out')

        if keypoint.dtype.kind != 'f':  # differences may not fit into it
            keypoint = keypoint.astype(np.result_type(keypoint, np.float32))
        keypoint = select_frames(keypoint, occupied)
        origin = keypoint[0, 0, self._centre].copy()
        keypoint = centre_on(keypoint, origin)
        if self.align_spine or self.align_shoulder:
            matrix = alignment(
                keypoint[0, 0],
                spine=self._body.spine if self.align_spine else None,
                shoulders=self._body.shoulders
                if self.align_shoulder else None)
            keypoint = apply_matrix(keypoint.astype(np.float64), matrix)

        results['keypoint'] = keypoint
        results['total_frames'] = keypoint.shape[1]
        results['body_center'] = origin
        return results
