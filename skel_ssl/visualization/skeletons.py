# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Draw bodies: any layout, several persons, one moment at a time."""
import textwrap
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba, to_rgba_array
from matplotlib.lines import Line2D

from skel_ssl.datasets.layouts import LayoutLike, get_layout

from .cameras import project
from .masks import HIDDEN

# Blue for the left and red to orange for the right, a shade for each part.
# They are apart for the colour-blind, too: CIE76 distances are above 16.
LEFT = ('#00798c', '#2fb0e0', '#004c58')
RIGHT = ('#d1495b', '#f4a06b', '#8c2437')
MIDDLE = '#2e4057'
PERSONS = (LEFT[0], RIGHT[0], MIDDLE)  # of bodies whose sides are not known
_LINES = ('-', (0, (2.2, 1)), (0, (0.8, 0.8)))  # the persons' bones
_MARKERS = 'os^'  # and joints
_FAINTEST = 0.25  # opacity of a joint with a score just above 0

Box = Tuple[float, float, float, float]


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


def seen_joints(keypoint: np.ndarray,
                scores: Optional[np.ndarray] = None) -> np.ndarray:
    """Which joints there are to draw.

    A person whose joints are all zero is absent. With scores, a joint is
    there if its score is above 0. Without, one at exactly zero is not,
    unless its body is around the origin, as it is after centring.

    Args:
        keypoint (np.ndarray): ``(M, T, V, C)``.
        scores (np.ndarray, optional): ``(M, T, V)``.

    Returns:
        np.ndarray: ``(M, T, V)`` bool.
    """
    there = keypoint.any(-1)
    if scores is not None:
        return (scores > 0) & there.any(-1, keepdims=True)
    gap = ~there[..., None]
    low = np.where(gap, np.inf, keypoint).min(2, keepdims=True)
    high = np.where(gap, -np.inf, keypoint).max(2, keepdims=True)
    return there | ((low < 0) & (high > 0)).all(-1)


@dataclass(frozen=True)
class Scene:
    """Bodies along time, ready to be drawn.

    Attributes:
        points (np.ndarray): ``(M, T, V, 2)``, the second pointing up.
        seen (np.ndarray): ``(M, T, V)`` bool, the joints to draw.
        look (Look): The body.
        hidden (np.ndarray, optional): ``(M, T, V)`` bool, joints that a mask
            hides.
        scores (np.ndarray, optional): ``(M, T, V)``, opacity of the joints.
        vectors (bool): The points are no places but vectors (bones, motion):
            each is drawn as a line from the origin.
        frame (tuple, optional): Left, bottom, right, top of the image.
        title (str): In bold.
        details (str): Below it.
        note (str): What is written where nobody is seen.
    """
    points: np.ndarray
    seen: np.ndarray
    look: Look
    hidden: Optional[np.ndarray] = None
    scores: Optional[np.ndarray] = None
    vectors: bool = False
    frame: Optional[Box] = None
    title: str = ''
    details: str = ''
    note: str = 'nobody'

    @property
    def num_frames(self) -> int:
        return self.points.shape[1]

    @property
    def limits(self) -> Box:
        """Left, bottom, right, top of what is drawn.

        All the bodies with a margin; in an image some more around them, but
        nothing outside it.
        """
        corners = [self.points[self.seen].reshape(-1, 2)]
        if self.vectors:
            corners.append(np.zeros((1, 2)))
        corners = np.concatenate(corners)
        if not len(corners):
            return self.frame or (-1., -1., 1., 1.)
        low, high = corners.min(0), corners.max(0)
        size = max((high - low).max(), 1e-6)
        if self.frame is None:
            edge = 0.07 * size
        else:
            edge, around = 0.01 * size, 0.25 * size
            low = np.minimum(low, np.maximum(low - around, self.frame[:2]))
            high = np.maximum(high, np.minimum(high + around, self.frame[2:]))
        return (*(low - edge).tolist(), *(high + edge).tolist())


def make_scene(keypoint: np.ndarray,
               layout: Optional[LayoutLike] = None,
               view: str = 'front',
               up: str = '+y',
               scores: Optional[np.ndarray] = None,
               hidden: Optional[np.ndarray] = None,
               image: Optional[Box] = None,
               **kwargs) -> Scene:
    """Bodies as somebody sees them.

    Args:
        keypoint (np.ndarray): ``(M, T, V, C)``, C two (an image, y down) or
            three.
        layout (str | dict | SkeletonLayout, optional): The body, see
            :func:`get_layout`. None: joints without lines.
        view (str): See :func:`~skel_ssl.visualization.cameras.camera`.
        up (str): See :func:`~skel_ssl.visualization.cameras.camera`.
        scores (np.ndarray, optional): ``(M, T, V)``.
        hidden (np.ndarray, optional): ``(M, T, V)`` bool.
        image (tuple, optional): Left, top, right, bottom of the image in
            which two coordinates are places.
        **kwargs: Other attributes of :class:`Scene`.

    Raises:
        ValueError: See :func:`project` and :func:`get_look`.
    """
    if image is not None:
        left, top, right, bottom = image
        kwargs['frame'] = (left, -bottom, right, -top)
    return Scene(
        project(keypoint, view, up), seen_joints(keypoint, scores),
        get_look(layout, keypoint.shape[2]), hidden, scores, **kwargs)


