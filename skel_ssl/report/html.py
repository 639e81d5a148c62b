# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Markup that cannot be broken by what is put into it."""
import html
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Optional, Sequence

_EMPTY = ('img', 'meta', 'wbr')


class Html(str):
    """Text that is markup already; any other text is escaped."""


def join(*parts: Any) -> Html:
    """Markup as it is, all else as escaped text, one after the other."""
    return Html(''.join(
        part if isinstance(part, Html) else html.escape(str(part))
        for part in parts))


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """An element.

    Args:
        name (str): Such as ``'p'``.
        *children: What is in it, see :func:`join`.
        **attributes: None is left out, True has no value; ``class_`` is
            ``class``, and ``aria_label`` is ``aria-label``.
    """
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip('_').replace('_', '-')
        if value is True:
            words.append(key)
        elif value is not None:
            words.append(f'{key}="{html.escape(str(value))}"')
    opening = f'<{" ".join(words)}>'
    if name in _EMPTY:
        return Html(opening)
    return Html(f'{opening}{join(*children)}</{name}>')


def table(head: Sequence[str],
          rows: Iterable[Sequence[Any]],
          num_texts: int = 1) -> Html:
    """A table that scrolls sideways in a box of its own.

    Args:
        head (Sequence[str]): Titles of the columns.
        rows (Iterable[Sequence]): Their cells, see :func:`join`.
        num_texts (int): So many columns are text, the others are numbers.
    """

    def row(kind: str, cells: Sequence[Any]) -> Html:
        return tag('tr', *(
            tag(kind, cell, class_='num' if i >= num_texts else None,
                scope='col' if kind == 'th' else None)
            for i, cell in enumerate(cells)))

    return tag(
        'div',
        tag('table', tag('thead', row('th', head)),
            tag('tbody', *(row('td', cells) for cells in rows))),
        class_='scroll', tabindex=0)


def listing(pairs: Mapping[str, Any]) -> Html:
    """Names and what they stand for, in two columns."""
    return tag('dl', *(tag('div', tag('dt', name), tag('dd', value))
                       for name, value in pairs.items()))


def figure(content: Html, *caption: Any, wide: bool = False) -> Html:
    """A picture with the line that says what it is and where it is from.

    Args:
        content (Html): The picture.
        *caption: The line.
        wide (bool): A phone shows it scrolled, not shrunk.
    """
    box = tag('div', content, class_='scroll wide' if wide else 'picture',
              tabindex=0 if wide else None)
    return tag('figure', box, tag('figcaption', *caption))


def code(text: Any) -> Html:
    """A command, a path or a name, in type of one width."""
    return tag('code', text)


def source(*parts: Any) -> Html:
    """Where a table is from."""
    return tag('p', *parts, class_='source')


def warning(*parts: Any) -> Html:
    """What a reader must not miss."""
    return tag('p', *parts, class_='warning', role='alert')


@dataclass(frozen=True)
class Section:
    """A part of the page that can be folded.

    Attributes:
        name (str): What links call it.
        title (str): Its heading.
        body (Html): What is in it.
        found (bool): Whether there was anything to show; else the body says
            what makes it.
        folded (bool): Whether it begins closed.
    """
    name: str
    title: str
    body: Html
    found: bool = True
    folded: bool = False

    def html(self) -> Html:
        """The markup."""
        return tag(
            'details',
            tag('summary', tag('h2', self.title)),
            tag('div', self.body, id=self.name, class_='body'),
            class_='section' if self.found else 'section absent',
            open=None if self.folded else True)


def absent(name: str, title: str, *why: Any,
           command: Optional[str] = None) -> Section:
    """A section without anything to show.

    Args:
        name (str): See :class:`Section`.
        title (str): See :class:`Section`.
        *why: What is missing.
        command (str, optional): What makes it.
    """
    body = tag('p', *why, class_='absent')
    if command is not None:
        body = join(body, tag('div', tag('pre', code(command)),
                              class_='scroll', tabindex=0))
    return Section(name, title, body, found=False)
