# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Run a document in an empty folder that looks like the repository."""
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, List, Optional

import pytest

from tests.docs.markdown import ROOT, fenced

RUNNER = ROOT / 'tests/docs/run_steps.py'
# What makes training short, whatever the config.
SHORT_LOADER = ('train_dataloader.num_workers=0 '
                'train_dataloader.persistent_workers=False '
                'train_dataloader.batch_size=8')


@pytest.fixture
def workplace(tmp_path) -> Path:
    """What is in the root of the repository, without what is in its data."""
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def write_files(text: str, folder: Path) -> Dict[str, str]:
    """Write the files that a document gives; their names and contents."""
    files = {b.file: b.text for b in fenced(text) if b.file}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return files


def steps_of(text: str,
             shorten: Callable[[str], str] = str,
             options: Optional[Dict[str, str]] = None) -> List[dict]:
    """The code of a document that is run, in order.

    Args:
        text (str): Markdown. Python that is no file is run as it stands;
            every line of a shell block must begin with ``python``, perhaps
            after variables.
        shorten (Callable): Changes words and code, such as the number of the
            last epoch.
        options (dict, optional): What is added to commands, by the
            beginning of the command behind ``python``.
    """
    steps = []
    for block in fenced(text):
        if block.file or block.language not in ('python', 'shell'):
            continue
        if block.language == 'python':
            steps.append(dict(python=shorten(block.text)))
            continue
        for line in block.text.replace('\\\n', ' ').splitlines():
            if line.startswith('#'):
                continue
            variables, _, command = line.partition('python ')
            assert command, line
            more = [extra for start, extra in (options or {}).items()
                    if command.startswith(start)]
            words = shlex.split(shorten(' '.join([command, *more])),
                                comments=True)
            steps.append(dict(words=words, environment=dict(
                pair.split('=') for pair in variables.split())))
    return steps


def run_steps(steps: List[dict], folder: Path) -> str:
    """Run steps in a folder, see ``run_steps.py``; what they print."""
    done = subprocess.run(
        [sys.executable, str(RUNNER)],
        cwd=folder,
        env=dict(
            {k: v for k, v in os.environ.items() if k != 'SKEL_DATA'},
            OMP_NUM_THREADS='1',
            CUDA_VISIBLE_DEVICES='',
            PYTHONPATH=str(ROOT),
            COLUMNS='120'),
        input=json.dumps(steps),
        capture_output=True,
        text=True,
        timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
