# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The colours of a body: its parts and sides, or values of its joints."""
from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgba

from skel_ssl.datasets.layouts import LayoutLike, get_layout

# Blue for the left and red to orange for the right, a shade for each part.
# They are apart for the colour-blind, too: CIE76 distances are above 16.
LEFT = ('#00798c', '#2fb0e0', '#004c58')
RIGHT = ('#d1495b', '#f4a06b', '#8c2437')
MIDDLE = '#2e4057'
PERSONS = (LEFT[0], RIGHT[0], MIDDLE)  # of bodies whose sides are not known
HIDDEN = '#b8c0cc'
TRUTH = '#8b95a3'
REST = '#a3acb8'  # joints without a value
# From pale to dark, without the yellow that is lost on white.
_HEAT = ListedColormap(colormaps['YlOrRd'](np.linspace(0.12, 1, 256)))


@dataclass(frozen=True)
class Look:
    """How a body is drawn.

    Attributes:
        edges (np.ndarray): ``(E, 2)`` joints that a line connects.
        joint_colours (np.ndarray, optional): ``(V, 4)`` RGBA. None: each
            person has a colour.
        edge_colours (np.ndarray): ``(E, 4)`` RGBA.
        legend (dict[str, str]): Colour of each name.
    """
    edges: np.ndarray
    joint_colours: Optional[np.ndarray]
    edge_colours: np.ndarray
    legend: dict


def get_look(layout: Optional[LayoutLike], num_joints: int) -> Look:
    """Colours of a body by its parts and sides.

    A part on one side has a shade of that side's colour. Where the layout
    has no such part, each joint has the colour of its own side. An edge has
    the colour of the end that is on a side.

    Args:
        layout (str | dict | SkeletonLayout, optional): The body, see
            :func:`get_layout`. None: joints without lines.
        num_joints (int): V of the keypoints.

    Raises:
        ValueError: If the layout has another number of joints.
    """
    if layout is None:
        return Look(np.zeros((0, 2), int), None, np.zeros((0, 4)), {})
    body = get_layout(layout)
    if body.num_joints != num_joints:
        raise ValueError(
            f'the clip has {num_joints} joints, layout {body.name!r} has '
            f'{body.num_joints}: give the layout of the data')
    sides = [({left for left, _ in body.flip_pairs}, LEFT),
             ({right for _, right in body.flip_pairs}, RIGHT)]
    groups = [(name, joints, shades[i % len(shades)])
              for side, shades in sides for i, (name, joints) in enumerate(
                  (n, j) for n, j in body.parts.items() if j and side >= {*j})]
    if not groups:
        groups = [(name, tuple(side), shades[0]) for name, (side, shades) in
                  zip(('left', 'right'), sides) if side]
    sided = {j for _, joints, _ in groups for j in joints}
    middle = [name for name, joints in body.parts.items()
              if not sided.issuperset(joints)]
    colours = np.tile(to_rgba(MIDDLE), (num_joints, 1))
    for _, joints, colour in groups:
        colours[list(joints)] = to_rgba(colour)
    edges = np.array(body.edges, int).reshape(-1, 2)
    outer = np.array([b if b in sided and a not in sided else a
                      for a, b in body.edges], int)
    crossing = (colours[edges[:, 0]] != colours[edges[:, 1]]).any(1) & [
        sided.issuperset(edge) for edge in body.edges]
    edge_colours = colours[outer]
    edge_colours[crossing] = to_rgba(MIDDLE)
    legend = {name: colour for name, _, colour in groups}
    if middle:
        legend[', '.join(middle)] = MIDDLE
    return Look(edges, colours, edge_colours, legend)


@dataclass(frozen=True)
class Heat:
    """Values of joints along time, as colours.

    Attributes:
        values (np.ndarray): ``(M, T, V)``, NaN = no value.
        low (float): The value of the palest colour.
        high (float): The value of the darkest colour.
        label (str): What the values are.
        rest (str): What joints without a value are.
    """
    values: np.ndarray
    low: float
    high: float
    label: str
    rest: str = ''

    @property
    def scale(self) -> ScalarMappable:
        """From values to colours."""
        return ScalarMappable(Normalize(self.low, self.high), _HEAT)

    def known(self, person: int, frame: int) -> np.ndarray:
        """``(V, )`` bool, which joints have a value."""
        return ~np.isnan(self.values[person, frame])

    def colours(self, person: int,
                frame: int) -> Tuple[np.ndarray, np.ndarray]:
        """``(V, 4)`` RGBA of the joints, and of their rims."""
        unknown = ~self.known(person, frame)
        fill = self.scale.to_rgba(self.values[person, frame])
        rim = np.tile(to_rgba('#57606a'), (len(fill), 1))
        fill[unknown] = rim[unknown] = to_rgba(REST)
        return fill, rim
