# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Every command of the documents: its tool, its arguments, its config."""
import argparse
import importlib.util
import re
import shlex
import sys
from functools import cache

import pytest
from mmengine.config import Config

from skel_ssl.utils.cli import check_option_names
from tests.docs.markdown import (
    DOCUMENTS,
    ROOT,
    Block,
    commands,
    fenced,
    indented,
    inline,
    read,
)


class Captured(Exception):
    """Carries the parser of a tool."""


@cache
def find_parser(tool: str) -> argparse.ArgumentParser:
    """The parser of a tool, caught at the moment when it would parse."""

    def stop(parser, *args):
        raise Captured(parser)

    spec = importlib.util.spec_from_file_location('a_tool', ROOT / tool)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [tool])
        spec.loader.exec_module(module)
        patch.setattr(argparse.ArgumentParser, 'parse_args', stop)
        with pytest.raises(Captured) as caught:
            module.main()
    return caught.value.args[0]


def options_of(parser: argparse.ArgumentParser, words) -> set:
    """Its options, with those of the sub-command that is named."""
    known = set()
    for action in parser._actions:
        known.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for word in words:
                if word in action.choices:
                    known |= options_of(action.choices[word], words)
    return known


def check(command: str, whole: bool) -> None:
    """See that a command could run.

    Args:
        command (str): What begins with ``python tools/`` or ``bash tools/``.
        whole (bool): Whether all arguments are there; a sentence may leave
            some out.
    """
    program, tool, *words = shlex.split(command)
    assert (ROOT / tool).is_file(), command
    for path in re.findall(r'configs/[\w/]+\.py', command):
        assert (ROOT / path).is_file(), path
    if program == 'bash':
        return
    # valid|all: one of these; "CKPT ...": at least one
    words = [word if '=' in word else word.split('|')[0] for word in words]
    parser = find_parser(tool)
    flags = [word for word in words if re.match(r'--?[a-z]', word)]
    unknown = [flag for flag in flags if flag.partition('=')[0]
               not in options_of(parser, words)]
    assert not unknown, f'{tool} has no {unknown[0]}: {command}'
    if not whole:
        return
    try:
        args, rest = parser.parse_known_args(words)
    except SystemExit:
        raise AssertionError(f'{tool} refuses: {command}') from None
    assert not rest, f'{tool} does not know {rest}: {command}'
    options, config = map(vars(args).get, ('cfg_options', 'config'))
    if options and config and (ROOT / config).is_file():
        check_option_names(Config.fromfile(ROOT / config), options)


@pytest.mark.parametrize('document', DOCUMENTS)
def test_commands(document):
    text = read(document)
    shell = [b for b in fenced(text) if b.language in ('shell', 'bash')]
    for block in shell + indented(text):
        for command in commands(block):
            check(command, whole=True)
    for code in inline(text):
        for command in commands(Block('shell', code, '')):
            check(command, whole=False)


def test_no_shell_block_is_passed_over():
    """Outside the blocks that are read, nobody is told to run a tool."""
    for document in DOCUMENTS:
        for block in fenced(read(document)):
            if block.language not in ('shell', 'bash'):
                assert 'python tools/' not in block.text, document


@pytest.mark.parametrize('command, fault', [
    ('python tools/gone.py', 'gone'),
    ('python tools/train.py configs/gone.py', 'gone'),
    ('python tools/train.py configs/mae_demo.py --sed 1', 'has no --sed'),
    ('python tools/train.py', 'refuses'),
    ('python tools/train.py configs/mae_demo.py two', 'does not know'),
    ('python tools/data/convert.py npz F --scale 2', 'has no --scale'),
])
def test_faults_are_found(command, fault):
    with pytest.raises(AssertionError, match=fault):
        check(command, whole=True)


def test_options_that_do_not_exist_are_found():
    with pytest.raises(ValueError, match='did you mean'):
        check('python tools/train.py configs/mae_demo.py --cfg-options '
              'train_cgf.max_epochs=1', whole=True)


def test_variables_and_brackets():
    block = Block('shell', 'M=hacm  # or mae\nfor S in 0 1; do\n'
                  '  python tools/a.py ${M}_$S.py [--x] \\\n   c[0]=1; done\n',
                  '')
    assert commands(block) == [
        'python tools/a.py hacm_0.py --x     c[0]=1',
        'python tools/a.py hacm_1.py --x     c[0]=1']


@pytest.mark.parametrize('document', DOCUMENTS)
def test_python_compiles(document):
    for block in fenced(read(document)):
        if block.language == 'python':
            compile(block.text, document, 'exec')