def empty_scene(note: str, **kwargs) -> Scene:
    """A scene that says why there is nothing to see."""
    return Scene(
        np.zeros((0, 1, 0, 2)),
        np.zeros((0, 1, 0), bool),
        get_look(None, 0),
        note=note,
        **kwargs)


def set_up_axes(ax: Axes, scene: Scene) -> None:
    """Limits of a scene, one scale for both directions, no ticks."""
    left, bottom, right, top = scene.limits
    width, height = ax.get_window_extent().size
    scale = max((right - left) / width, (top - bottom) / height)
    x, y = (left + right) / 2, (bottom + top) / 2
    ax.set_xlim(x - scale * width / 2, x + scale * width / 2)
    ax.set_ylim(y - scale * height / 2, y + scale * height / 2)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color('#e3e6ea')
    if scene.frame is not None:
        left, bottom, right, top = scene.frame
        ax.plot([left, right, right, left, left],
                [bottom, bottom, top, top, bottom],
                c=HIDDEN, lw=0.8, zorder=1)


def draw_moment(ax: Axes,
                scene: Scene,
                frame: int,
                size: float = 1.) -> List[Artist]:
    """Draw the persons of one frame; absent ones have no artists.

    Args:
        ax (Axes): Where to, see :func:`set_up_axes`.
        scene (Scene): The bodies.
        frame (int): The frame, 0 to ``num_frames - 1``.
        size (float): Factor of the widths of lines and joints.

    Returns:
        list[Artist]: What was added: the bones and the joints of each
        person that is there, or the note if nobody is.
    """
    artists = []
    for person in np.flatnonzero(scene.seen[:, frame].any(-1)):
        artists += _draw_person(ax, scene, person, frame, size)
    if not artists:
        note = textwrap.fill(scene.note, 22, max_lines=8, placeholder=' ...')
        artists = [
            ax.text(.5, .5, note, transform=ax.transAxes, ha='center',
                    va='center', fontsize=6.5, c='#7d8590')]
    return artists


def _draw_person(ax: Axes, scene: Scene, person: int, frame: int,
                 size: float) -> List[Artist]:
    points, seen = scene.points[person, frame], scene.seen[person, frame]
    look, style = scene.look, person % len(_LINES)
    fill = look.joint_colours
    if fill is None:
        fill = to_rgba_array(PERSONS[style])
    fill = np.broadcast_to(fill, (len(points), 4)).copy()
    if scene.scores is not None:
        scores = np.clip(scene.scores[person, frame], 0, 1)
        fill[:, 3] = _FAINTEST + (1 - _FAINTEST) * scores
    rim = fill.copy()
    if scene.hidden is not None:
        hidden = scene.hidden[person, frame]
        fill[hidden], rim[hidden] = to_rgba('white'), to_rgba(HIDDEN)
    if scene.vectors:
        lines = np.stack([np.zeros_like(points), points], 1)[seen]
        colours = rim[seen]
    else:
        there = seen[look.edges].all(1)
        edges = look.edges[there]
        lines, colours = points[edges], look.edge_colours[there].copy()
        colours[:, 3] = rim[edges, 3].min(1)
        if scene.hidden is not None:
            colours[hidden[edges].any(1)] = to_rgba(HIDDEN)
    bones = LineCollection(
        lines, colors=colours, linewidths=1.5 * size,
        linestyles=[_LINES[style]], capstyle='round' if style == 0 else 'butt',
        zorder=2)
    ax.add_collection(bones, autolim=False)
    area = (7, 5, 7)[style] if len(look.edges) else 12
    joints = ax.scatter(
        *points[seen].T, s=area * size**2, facecolors=fill[seen],
        edgecolors=rim[seen], linewidths=0.7 * size,
        marker=_MARKERS[style], zorder=3)
    return [bones, joints]


def legend_handles(scenes: List[Scene]) -> List[Line2D]:
    """What the colours and marks of some scenes mean."""
    def mark(label: str, **style) -> Line2D:
        return Line2D([], [], label=label, **style)

    parts = {name: colour for scene in scenes
             for name, colour in scene.look.legend.items()}
    handles = [mark(name, c=colour, lw=2) for name, colour in parts.items()]
    persons = max((int(s.seen.any((1, 2)).sum()) for s in scenes), default=0)
    if persons > 1:
        for i in range(min(persons, len(_LINES))):
            style = dict(c='#7d8590', ls=_LINES[i]) if parts else dict(
                c=PERSONS[i], ls='')
            handles.append(mark(f'person {i + 1}', lw=1.5, ms=3.5,
                                marker=_MARKERS[i], **style))
    if any(scene.hidden is not None for scene in scenes):
        handles.append(mark('hidden by the mask', ls='-', c=HIDDEN, lw=1.5,
                            marker='o', ms=4, mfc='white'))
    if any(scene.scores is not None for scene in scenes):
        handles.append(mark('low score', c=LEFT[0], alpha=_FAINTEST, lw=2))
    return handles
