# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""How the training went: the curves, and whether it collapsed."""
import math
import re
from typing import (
    Any,
    Callable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from skel_ssl.evaluation.collapse import collapsed
from skel_ssl.visualization.curves import LABELS, Record, curve, draw_curves

from .html import (
    Html,
    Section,
    absent,
    code,
    join,
    source,
    table,
    tag,
    warning,
)
from .pictures import inline_svg
from .run_files import Log, RunFiles

MONITOR = 'monitor/'
_COUNTERS = ('step', 'iter', 'epoch')
_TIMES = ('time', 'data_time', 'memory')
# Drawn; the others of the monitor are in its table.
_WATCHED = ('student_rank_centred', 'teacher_rank_centred', 'student_cosine',
            'teacher_cosine', 'student_spread', 'teacher_spread',
            'target_raw_std_mean', 'loss_ratio')
_ALARM = re.compile(
    r'(?:pre-training has collapsed|nothing has been learned) at iteration')
_WIDTH, _HEIGHT = 4.4, 2.9  # inches of a panel, readable at 340 pixels


def scalar_keys(run: RunFiles) -> List[str]:
    """What was logged, the best known first; counters are left out."""
    logs = run.scalars()
    there = dict.fromkeys(key for records in logs for record in records
                          for key in record if key not in _COUNTERS)
    known = [key for key in LABELS if key in there]
    return known + [key for key in there if key not in known]


def panel(run: RunFiles, key: str) -> Tuple[Html, str]:
    """The curve of a scalar, and what its steps are."""
    logs = run.scalars()
    fig = draw_curves({str(run.work_dir): logs}, [key])
    fig.set_size_inches(_WIDTH, _HEIGHT)
    [ax] = fig.axes
    unit = ax.get_xlabel()
    steps, values = curve(logs, key)
    title = ax.get_title()
    name = re.sub(r'\W', '-', key)
    alt = (f'{title} over {unit}s: {values[0]:.4g} at {steps[0]:g}, '
           f'{values[-1]:.4g} at {steps[-1]:g}')
    return inline_svg(fig, f'curve-{name}', alt), unit


def extremes(run: RunFiles, key: str, unit: str) -> tuple:
    """A row: first, last, lowest and highest value, and where."""
    steps, values = curve(run.scalars(), key)
    finite = np.isfinite(values)

    def cell(place: int) -> str:
        return f'{values[place]:.4g}'

    def best(choose: Callable[[np.ndarray], Any]) -> str:
        if not finite.any():
            return ''
        place = np.flatnonzero(finite)[choose(values[finite])]
        return f'{cell(place)} ({unit} {steps[place]:g})'

    return (LABELS.get(key, key), cell(0), cell(-1), best(np.argmin),
            best(np.argmax))


_HEAD = ('scalar', 'first', 'last', 'lowest', 'highest')


def curves_section(run: RunFiles) -> Section:
    """All scalars but the collapse monitor's."""
    keys = [key for key in scalar_keys(run) if not key.startswith(MONITOR)]
    scalars = [key for key in keys if key not in _TIMES]
    if not scalars:
        return absent(
            'curves', 'Learning curves', 'There is no log '
            '(*/vis_data/scalars.json) with scalars in the work dir; '
            'training writes it:',
            command=f'python tools/train.py CONFIG --work-dir {run.work_dir}')
    figures, rows = [], []
    seen: List[str] = []
    for key in scalars:
        svg, unit = panel(run, key)
        rows.append(extremes(run, key, unit))
        points = np.stack(curve(run.scalars(), key))
        # One point is no curve; a total of one loss is that loss again.
        if points.shape[1] > 1 and not any(
                np.array_equal(points, other) for other in seen):
            figures.append(tag('figure', svg))
            seen.append(points)
    rows += [extremes(run, key, 'step') for key in _TIMES if key in keys]
    faults = [warning(_not_finite(run, key)) for key in scalars
              if _not_finite(run, key)]
    return Section('curves', 'Learning curves', join(
        *faults, tag('div', *figures, class_='curves'), table(_HEAD, rows),
        _sources(run.logs),
        source('Larger: ', code('python tools/analysis/plot_curves.py '
                                f'{run.work_dir}'))))


def _not_finite(run: RunFiles, key: str) -> str:
    steps, values = curve(run.scalars(), key)
    bad = np.flatnonzero(~np.isfinite(values))
    if not len(bad):
        return ''
    return (f'{LABELS.get(key, key)} is not finite in {len(bad)} of '
            f'{len(values)} records, first at {steps[bad[0]]:g}.')


def _sources(logs: Sequence[Log]) -> Html:
    texts = []
    for log in logs:
        texts += [code(log.path), f', {len(log.records)} records']
        if log.cut_off:
            texts.append(' (the last line was not written to its end and is '
                         'left out)')
        texts.append('; ')
    texts[-1] = '.'
    if len(logs) > 1:
        texts.append(' Where a later log begins, an earlier one ends.')
    return source('From ', *texts)


def alarms(logs: Sequence[Log]) -> List[Tuple[str, str]]:
    """Warnings of the collapse monitor: where, and the message."""
    found = []
    for log in logs:
        if log.text is None:
            continue
        lines = log.text.read_text(encoding='utf-8', errors='replace')
        for number, line in enumerate(lines.splitlines(), 1):
            if ' - WARNING - ' in line and _ALARM.search(line):
                found.append((f'{log.text}, line {number}',
                              line.split(' - WARNING - ')[1]))
    return found


def verdict(record: Record) -> List[str]:
    """Why the features of a check say nothing; no reasons if they do."""
    reasons = []
    for name in ('student', 'teacher'):
        start = f'{MONITOR}{name}_'
        figures = {k[len(start):]: v for k, v in record.items()
                   if k.startswith(start)}
        reason = figures and collapsed(figures)
        if reason:
            reasons.append(f'{name}: {reason}')
    return reasons


def collapse_section(run: RunFiles,
                     info: Optional[Mapping] = None) -> Section:
    """What CollapseMonitorHook saw.

    Args:
        run (RunFiles): The run.
        info (Mapping, optional): The runner's notes in the checkpoint.
    """
    title = 'Collapse monitor'
    keys = [key for key in scalar_keys(run) if key.startswith(MONITOR)]
    if not keys:
        return absent(
            'collapse', title, 'The log has no figures of the collapse '
            'monitor. It watches a pre-training whose config has:',
            command="custom_hooks = [..., dict(type='CollapseMonitorHook')]")
    checks = [r for records in run.scalars() for r in records
              if any(key.startswith(MONITOR) for key in r)]
    last = checks[-1]
    reasons = verdict(last)
    step = f'iteration {last["step"]:g}'
    if reasons:
        judged = warning(f'At {step}, the last check: '
                         f'{"; ".join(reasons)}.')
    else:
        judged = tag('p', f'At {step}, the last of {len(checks)} checks, the '
                     'features are neither constant nor on a line.')
    warned = [warning(text, ' (', code(where), ')')
              for where, text in alarms(run.logs)]
    state = (info or {}).get('collapse_monitor')
    counts = [] if state is None else [tag(
        'p', f'Noted in the checkpoint: {state["low"]} checks in a row with a '
        f'low rank, {state["stuck"]} with a loss like that of a constant.')]
    ratio = last.get(f'{MONITOR}loss_ratio')
    if ratio is not None and math.isfinite(ratio):
        counts.append(tag(
            'p', f'The loss is {ratio:.3g} of what predicting a constant '
            'would have.'))
    drawn = [key for key in keys if key[len(MONITOR):] in _WATCHED]
    figures = [tag('figure', panel(run, key)[0]) for key in drawn]
    rows = [extremes(run, key, 'iteration') for key in keys]
    rows = [(row[0][len(MONITOR):], *row[1:]) for row in rows]
    return Section('collapse', title, join(
        judged, *warned, *counts, tag('div', *figures, class_='curves'),
        tag('details', tag('summary', 'All figures of the monitor'),
            table(_HEAD, rows)), _sources(run.logs)))
