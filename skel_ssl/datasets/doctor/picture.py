# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The picture: lengths, findings, class balance and a few bodies."""
from itertools import zip_longest
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .body import direction_name
from .clips import Clip
from .content import main_direction
from .examine import Examination
from .findings import FAULT, NOTE, WARNING
from .labels import describe_class

_COLOURS = {FAULT: '#d1495b', WARNING: '#d98a00', NOTE: '#7d8590'}
_BODY = '#00798c'
_PERSONS = (_BODY, '#66a182', '#2e4057')
_NUM_POSES = 8  # in a row
_MAX_SPLITS = 16  # in the picture of classes
_MAX_CLASSES = 400
_MAX_NAMED = 30  # classes with a tick of their own

# Of these a body can tell something, best first.
_VISIBLE = ('mixed-units', 'mixed-up-axis', 'flung-joint', 'stretched-bone',
            'person-jump', 'copy-other-label', 'leak-values', 'leak-frames',
            'leak-name', 'copied-person', 'empty-first-person', 'many-persons',
            'frozen', 'short-clip', 'gap-frames', 'absent-person')


def draw_examination(annotations: Sequence[Mapping[str, Any]],
                     found: Examination,
                     summary: Dict[str, Any],
                     title: str = '') -> Figure:
    """Draw what was found.

    Args:
        annotations (Sequence[Mapping]): The clips of the file.
        found (Examination): What was found in them.
        summary (dict): See :func:`summarise`.
        title (str): Title of the figure.

    Returns:
        Figure: Lengths and findings; clips of each class and split; below
        bodies of the file, and bodies of clips about which something was
        found.
    """
    odd = _choose_odd(found)
    rows = 3 + bool(odd)
    splits = min(len(summary['splits']), _MAX_SPLITS)
    heights = [2.6, .7 + .26 * max(splits, 2), *[2.3] * (rows - 2)]
    fig = Figure(figsize=(14, sum(heights) + .6), layout='constrained')
    fig.suptitle(f'{title}: {summary["verdict"]}', fontsize=13)
    parts = fig.subfigures(rows, 1, height_ratios=heights)
    left, right = parts[0].subplots(1, 2, width_ratios=[1, 1.25])
    _draw_lengths(left, summary['frames'])
    _draw_findings(right, found)
    _draw_classes(parts[1].subplots(), summary)
    _draw_row(parts[2], annotations, found, _choose_ordinary(found),
              'ordinary clips')
    if odd:
        _draw_row(parts[3], annotations, found, odd, 'look at these')
    return fig


def _draw_lengths(ax: Axes, frames: Optional[Dict[str, Any]]) -> None:
    ax.set_title('lengths', fontsize=10)
    if frames is None:
        ax.text(.5, .5, 'no clip can be used', ha='center', va='center')
        ax.axis('off')
        return
    edges, counts = frames['histogram'].values()
    ax.stairs(counts, edges, fill=True, color=_BODY)
    ax.axvline(frames['median'], c='k', lw=1, ls='--',
               label=f'median {frames["median"]:g}')
    ax.legend(frameon=False, fontsize=8)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel('frames')
    ax.set_ylabel('clips')
    ax.spines[['top', 'right']].set_visible(False)


def _draw_findings(ax: Axes, found: Examination) -> None:
    """A bar a code, as long as the number of clips concerned."""
    ax.set_title('findings (clips concerned)', fontsize=10, loc='left')
    bars: Dict[str, set] = {}
    for finding in found.findings:
        bars.setdefault(finding.code, set()).update(finding.clips)
    if not bars:
        ax.text(.5, .5, 'nothing was found', ha='center', va='center')
        ax.axis('off')
        return
    severity = {x.code: x.severity for x in found.findings}
    codes = list(bars)[::-1]
    sizes = [len(bars[code]) for code in codes]
    drawn = ax.barh(codes, np.maximum(sizes, .8), left=.5,
                    color=[_COLOURS[severity[code]] for code in codes])
    ax.bar_label(drawn, [str(size or 'file') for size in sizes], padding=3,
                 fontsize=8)
    ax.set_xscale('log')
    ax.set_xlim(.5, 4 * max(*sizes, 2))
    ax.tick_params(axis='y', labelsize=min(9, 130 / len(codes)), length=0)
    ax.xaxis.set_visible(False)
    ax.spines[:].set_visible(False)
    handles = [Line2D([], [], marker='s', ls='', c=colour, label=name)
               for name, colour in _COLOURS.items()
               if name in severity.values()]
    ax.legend(handles=handles, frameon=False, fontsize=8, loc='lower right',
              bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0)


