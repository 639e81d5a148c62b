# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import numpy as np
import pytest
from mmengine.registry import init_default_scope

from tests.datasets.person_batches.persons import walk, write


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmaction')


@pytest.fixture(scope='session')
def ann_file(tmp_path_factory):
    """Twelve clips, 18 persons: two, one and an absent one, in turn."""
    rng = np.random.default_rng(0)
    clips = []
    for i in range(12):
        clip = walk(rng, 1 if i % 4 == 1 else 2, 10 + 3 * i)
        if i % 4 == 2:
            clip[1] = 0
        clips.append(clip)
    return write(tmp_path_factory.mktemp('persons') / 'clips.pkl', clips)
