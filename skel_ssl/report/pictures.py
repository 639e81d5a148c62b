# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pictures inside a page: curves as SVG, the rest as PNG and GIF."""
import base64
import io
import re

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from .html import Html, tag

_NO_METADATA = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
# What changes with the colour scheme of the page: black, and the first
# colour of curves.
_COLOURS = {'#000000': 'currentColor', '#0072b2': 'var(--curve)'}
_IDS = re.compile(r'(\bid="|href="#|url\(#)')
_NAMESPACES = re.compile(r' xmlns(:\w+)?="[^"]*"')


def inline_svg(fig: Figure, name: str, alt: str) -> Html:
    """A figure as SVG, in the colours of the page's scheme.

    Args:
        fig (Figure): The figure.
        name (str): Unique on the page: its ids begin with it.
        alt (str): What there is to see.
    """
    text = io.StringIO()
    # Text stays text: it can be searched, and is small.
    with matplotlib.rc_context({'svg.fonttype': 'none',
                                'svg.hashsalt': name,
                                'font.family': 'sans-serif'}):
        fig.savefig(text, format='svg', transparent=True,
                    metadata=_NO_METADATA)
    svg = text.getvalue()
    svg = svg[svg.index('<svg'):].strip()
    svg = _NAMESPACES.sub('', svg)
    for fixed, of_page in _COLOURS.items():
        svg = svg.replace(fixed, of_page)
    svg = _IDS.sub(rf'\g<1>{name}-', svg)
    label = tag('title', alt)
    place = svg.index('>') + 1
    return Html(f'{svg[:place - 1]} role="img">{label}{svg[place:]}')


def png_bytes(fig: Figure, dpi: int = 110) -> bytes:
    """A figure as PNG with at most 256 colours."""
    file = io.BytesIO()
    fig.savefig(file, format='png', dpi=dpi)
    small = io.BytesIO()
    with Image.open(file) as image:
        image.convert('RGB').quantize(256, dither=Image.Dither.NONE).save(
            small, 'PNG', optimize=True)
    return small.getvalue()


def image(content: bytes, alt: str) -> Html:
    """A PNG or GIF that the page carries within itself.

    Args:
        content (bytes): The file.
        alt (str): What there is to see.
    """
    with Image.open(io.BytesIO(content)) as picture:
        width, height = picture.size
        kind = picture.format.lower()
    data = base64.b64encode(content).decode()
    return tag('img', src=f'data:image/{kind};base64,{data}', alt=alt,
               width=width, height=height)
