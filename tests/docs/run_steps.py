# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Run the code of a document, step by step, in the current folder.

Reads a JSON list of steps from standard input: ``{"python": code}``, or
``{"words": [...], "environment": {...}}`` for ``python WORDS``, with the exit
status in ``"status"`` if it must not be 0. Each runs in a process of its own,
as if it had been typed, but is forked from this one, so that libraries are
imported once. What the steps print is printed; the first one that ends in
another way ends all.
"""
import json
import os
import runpy
import sys

import skel_ssl  # noqa: F401 -- for the steps


def run(step: dict) -> None:
    """One step, in this process."""
    if 'python' in step:
        exec(compile(step['python'], '<the document>', 'exec'),
             {'__name__': '__main__'})
        return
    os.environ.update(step['environment'])
    if 'PYTHONPATH' in step['environment']:
        sys.path.insert(0, os.path.abspath(step['environment']['PYTHONPATH']))
    words = step['words']
    if words[0] == '-m':
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name='__main__', alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name='__main__')


def main() -> None:
    for step in json.load(sys.stdin):
        print('>>>', step.get('words', step), flush=True)
        child = os.fork()
        if not child:
            try:
                run(step)
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else bool(
                    end.code)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                status = 1
            else:
                status = 0
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        _, status = os.waitpid(child, 0)
        status = os.waitstatus_to_exitcode(status)
        if status != step.get('status', 0):
            sys.exit(f'the step ended with {status}')


if __name__ == '__main__':
    main()
