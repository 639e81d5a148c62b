# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What each method costs, as a table."""
from typing import Dict, List, Optional

from .figures import done_stages
from .rows import NONE, NOT_RUN, Entry, Records, Row, Table, rows_of, title_of
from .suite import Suite


def cost_table(suite: Suite, records: Records) -> Table:
    """What each method costs on each data set.

    Args:
        suite (Suite): The suite.
        records (dict[Cell, dict]): The records that are there.
    """
    head = ['data', '', 'encoder: parameters', 'pre-training: trained',
            'pre-training: GFLOP a step', 'pre-training: steps',
            'pre-training: seconds', 'fine-tuning: trained',
            'fine-tuning: steps', 'fine-tuning: seconds',
            'inference: GFLOP a clip', 'evaluation: seconds', 'device']
    rows = []
    for data in suite.datasets:
        for row in rows_of(suite, data, records):
            if row.stage == 'frozen' and row.method.encoder != 'raw':
                rows.append([Entry(data.title), title_of(row),
                             *_costs(row)])
    return Table('Cost', head, rows, [
        'Parameters and operations are counted, seconds are the mean over '
        'seeds: CPU seconds of all processes on a CPU, wall seconds on a GPU; '
        'interrupted runs are added up. A step is forward and backward, for '
        'one person (1 multiply-add = 2 FLOP, matrix products); a clip has '
        'all its person slots filled, and is one crop.'
    ])


def _costs(row: Row) -> List[Entry]:
    counted = (done_stages(row.records, 'cost') or [{}])[0]
    parameters = counted.get('parameters', {})
    flops = counted.get('flops', {})
    devices = dict.fromkeys(
        content['environment']['device'] for record in row.records
        for content in record['stages'].values() if content['state'] == 'done')
    method = row.method
    has = dict(pretrain=method.pretrain, finetune=method.finetune,
               frozen=method.frozen, encoder=True,
               inference=method.frozen or method.finetune)

    def entry(part: str, text: Optional[str]) -> Entry:
        return Entry(text or (NOT_RUN if has[part] else NONE))

    return [
        entry('encoder', _count(parameters.get('encoder'))),
        entry('pretrain', _count(parameters.get('pretrain'))),
        entry('pretrain', _giga(flops.get('pretrain'))),
        entry('pretrain', _steps(row, 'pretrain')),
        entry('pretrain', _seconds(row, 'pretrain', 'train')),
        entry('finetune', _count(parameters.get('finetune'))),
        entry('finetune', _steps(row, 'finetune')),
        entry('finetune', _seconds(row, 'finetune', 'train')),
        entry('inference', _giga(flops.get('inference'))),
        entry('frozen', _seconds(row, 'frozen', 'evaluate')),
        Entry(', '.join(devices) or NONE)
    ]


def _count(number: Optional[int]) -> Optional[str]:
    """Such as 152.7 k."""
    if number is None:
        return None
    for unit, factor in (('M', 1e6), ('k', 1e3)):
        if number >= factor:
            return f'{number / factor:.1f} {unit}'
    return str(number)


def _giga(number: Optional[int]) -> Optional[str]:
    return None if number is None else f'{number / 1e9:.3g}'


def _steps(row: Row, stage: str) -> Optional[str]:
    found = done_stages(row.records, stage)
    return str(found[0]['steps']) if found else None


def _seconds(row: Row, stage: str, part: str) -> Optional[str]:
    """Mean seconds of a part of a stage over seeds, and of what."""
    spent: Dict[str, List[float]] = {}
    for content in done_stages(row.records, stage):
        kind, clock = (('GPU', 'wall') if content['device'] == 'cuda' else
                       ('CPU', 'cpu'))
        spent.setdefault(kind, []).append(content['seconds'][part][clock])
    return ', '.join(f'{sum(x) / len(x):.0f} {kind} s'
                     for kind, x in spent.items()) or None
