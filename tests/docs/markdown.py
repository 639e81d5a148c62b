# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the tests of the documents read in Markdown."""
import re
from itertools import product
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ('*.md', 'docs/**/*.md', 'data/*.md', 'configs/**/*.md')
    for path in ROOT.glob(pattern))

_FENCE = re.compile(
    r'(?:`(?P<file>[\w./-]+)`:\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$',
    re.M | re.S)
_INDENTED = re.compile(r'(?:(?<=\n\n)|\A)((?: {4}[^\n]*\n)+)')
_INLINE = re.compile(r'(?<!`)`([^`]+)`(?!`)')


class Block(NamedTuple):
    """A piece of code.

    Attributes:
        language (str): What stands behind the fence; 'shell' for indented
            code.
        text (str): The code.
        file (str, optional): The name of the file that it is: fences that
            stand below a line which ends in the name and a colon.
    """
    language: str
    text: str
    file: str


def read(document: str) -> str:
    """The text of a document, by its path in the repository."""
    return (ROOT / document).read_text(encoding='utf-8')


def section(text: str, heading: str) -> str:
    """What stands below a heading of the second level."""
    found = re.search(
        rf'^## {re.escape(heading)}\n(.*?)(?=^## |\Z)', text + '\n',
        re.M | re.S)
    assert found, f'there is no section {heading!r}'
    return found[1]


def fenced(text: str) -> List[Block]:
    """The fenced blocks of a text; those in lists lose their indentation."""
    text = re.sub(r'^ {2,3}(?=\S| *\S)', '', text, flags=re.M)
    return [
        Block(found['language'], found['text'], found['file'])
        for found in _FENCE.finditer(text)
    ]


def without_fences(text: str) -> str:
    """The text that is left without fenced blocks."""
    return re.sub(r'^ *```.*?^ *```$', '', text, flags=re.M | re.S)


def indented(text: str) -> List[Block]:
    """Indented blocks."""
    return [
        Block('shell', re.sub('^ {4}', '', found, flags=re.M), '')
        for found in _INDENTED.findall(without_fences(text))
    ]


def inline(text: str) -> List[str]:
    """Code in sentences and tables; a line break becomes a space."""
    return [' '.join(code.split()) for code in _INLINE.findall(
        without_fences(text))]


def commands(block: Block) -> List[str]:
    """The lines of a shell block that run one of our tools.

    Variables that the block sets are put in, one command for each of their
    values; so are optional parts in brackets.
    """
    text = re.sub(r'\s+#.*|^#.*', '', block.text.replace('\\\n', ' '),
                  flags=re.M)
    values: Dict[str, List[str]] = {}
    for name, value in re.findall(r'^\s*(\w+)=(\S*)\s*$', text, re.M):
        values[name] = [value]
    for name, listed in re.findall(r'for (\w+) in ([^;]+);', text):
        values[name] = listed.split()
    found = re.findall(r'(?:python|bash) tools/[^;\n]+', text)
    return [filled for line in found for filled in _fill(line, values)]


def _fill(line: str, values: Dict[str, List[str]]) -> Iterator[str]:
    names = [
        name for name in values if re.search(rf'\$({name}\b|{{{name}}})', line)
    ]
    if not names:
        yield re.sub(r'[\[\]](?!\S*=)|\.\.\.', '', line)
        return
    for chosen in product(*(values[name] for name in names)):
        filled = line
        for name, value in zip(names, chosen):
            filled = re.sub(rf'\$({name}\b|{{{name}}})', value, filled)
        yield from _fill(filled, values)


def anchors(text: str) -> List[str]:
    """What ``#...`` may name: headings, as GitHub turns them into ids."""
    found = re.findall(r'^#+ (.+)$', without_fences(text), re.M)
    return [
        re.sub(r'[^\w\- ]', '', re.sub(r'\[(.*?)\]\(.*?\)', r'\1', heading)
               ).strip().lower().replace(' ', '-') for heading in found
    ]


def links(text: str) -> List[str]:
    """Targets of links and pictures."""
    return re.findall(r'\]\(([^)\s]+)\)', without_fences(text))
