# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Features in the plane: neighbours stay neighbours, classes have names."""
import importlib.util

import numpy as np
import pytest
from matplotlib.colors import to_hex

from skel_ssl.visualization.embedding import draw_embedding, embed


def clusters(classes, each, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(classes).repeat(each)
    centres = 10 * rng.normal(size=(classes, 8))
    return centres[labels] + rng.normal(size=(len(labels), 8)), labels


def test_clusters_stay_together():
    features, labels = clusters(3, 15)
    # Directions count, lengths do not.
    features *= np.random.default_rng(1).uniform(1, 100, (45, 1))
    points = embed(features)
    assert points.shape == (45, 2)
    gaps = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(gaps, np.inf)
    np.testing.assert_array_equal(labels[gaps.argmin(1)], labels)
    np.testing.assert_array_equal(points, embed(features))  # seeded


def test_too_few_clips():
    with pytest.raises(ValueError, match='4 clips are too few'):
        embed(np.ones((4, 3)))


def test_methods(monkeypatch):
    with pytest.raises(ValueError, match="no method 'pca'"):
        embed(np.ones((9, 3)), 'pca')
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec',
                        lambda name: None if name == 'umap' else find(name))
    with pytest.raises(ImportError, match='pip install umap-learn'):
        embed(np.ones((9, 3)), 'umap')


@pytest.mark.parametrize('classes', [1, 10, 21, 60])
def test_every_class_can_be_told_apart(classes):
    points, labels = clusters(classes, 4)
    names = [f'action {i}' for i in range(classes)]
    fig = draw_embedding(points[:, :2], labels, names, 'title')
    [ax] = fig.axes
    looks = set()
    for label, drawn in enumerate(ax.collections):
        np.testing.assert_array_equal(drawn.get_offsets(),
                                      points[labels == label, :2])
        [mark] = drawn.get_paths()
        looks.add((to_hex(drawn.get_facecolor()[0]), len(mark.vertices),
                   mark.vertices.round(3).tobytes()))
    assert len(ax.collections) == len(looks) == classes
    [legend] = fig.legends
    assert [t.get_text() for t in legend.get_texts()] == [
        f'{i}  {name}' for i, name in enumerate(names)]
    # The numbers in the plane stand on a point of their class.
    for text in ax.texts:
        own = points[labels == int(text.get_text()), :2]
        assert (own == text.get_position()).all(1).any()
    # The legend is inside the picture and beside the points.
    fig.draw_without_rendering()
    box = legend.get_window_extent()
    assert box.x0 >= ax.get_window_extent().x1
    assert box.x1 <= fig.bbox.x1 and box.y0 >= 0


def test_only_classes_that_are_there():
    fig = draw_embedding(np.random.rand(6, 2), np.array([0, 0, 2, 2, 2, 2]),
                         ['a', 'b', 'c'])
    assert [t.get_text() for t in fig.legends[0].get_texts()] == [
        '0  a', '2  c']
    with pytest.raises(ValueError, match='0 to 3 and there are 3 names'):
        draw_embedding(np.random.rand(2, 2), np.array([0, 3]), ['a'] * 3)
