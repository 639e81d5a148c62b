# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Recordings as somebody else's software may write them."""
import csv
from pathlib import Path
from typing import Optional, Sequence

import numpy as np


def write_csv(path: Path,
              joints: Sequence[str],
              keypoint: np.ndarray,
              score: Optional[np.ndarray] = None) -> None:
    """A row a person and frame in which somebody is seen.

    Args:
        path (Path): The file.
        joints (Sequence[str]): Their names.
        keypoint (np.ndarray): Shape (M, T, V, C).
        score (np.ndarray, optional): Shape (M, T, V).
    """
    if score is not None:
        keypoint = np.concatenate([keypoint, score[..., None]], -1)
    suffixes = list('xyz'[:keypoint.shape[-1] - (score is not None)])
    suffixes += ['score'] * (score is not None)
    header = [f'{joint}_{suffix}' for joint in joints for suffix in suffixes]
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        alone = len(keypoint) == 1
        writer.writerow(['person'] * (not alone) + ['frame'] + header)
        for t in range(keypoint.shape[1]):
            for person, joints_now in enumerate(keypoint[:, t]):
                if joints_now.any():
                    writer.writerow([person] * (not alone) + [t] + [
                        repr(float(x)) for x in joints_now.ravel()])
