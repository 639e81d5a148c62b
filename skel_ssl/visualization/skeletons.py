# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Draw bodies: any layout, several persons, one moment at a time."""
import textwrap
from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba, to_rgba_array
from matplotlib.lines import Line2D

from skel_ssl.datasets.layouts import LayoutLike

from .cameras import project
from .looks import HIDDEN, LEFT, PERSONS, REST, TRUTH, Heat, Look, get_look

_LINES = ('-', (0, (2.2, 1)), (0, (0.8, 0.8)))  # the persons' bones
_MARKERS = 'os^'  # and joints
_FAINTEST = 0.25  # opacity of a joint with a score just above 0

Box = Tuple[float, float, float, float]


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
        heat (Heat, optional): Values that colour the joints, in place of the
            parts.
        truth (np.ndarray, optional): ``(M, T, V, 2)``, the same joints as
            they are in truth, drawn thin behind the body.
        marks (np.ndarray, optional): ``(M, T, V)`` bool, joints with a ring.
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
    heat: Optional[Heat] = None
    truth: Optional[np.ndarray] = None
    marks: Optional[np.ndarray] = None
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
        if self.truth is not None:
            corners.append(self.truth[self.seen].reshape(-1, 2))
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
               truth: Optional[np.ndarray] = None,
               **kwargs: Any) -> Scene:
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
        truth (np.ndarray, optional): Shape of ``keypoint``, drawn behind.
        **kwargs: Other attributes of :class:`Scene`.

    Raises:
        ValueError: See :func:`project` and :func:`get_look`.
    """
    if image is not None:
        left, top, right, bottom = image
        kwargs['frame'] = (left, -bottom, right, -top)
    if truth is not None:
        kwargs['truth'] = project(truth, view, up)
    return Scene(
        project(keypoint, view, up), seen_joints(keypoint, scores),
        get_look(layout, keypoint.shape[2]), hidden, scores, **kwargs)


def empty_scene(note: str, **kwargs: Any) -> Scene:
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
    style = person % len(_LINES)
    fill, rim = _joint_colours(scene, person, frame)
    edges = scene.look.edges
    there = seen[edges].all(1)
    colours = rim[seen] if scene.vectors else _edge_colours(
        scene, person, frame, rim)[there]

    def lines_of(points: np.ndarray) -> np.ndarray:
        if scene.vectors:
            return np.stack([np.zeros_like(points), points], 1)[seen]
        return points[edges[there]]

    area = np.full(len(points), (7., 5., 7.)[style] if len(edges) else 12.)
    if scene.heat is not None:
        area *= np.where(scene.heat.known(person, frame), 3.2, 0.6)
    elif scene.hidden is not None:
        area *= np.where(scene.hidden[person, frame], 1., 2.)
    drawn: List[Artist] = [
        ax.add_collection(
            LineCollection(
                lines_of(points), colors=colours, linewidths=1.5 * size,
                linestyles=[_LINES[style]],
                capstyle='round' if style == 0 else 'butt', zorder=2),
            autolim=False),
        ax.scatter(
            *points[seen].T, s=area[seen] * size**2, facecolors=fill[seen],
            edgecolors=rim[seen], linewidths=0.7 * size,
            marker=_MARKERS[style], zorder=3)
    ]
    if scene.truth is not None:
        drawn.append(ax.add_collection(
            LineCollection(
                lines_of(scene.truth[person, frame]), colors=TRUTH,
                linewidths=1.1 * size, zorder=1.5), autolim=False))
    if scene.marks is not None:
        drawn.append(ax.scatter(
            *points[seen & scene.marks[person, frame]].T, s=90 * size**2,
            facecolors='none', edgecolors='black', linewidths=1.2 * size,
            zorder=4))
    return drawn


def _joint_colours(scene: Scene, person: int,
                   frame: int) -> Tuple[np.ndarray, np.ndarray]:
    """``(V, 4)`` RGBA of the joints, and of their rims."""
    if scene.heat is not None:
        return scene.heat.colours(person, frame)
    fill = scene.look.joint_colours
    if fill is None:
        fill = to_rgba_array(PERSONS[person % len(_LINES)])
    fill = np.broadcast_to(fill, (scene.points.shape[2], 4)).copy()
    if scene.scores is not None:
        scores = np.clip(scene.scores[person, frame], 0, 1)
        fill[:, 3] = _FAINTEST + (1 - _FAINTEST) * scores
    rim = fill.copy()
    if scene.hidden is not None:
        hidden = scene.hidden[person, frame]
        fill[hidden], rim[hidden] = to_rgba('white'), to_rgba(HIDDEN)
    return fill, rim


def _edge_colours(scene: Scene, person: int, frame: int,
                  rim: np.ndarray) -> np.ndarray:
    """``(E, 4)`` RGBA, as faint as the fainter end."""
    edges, colours = scene.look.edges, scene.look.edge_colours.copy()
    if scene.heat is not None:
        colours[:] = to_rgba(HIDDEN)
        return colours
    colours[:, 3] = rim[edges, 3].min(1)
    if scene.hidden is not None:
        hidden = scene.hidden[person, frame]
        colours[hidden[edges].any(1)] = to_rgba(HIDDEN)
    return colours


def legend_handles(scenes: List[Scene]) -> List[Line2D]:
    """What the colours and marks of some scenes mean."""
    def mark(label: str, **style: Any) -> Line2D:
        return Line2D([], [], label=label, **style)

    plain = [scene for scene in scenes if scene.heat is None]
    parts = {name: colour for scene in plain
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
    if any(scene.truth is not None for scene in scenes):
        handles.append(mark('truth', c=TRUTH, lw=1.1))
    rest = {scene.heat.rest: None for scene in scenes
            if scene.heat is not None and np.isnan(scene.heat.values).any()}
    handles += [mark(name, ls='-', c=HIDDEN, lw=1.5, marker='o', ms=2,
                     mfc=REST, mec=REST) for name in rest]
    if any(scene.marks is not None for scene in scenes):
        handles.append(mark('the token that looks', ls='', marker='o', ms=8,
                            mfc='none', mec='black'))
    if any(scene.scores is not None for scene in scenes):
        handles.append(mark('low score', c=LEFT[0], alpha=_FAINTEST, lw=2))
    return handles
