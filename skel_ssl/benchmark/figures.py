# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Figures over seeds: mean, spread, intervals."""
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from scipy import stats

from skel_ssl.evaluation.predictions import wilson

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """An accuracy, one value for each seed, 0 to 1.

    Args:
        values (list[float]): The values.
        num_clips (int): Test clips.
        readout (str, optional): Of which read-out it is.
    """
    values: Tuple[float, ...]
    num_clips: int
    readout: Optional[str] = None

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def std(self) -> Optional[float]:
        """Sample standard deviation, None of one value."""
        return (float(np.std(self.values, ddof=1))
                if len(self.values) > 1 else None)

    @property
    def interval_of_clips(self) -> Tuple[float, float]:
        """Wilson's 95 % interval at the mean: how far another test set of the
        same size would be off by chance."""
        return wilson(round(self.mean * self.num_clips), self.num_clips)

    @property
    def interval_of_seeds(self) -> Optional[Tuple[float, float]]:
        """Student's 95 % interval of the mean over seeds, cut at 0 and 1;
        None of one value."""
        if self.std is None:
            return None
        n = len(self.values)
        half = float(stats.t.ppf(0.975, n - 1)) * self.std / n**0.5
        return max(self.mean - half, 0.), min(self.mean + half, 1.)


def find_figure(records: Sequence[Record], stage: str, test: str,
                readout: Optional[str], metric: str) -> Optional[Figure]:
    """A figure of several seeds; that of a seed is the mean of its runs.

    Args:
        records (Sequence[dict]): Records of the cells of a method on a data
            set.
        stage (str): The stage that found it.
        test (str): The test.
        readout (str, optional): The read-out.
        metric (str): Such as ``'linear'``.

    Returns:
        Figure, optional: None if no record has it.
    """
    wanted = dict(test=test, readout=readout, metric=metric)
    found = [
        figure for stages in done_stages(records, stage)
        for figure in stages.get('figures', ())
        if all(figure[key] == value for key, value in wanted.items())
    ]
    if not found:
        return None
    values = tuple(float(np.mean(figure['values'])) for figure in found)
    return Figure(values, found[0]['num_clips'], readout)


def done_stages(records: Sequence[Record],
                stage: str) -> List[Dict[str, Any]]:
    """What the records hold of a stage that is done."""
    found = [record['stages'].get(stage) for record in records]
    return [x for x in found if x is not None and x['state'] == 'done']


def unlike_seeds(records: Sequence[Record], stage: str) -> List[List[int]]:
    """The seeds of a stage, in groups with the same config, data, tests and
    grids of the probes: one group, unless something was changed between."""
    groups: Dict[str, List[int]] = {}
    for content in done_stages(records, stage):
        kind = [content.get(key) for key in ('config_sha256', 'data_sha256',
                                             'tests')]
        grids = [[name, list(note.get('validation_accuracy') or ())]
                 for run in content.get('runs', ())
                 for name, note in run['notes'].items()]
        text = json.dumps([kind, grids], sort_keys=True)
        groups.setdefault(text, []).append(content.get('seed', 0))
    return list(groups.values())


def choose_readout(records: Sequence[Record],
                   stage: str,
                   readouts: Sequence[str],
                   probe: str = 'linear') -> Optional[str]:
    """The read-out that is best on held-out subjects of the training clips.

    No test clip has a part in it: what counts is the accuracy with which the
    setting of the probe was chosen, averaged over seeds.

    Args:
        records (Sequence[dict]): See :func:`find_figure`.
        stage (str): The stage.
        readouts (Sequence[str]): Those to choose from; the first of several
            as good.
        probe (str): Whose accuracy counts.

    Returns:
        str, optional: None if the probes were not cross-validated.
    """
    means: Dict[str, float] = {}
    for readout in readouts:
        found = [
            validation_accuracy(run, probe)
            for content in done_stages(records, stage)
            for run in content.get('runs', ()) if run['readout'] == readout
        ]
        if not found or None in found:
            return None
        means[readout] = float(np.mean(found))
    return max(means, key=means.__getitem__) if means else None


def validation_accuracy(run: Mapping[str, Any],
                        probe: str = 'linear') -> Optional[float]:
    """The cross-validated accuracy of a probe, at its best setting."""
    tried = run['notes'].get(probe, {}).get('validation_accuracy')
    return max(tried.values()) if tried else None
