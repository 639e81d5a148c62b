# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Markup that holds whatever is put into it."""
import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from skel_ssl.report.html import Html, Section, absent, join, table, tag
from skel_ssl.report.pictures import image, inline_svg, png_bytes
from tests.report.pages import check


def test_text_is_escaped_once_and_markup_is_not():
    evil = '<script>alert("1 & 2")</script>'
    made = tag('p', tag('b', evil), evil, class_=evil, aria_label='a"b')
    page = check(made)
    assert page.text == evil * 2
    assert page.of('p') == [{'class': evil, 'aria-label': 'a"b'}]
    assert not page.of('script')
    assert join('<', Html('<b>')) == '&lt;<b>'


def test_attributes_without_a_value_and_left_out():
    assert tag('details', open=True, id=None) == '<details open></details>'
    assert tag('img', alt='') == '<img alt="">'


def test_a_table_scrolls_in_its_own_box():
    page = check(table(('name', 'clips'), [('<i>', 3), ('b', 4)]))
    assert page.rows == [['name', 'clips'], ['<i>', '3'], ['b', '4']]
    assert page.elements[0] == ('div', {'class': 'scroll', 'tabindex': '0'})
    assert [x.get('class') for x in page.of('td')] == [None, 'num'] * 2


def test_sections_fold_and_say_what_is_missing():
    page = check(Section('a', 'A & B', tag('p', 'x'), folded=True).html())
    assert page.of('details') == [{'class': 'section'}]
    missing = absent('b', 'B', 'No <log>.', command='make "it" <now>')
    assert not missing.found
    page = check(missing.html())
    assert page.text == 'BNo <log>.make "it" <now>'
    assert page.of('details') == [{'class': 'section absent', 'open': None}]


@pytest.fixture
def fig():
    fig = Figure(figsize=(3, 2))
    ax = fig.add_subplot()
    ax.plot([0, 1], [0, 1], c='#0072b2', marker='o')
    ax.set_title('a < b')
    return fig


def test_two_svgs_share_no_id_and_take_the_page_colours(fig):
    svg = inline_svg(fig, 'one', 'a <rising> line')
    page = check(svg + inline_svg(fig, 'two', 'again'))
    assert 'a <rising> line' in page.text and 'a < b' in page.text
    assert 'http' not in svg and 'metadata' not in svg
    assert 'currentColor' in svg and 'var(--curve)' in svg
    assert '#000000' not in svg
    ids = {attrs['id'] for _, attrs in page.elements if 'id' in attrs}
    used = [attrs['xlink:href'][1:] for attrs in page.of('use')]
    assert used and set(used) <= ids
    assert inline_svg(fig, 'one', 'a <rising> line') == svg


def test_a_picture_is_within_the_page(fig):
    content = png_bytes(fig, 50)
    [attrs] = check(image(content, 'a "line"')).of('img')
    assert attrs['src'].startswith('data:image/png;base64,')
    assert (attrs['width'], attrs['height']) == ('150', '100')
    assert attrs['alt'] == 'a "line"'
    frames = [Image.fromarray(np.full((4, 6), x, np.uint8)) for x in (0, 255)]
    file = io.BytesIO()
    frames[0].save(file, 'GIF', save_all=True, append_images=frames[1:])
    [attrs] = check(image(file.getvalue(), 'moves')).of('img')
    assert attrs['src'].startswith('data:image/gif;base64,')
    assert (attrs['width'], attrs['height']) == ('6', '4')
