# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Clips that wait on the disk until all of them are known."""
import os
import pickle
import tempfile
from typing import Any, Dict, Iterator, Union


class ClipStore:
    """Holds annotations in a file without a name, which nobody else can see.

    A pose pickle begins with its splits, which are known only when the last
    clip has been read. Until then the clips are here, and not in memory.

    Args:
        folder (str | os.PathLike): On which disk.
    """

    def __init__(self, folder: Union[str, os.PathLike]) -> None:
        self._file = tempfile.TemporaryFile(dir=os.fspath(folder))
        self._count = 0

    def append(self, annotation: Dict[str, Any]) -> None:
        """Add an annotation at the end."""
        self._file.seek(0, os.SEEK_END)
        pickle.dump(annotation, self._file, pickle.HIGHEST_PROTOCOL)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Dict[str, Any]]:
        place = 0
        for _ in range(self._count):
            self._file.seek(place)
            annotation = pickle.load(self._file)
            place = self._file.tell()
            yield annotation

    def __enter__(self) -> 'ClipStore':
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()
