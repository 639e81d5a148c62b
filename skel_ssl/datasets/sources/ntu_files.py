# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Which ``.skeleton`` files there are, and which of them to read."""
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Set

from .chunks import Fault
from .ntu_splits import belongs, parse_name


def find_files(folders: Sequence[Path]) -> List[Path]:
    """All .skeleton files, by name.

    Raises:
        ValueError: If there are none, or two of one name.
    """
    found: Dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f'there is no folder {folder}')
        for path in folder.rglob('*.skeleton'):
            other = found.setdefault(path.stem, path)
            if other is not path:
                raise ValueError(
                    f'two files are called {path.name}: {other} and {path}. '
                    'Name folders that hold each clip once')
    if not found:
        raise ValueError(
            'there is no .skeleton file in '
            f'{", ".join(map(str, folders))}, nor below')
    return [found[name] for name in sorted(found)]


class Selection(NamedTuple):
    """What becomes of the files.

    Attributes:
        paths (list[Path]): To be converted.
        missing (list[str]): Clips on the missing list.
        others (list[str]): Clips of NTU RGB+D 120 that are not in 60.
        faults (list[Fault]): Files with names that mean nothing.
    """
    paths: List[Path]
    missing: List[str]
    others: List[str]
    faults: List[Fault]


def select_files(files: Sequence[Path], dataset: str,
                 missing: Set[str]) -> Selection:
    """Sort files by what their names say."""
    chosen = Selection([], [], [], [])
    for path in files:
        try:
            name = parse_name(path.stem)
        except ValueError as error:
            chosen.faults.append((path.name, str(error)))
            continue
        if not belongs(name, 'ntu120'):
            chosen.faults.append(
                (path.name, 'the numbers in its name are beyond those of NTU '
                 'RGB+D 120'))
        elif not belongs(name, dataset):
            chosen.others.append(path.stem)
        elif path.stem in missing:
            chosen.missing.append(path.stem)
        else:
            chosen.paths.append(path)
    return chosen
