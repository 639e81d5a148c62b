# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Packaging. ``pyproject.toml`` holds the build system and the linters."""
import os
import re
import shutil
import sysconfig
from importlib.metadata import distributions
from pathlib import Path
from typing import List

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_EXTRAS = ('configs', 'tools', 'model-index.yml')
ONNX = ['onnx', 'onnxruntime', 'onnxscript']


def read_version() -> str:
    """``__version__``, read and not run: torch may not be there yet."""
    text = (ROOT / 'skel_ssl' / '__init__.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


def mmcv_requirement() -> List[str]:
    """mmcv-lite, unless there is an mmcv of either kind.

    mmcv and mmcv-lite are two distributions of one module: where both are
    installed, each has overwritten files of the other. A build runs in
    isolation, so the question goes to the folders that it will install into.
    """
    target = [sysconfig.get_path('purelib'), sysconfig.get_path('platlib')]
    names = {str(d.metadata['Name']) for d in distributions(path=target)}
    found = {'mmcv', 'mmcv-lite'} & {n.replace('_', '-') for n in names}
    return [] if found else ['mmcv-lite>=2.0.1,<2.2']


class BuildWithMim(build_py):
    """Adds ``skel_ssl/.mim``, where mim looks for configs and tools.

    An editable install gets links into the checkout, a wheel gets copies.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            self._link(ROOT / 'skel_ssl' / '.mim')
        else:
            self._copy(Path(self.build_lib) / 'skel_ssl' / '.mim')

    def _link(self, mim: Path) -> None:
        mim.mkdir(exist_ok=True)
        for name in MIM_EXTRAS:
            link = mim / name
            if link.is_symlink():
                link.unlink()
            link.symlink_to(os.path.relpath(ROOT / name, mim))

    def _copy(self, mim: Path) -> None:
        if mim.exists():
            shutil.rmtree(mim)
        mim.mkdir(parents=True)
        for name in MIM_EXTRAS:
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name,
                    mim / name,
                    ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
            else:
                shutil.copy2(ROOT / name, mim / name)


setup(
    name='skel_ssl',
    version=read_version(),
    description='Self-supervised skeleton action recognition for MMAction2',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='skel_ssl contributors',
    license='Apache-2.0',
    keywords='skeleton action recognition, self-supervised learning',
    packages=find_packages(include=['skel_ssl', 'skel_ssl.*']),
    package_data={'skel_ssl': ['py.typed']},
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False,
    python_requires='>=3.9',
    install_requires=[
        'torch>=2.0',
        'numpy>=1.23',
        'mmengine>=0.10.7,<1',
        'mmaction2>=1.2,<1.3',
        *mmcv_requirement(),
        'importlib_metadata',  # mmaction2 imports it and does not ask for it
        'matplotlib',
        'packaging',
        'rich',
        'scikit-learn>=1.5',
        'scipy',
    ],
    extras_require={
        'tests':
        ['hypothesis', 'mypy', 'pytest', 'pytest-xdist', 'ruff', *ONNX],
        'onnx': ONNX,
        'tensorboard': ['tensorboard'],
        'umap': ['umap-learn'],
    },
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)
