# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the tests of the report share: a reader of pages, and a work dir."""
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Dict, List

VOID = ('meta', 'img', 'wbr')
CONFIG = '''model = dict(
    type='RecognizerGCN',
    backbone=dict(
        type='STGCN',
        num_stages=4,
        graph_cfg=dict(layout='coco', mode='stgcn_spatial')),
    cls_head=dict(type='GCNHead', num_classes=3, in_channels=256))
train_cfg = dict(max_epochs=7)
randomness = dict(seed=11)
'''


class Page(HTMLParser):
    """A page read by the rules.

    Attributes:
        elements (list[tuple]): Tag and attributes of each element.
        text (str): What one reads.
        rows (list[list[str]]): The cells of each row of a table.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: List[tuple] = []
        self.rows: List[List[str]] = []
        self._open: List[str] = []
        self._texts: List[str] = []
        self.feed(page)
        self.close()
        assert not self._open, f'never closed: {self._open}'
        self.text = ' '.join(''.join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self.rows[-1].append('')

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f'</{tag}>'

    def handle_data(self, data: str) -> None:
        self._texts.append(data)
        if {'td', 'th'} & set(self._open):
            self.rows[-1][-1] += data

    def of(self, tag: str) -> List[Dict[str, str]]:
        """The attributes of all elements of a kind."""
        return [attrs for name, attrs in self.elements if name == tag]


def check(page: str) -> Page:
    """Read a page or a part, and look for what none may have."""
    read = Page(page)
    for tag, attrs in read.elements:
        for key, value in attrs.items():
            if key in ('src', 'href', 'xlink:href', 'srcset', 'action'):
                assert value.startswith(('#', 'data:image/')), (tag, value)
            assert not key.startswith('on'), (tag, key)
        assert tag not in ('script', 'link', 'iframe', 'object', 'base')
    assert all(attrs.get('alt') for attrs in read.of('img'))
    assert not re.search(r'@import|url\((?!#)', page)
    ids = [attrs['id'] for _, attrs in read.elements if 'id' in attrs]
    assert len(ids) == len(set(ids))
    return read


def write_log(work_dir: Path, name: str, lines: List[dict],
              text: str = '') -> Path:
    """One start of a run."""
    path = work_dir / name / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    if text:
        (work_dir / name / f'{name}.log').write_text(text)
    return path


def training(steps: range, **scalars: float) -> List[dict]:
    """Records of steps; each scalar is its factor times the step."""
    return [dict(step=s, iter=s, **{k: v * s for k, v in scalars.items()})
            for s in steps]
