# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Self-supervised skeleton action recognition inside MMAction2.

Importing the package registers its models, data sets, transforms, hooks and
metrics in MMAction2's registries.
"""
import importlib

from packaging.specifiers import SpecifierSet

__version__ = '0.1.0'

# what is imported, the versions that work, and how to come by one;
# mmaction is last, as it meets unfit versions of the others with asserts
_REQUIREMENTS = (
    ('torch', '>=2.0', 'pip install "torch>=2.0"'),
    ('mmengine', '>=0.10.7,<1', 'pip install "mmengine>=0.10.7,<1"'),
    ('mmcv', '>=2.0.1,<2.2',
     'pip uninstall mmcv mmcv-lite; pip install "mmcv-lite>=2.0.1,<2.2"'),
    ('mmaction', '>=1.2,<1.3', 'pip install "mmaction2>=1.2,<1.3"'),
)


def _check_version(module: str, window: str, remedy: str) -> None:
    """Raise ImportError if a module is missing or outside its window."""
    try:
        found = importlib.import_module(module).__version__
    except ModuleNotFoundError as error:
        if error.name != module:  # it is there, but lacks something itself
            raise
        found = None
    if not found or not SpecifierSet(window).contains(found, prereleases=True):
        raise ImportError(
            f'skel_ssl {__version__} needs {module} {window}, but '
            f'{f"{found} is installed" if found else "it is missing"}. '
            f'Remedy: {remedy}')


for _requirement in _REQUIREMENTS:
    _check_version(*_requirement)

from . import compat  # noqa: E402

compat.apply()

from . import datasets, engine, evaluation, models  # noqa: E402

__all__ = [
    '__version__', 'compat', 'datasets', 'engine', 'evaluation', 'models'
]
