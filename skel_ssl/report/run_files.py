# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What tools/train.py left in a work dir."""
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

from skel_ssl.visualization.curves import Record

_LOGS = '*/vis_data/scalars.json'
_PROTOCOL = 'frozen/'
_LINE = re.compile(r'\s*(.+?): (.*)')


@dataclass(frozen=True)
class Log:
    """One start of a run; a resumed run has several.

    Attributes:
        path (Path): The ``scalars.json``.
        records (list[dict]): Its lines.
        cut_off (bool): Whether the last line was not written to its end.
        text (Path, optional): The log for people.
    """
    path: Path
    records: List[Record]
    cut_off: bool
    text: Optional[Path]


@dataclass(frozen=True)
class RunFiles:
    """The files of a run that are there.

    Attributes:
        work_dir (Path): The folder.
        config (Path, optional): The config as it was dumped, the newest.
        logs (list[Log]): The oldest first.
        checkpoint (Path, optional): The last one.
        evaluations (list[Path]): Records of tools/evaluate.py.
        dumps (list[Path]): Pickles, perhaps of tools/test.py --dump.
    """
    work_dir: Path
    config: Optional[Path]
    logs: List[Log]
    checkpoint: Optional[Path]
    evaluations: List[Path]
    dumps: List[Path]

    def scalars(self) -> List[List[Record]]:
        """Records of each log, the oldest first."""
        return [log.records for log in self.logs]


def find_run(work_dir: Union[str, Path]) -> RunFiles:
    """Look for the files of a run.

    Args:
        work_dir (str | Path): Where tools/train.py wrote.

    Raises:
        FileNotFoundError: If there is no such folder, or neither a config
            nor a log in it.
        ValueError: If a line of a log is broken, see :func:`read_log`.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f'there is no folder {folder}: give the work '
                                'dir of tools/train.py')
    configs = sorted(folder.glob('*.py'), key=lambda x: x.stat().st_mtime)
    logs = [read_log(path) for path in sorted(folder.glob(_LOGS))]
    if not configs and not logs:
        raise FileNotFoundError(
            f'{folder} is no work dir of tools/train.py: there is neither a '
            f'config (*.py) nor a log ({_LOGS}) in it')
    nearby = [*folder.glob('*.json'), *folder.glob('*/*.json')]
    return RunFiles(
        folder,
        configs[-1] if configs else None,
        logs,
        last_checkpoint(folder),
        sorted(path for path in nearby if _is_evaluation(path)),
        sorted([*folder.glob('*.pkl'), *folder.glob('*/*.pkl')]))


def read_log(path: Path) -> Log:
    """Read a log of MMEngine's LocalVisBackend.

    A run that goes on, or was killed, may have a last line that was not
    written to its end. It is left out.

    Args:
        path (Path): A ``scalars.json``.

    Raises:
        ValueError: If another line is no record, with its number.
    """
    lines = path.read_text(encoding='utf-8').split('\n')
    unfinished = lines.pop()  # what follows the last end of a line
    records = [_record(path, i, line) for i, line in enumerate(lines, 1)]
    cut_off = False
    if unfinished:
        try:
            records.append(_record(path, len(lines) + 1, unfinished))
        except ValueError:
            cut_off = True
    session = path.parents[1]
    text = session / f'{session.name}.log'
    return Log(path, records, cut_off, text if text.is_file() else None)


def _record(path: Path, number: int, line: str) -> Record:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f'{path}, line {number} is not JSON ({error}): {line[:60]!r}; '
            'remove the line, or the folder of this start of the run'
        ) from None
    if not isinstance(record, dict) or 'step' not in record:
        raise ValueError(
            f'{path}, line {number} is no record with a "step": '
            f'{line[:60]!r}; remove the line, or the folder of this start of '
            'the run')
    return record


def last_checkpoint(folder: Path) -> Optional[Path]:
    """The checkpoint that MMEngine wrote last.

    The one that ``last_checkpoint`` names, also if the folder has moved
    since; else that with the highest number.
    """
    note = folder / 'last_checkpoint'
    if note.is_file():
        named = Path(note.read_text(encoding='utf-8').strip())
        for path in (folder / named.name, named):
            if path.is_file():
                return path
    numbered = [(int(found.group(1)), path)
                for path in folder.glob('*.pth')
                for found in [re.fullmatch(r'(?:epoch|iter)_(\d+)', path.stem)]
                if found]
    return max(numbered)[1] if numbered else None


def read_evaluation(path: Path) -> Dict[str, Any]:
    """Read a record of tools/evaluate.py.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f'there is no evaluation {path}')
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is not JSON ({error}): give what '
                         'tools/evaluate.py --out wrote') from None
    protocol = record.get('protocol') if isinstance(record, dict) else None
    if not str(protocol).startswith(_PROTOCOL):
        raise ValueError(
            f'{path} has "protocol" {protocol!r}, not one that starts with '
            f'{_PROTOCOL!r}: give what tools/evaluate.py --out wrote')
    return record


def _is_evaluation(path: Path) -> bool:
    """Whether a JSON file of the work dir says that it is one."""
    head = path.open(encoding='utf-8', errors='replace').read(200)
    return f'"protocol": "{_PROTOCOL}' in head


def read_environment(log: Path) -> Dict[str, str]:
    """The environment that the runner put at the top of its log.

    The long line about how PyTorch was compiled is left out.

    Args:
        log (Path): The log for people.
    """
    found: Dict[str, str] = {}
    inside = False
    with log.open(encoding='utf-8', errors='replace') as lines:
        for line in lines:
            if ' environment:' in line and line[:1] != ' ':
                inside = True
            elif inside and line.startswith('----'):
                break
            elif inside and line.startswith('    '):
                pair = _LINE.fullmatch(line.rstrip('\n'))
                if pair and 'compiling details' not in line:
                    found[pair.group(1)] = pair.group(2)
    return found


def log_times(log: Path) -> Sequence[str]:
    """Date and time of the first and the last line that has one."""
    times = re.findall(r'^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?= - )',
                       log.read_text(encoding='utf-8', errors='replace'),
                       re.MULTILINE)
    return times[:1] + times[-1:]