def _draw_classes(ax: Axes, summary: Dict[str, Any]) -> None:
    """Clips of each class in each split, relative to the largest class."""
    splits = dict(list(summary['splits'].items())[:_MAX_SPLITS])
    names = summary['classes'] or []
    labels = sorted({int(x) for s in splits.values() for x in s['labels']}
                    | set(range(len(names))))[:_MAX_CLASSES]
    more = len(summary['splits']) - len(splits)
    ax.set_title('clips of each class, by split; pink: none'
                 + (f' ({more} more splits)' if more else ''), fontsize=10)
    if not labels or not splits:
        ax.text(.5, .5, 'no labels in splits', ha='center', va='center')
        ax.axis('off')
        return
    counts = np.array([[split['labels'].get(str(label), 0)
                        for label in labels] for split in splits.values()])
    share = counts / np.maximum(counts.max(1, keepdims=True), 1)
    colours = LinearSegmentedColormap.from_list(
        '', ['#d7ebee', _BODY]).with_extremes(bad='#f6c9cf')
    image = ax.imshow(np.ma.masked_equal(share, 0), cmap=colours, vmin=0,
                      vmax=1, aspect='auto', interpolation='nearest')
    ax.figure.colorbar(image, ax=ax, pad=.01, label='of the largest')
    ax.set_yticks(range(len(splits)), splits, fontsize=8)
    if len(labels) <= _MAX_NAMED:
        texts = [_shorten(describe_class(label, names), 16)
                 for label in labels]
        ax.set_xticks(range(len(labels)), texts, fontsize=7, rotation=35,
                      ha='right', rotation_mode='anchor')
        for row, column in np.ndindex(counts.shape):
            ax.text(column, row, counts[row, column], ha='center',
                    va='center', fontsize=7,
                    c='w' if share[row, column] > .6 else 'k')
    else:
        step = -(-len(labels) // _MAX_NAMED)
        ax.set_xticks(range(0, len(labels), step), labels[::step], fontsize=7)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _choose_ordinary(found: Examination) -> List[Tuple[Clip, str]]:
    """Clips with nothing to look at, of as many classes as possible."""
    said = {name for finding in found.findings if finding.code in _VISIBLE
            for name in finding.clips}
    clips = [clip for clip in found.clips
             if clip.measures is not None and clip.name not in said]
    by_label: Dict[Optional[int], Clip] = {}
    for clip in clips:
        by_label.setdefault(clip.label, clip)
    chosen = list(by_label.values()) if len(by_label) > 1 else clips
    places = np.linspace(0, len(chosen) - 1, min(_NUM_POSES, len(chosen)))
    return [(chosen[i], '') for i in places.astype(int)]


def _choose_odd(found: Examination) -> List[Tuple[Clip, str]]:
    """Clips with findings that a body shows, of every code in turn."""
    by_name = {clip.name: clip for clip in found.clips
               if clip.measures is not None}
    queues = [
        [(name, code) for finding in found.findings if finding.code == code
         for name in finding.clips if name in by_name] for code in _VISIBLE
    ]
    chosen: Dict[str, str] = {}
    for turn in zip_longest(*queues):
        for name, code in filter(None, turn):
            if len(chosen) < _NUM_POSES:
                chosen.setdefault(name, code)
        if len(chosen) == _NUM_POSES:
            break
    return [(by_name[name], code) for name, code in chosen.items()]


def _draw_row(parent: SubFigure, annotations: Sequence[Mapping[str, Any]],
              found: Examination, clips: Sequence[Tuple[Clip, str]],
              title: str) -> None:
    """One body of each clip, with the guessed up axis upwards."""
    parent.suptitle(title, fontsize=10)
    margin, *axes = parent.subplots(
        1, 1 + _NUM_POSES, width_ratios=[.25] + [1] * _NUM_POSES)
    for ax in (margin, *axes):
        ax.axis('off')
    main = main_direction(found.clips)
    vertical, sign = (1, 1) if main is None else (main // 2, 1 - main % 2 * 2)
    severity = {x.code: x.severity for x in found.findings}
    for ax, (clip, code) in zip(axes, clips):
        poses = annotations[clip.index]['keypoint'].astype(float)
        frame = _choose_frame(poses, code)
        _draw_bodies(ax, poses[:, frame], found.body.bones, vertical, sign)
        text = _shorten(clip.name, 24)
        text += f'\n{code}' if code else ''
        if clip.label is not None and not code:
            text += '\n' + _shorten(
                describe_class(clip.label, found.classes), 24)
        ax.set_title(text, fontsize=7,
                     c=_COLOURS[severity[code]] if code else 'k')
    if main is not None:
        margin.annotate(
            f'{direction_name(main)} up', (.5, .8), (.5, .3), fontsize=8,
            xycoords='axes fraction', ha='center', c='#555555',
            arrowprops=dict(arrowstyle='->', color='#555555'))


def _choose_frame(poses: np.ndarray, code: str) -> int:
    """The frame to draw of ``(M, T, V, C)``."""
    seen = np.flatnonzero(poses.any((0, 2, 3)))
    if code in ('flung-joint', 'stretched-bone'):
        return int(seen[np.ptp(poses[:, seen], 2).max((0, 2)).argmax()])
    return int(seen[len(seen) // 2])


def _draw_bodies(ax: Axes, bodies: np.ndarray, bones: np.ndarray,
                 vertical: int, sign: int) -> None:
    """Draw ``(M, V, C)``; joints that are not there are left out."""
    across = 1 if vertical == 0 else 0
    x, y = bodies[..., across], sign * bodies[..., vertical]
    for person, there in enumerate(bodies.any(2)):
        colour = _PERSONS[person % len(_PERSONS)]
        for bone in bones:
            if there[bone].all():
                ax.plot(x[person, bone], y[person, bone], c=colour, lw=1.3)
        ax.scatter(x[person, there], y[person, there], c=colour,
                   s=4 if len(bones) else 10)
    ax.set_aspect('equal', adjustable='datalim')
    ax.margins(.12)


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f'{text[:length - 3]}...'
