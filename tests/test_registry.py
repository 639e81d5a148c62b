# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Our names in MMAction2's registries: each once, and none of theirs."""
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import mmaction.registry
from mmengine.registry import Registry

import skel_ssl.registry

ROOT = Path(__file__).resolve().parents[1]


def entries():
    """``(registry, name, class)`` of all that is ours."""
    registries = [
        x for x in vars(mmaction.registry).values() if isinstance(x, Registry)
    ]
    return [(registry, name, kind) for registry in registries
            for name, kind in registry.module_dict.items()
            if kind.__module__.startswith('skel_ssl')]


def cold_start(code: str) -> str:
    """What an interpreter that has imported nothing yet prints."""
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        env={
            **os.environ, 'PYTHONPATH': str(ROOT),
            'OMP_NUM_THREADS': '1'
        },
        capture_output=True,
        text=True,
        timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_class_is_registered_once_under_its_own_name():
    found = entries()
    # One from each folder, so that this is not about an empty list.
    assert {
        'SkeletonTransformer', 'MaskedSkeletonModel', 'SkeletonDataset',
        'SeededSampler', 'MotionAwareTubeMask', 'EMATeacherHook', 'KNNMetric',
        'WarmupCosineLR', 'AutocastOptimWrapper', 'TrainableParamsConstructor'
    } <= {name
          for _, name, _ in found}
    for registry, name, kind in found:
        assert name == kind.__name__
        assert registry.get(name) is kind
    assert set(Counter(name for _, name, _ in found).values()) == {1}
    assert set(Counter(kind for _, _, kind in found).values()) == {1}


def test_the_registries_are_those_of_mmaction():
    ours = {name: getattr(skel_ssl.registry, name)
            for name in skel_ssl.registry.__all__}
    for name, registry in ours.items():
        assert registry is getattr(mmaction.registry, name)
        assert registry.scope == 'mmaction'
    assert all(
        any(registry is x for x in ours.values())
        for registry, _, _ in entries())


# The shim of the missing module is loaded by its path: importing it by name
# would import the package.
UPSTREAM = '''
import importlib.util
import json
import sys

spec = importlib.util.spec_from_file_location('shims', 'skel_ssl/compat.py')
shims = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shims)
shims.stub_missing_drn()

import mmaction.registry
import mmengine.registry
from mmaction.utils import register_all_modules
from mmengine.registry import Registry

register_all_modules()
names = {
    name
    for package in (mmaction.registry, mmengine.registry)
    for registry in vars(package).values() if isinstance(registry, Registry)
    for name in registry.module_dict
}
assert not any(m.split('.')[0] == 'skel_ssl' for m in sys.modules)
print(json.dumps(sorted(names)))
'''


def test_none_of_our_names_exists_upstream():
    """It would shadow theirs, or fail at import in one order of the two."""
    upstream = set(json.loads(cold_start(UPSTREAM).splitlines()[-1]))
    assert {'STGCN', 'RecognizerGCN', 'PoseDataset', 'EMAHook'} <= upstream
    ours = {name for _, name, _ in entries()}
    assert not ours & upstream


def test_a_bare_import_leaves_the_gpu_alone():
    """A forked worker could not use it any more."""
    cold_start('''
import torch

def touched(*args):
    raise AssertionError('CUDA was initialised')

torch.cuda._lazy_init = touched
try:
    torch.zeros(1, device='cuda')
except (AssertionError, RuntimeError) as error:
    assert 'CUDA was initialised' in str(error), error
else:
    raise SystemExit('the trap does not work')

import skel_ssl

assert skel_ssl.registry.MODELS.get('SkeletonTransformer')
''')
