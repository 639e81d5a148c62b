# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a model makes of its data: clips, and features in the plane."""
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from matplotlib.colors import to_hex
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.progress import Progress

from skel_ssl.apis import FeatureExtractor, init_model
from skel_ssl.apis.config_parts import find_dataset, split_dataset
from skel_ssl.datasets.checks import clip_name
from skel_ssl.evaluation.features import extract_features
from skel_ssl.models.selfsup import MaskedSkeletonModel
from skel_ssl.registry import DATASETS, MODELS
from skel_ssl.visualization import Scene, save_animation
from skel_ssl.visualization.clip_sources import spread
from skel_ssl.visualization.embedding import draw_embedding, embed
from skel_ssl.visualization.model_clips import (
    body_view,
    build_dataset,
    class_names,
    load_masked_model,
    predict,
    read_clips,
)
from skel_ssl.visualization.samples import (
    class_name,
    read_clip,
    sample_scenes,
    top_classes,
)

from .html import Html, Section, absent, code, figure, join, tag
from .overview import Weights
from .pictures import image, png_bytes

_NUM_CLIPS = 2
_MOST_POINTS = 600
_GIF: Dict[str, Any] = dict(num_frames=32, fps=8., dpi=88)
_MAP = (5.4, 4.6)  # inches, so that its numbers can be read on a phone
_SEED = 0
# Titles of both sections, which have other names for other models.
MASKS, SAMPLES, EMBEDDING = 'Masks', 'Clips', 'Embedding'


def is_masked(cfg: Config) -> bool:
    """Whether a config is one of masked pre-training."""
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    kind = MODELS.get(cfg.model.type)
    return kind is not None and issubclass(kind, MaskedSkeletonModel)


def missing_data(cfg: Config, parts: Sequence[str]) -> Optional[str]:
    """The data file of a config that is not here, or None.

    Args:
        cfg (Config): The config.
        parts (Sequence[str]): ``'train'``, ``'val'``, ``'test'``.
    """
    dataset = find_dataset(cfg, parts) or {}
    name = dataset.get('ann_file')
    if not name:
        return None
    places = Path(dataset.get('data_root') or '', name), Path(name)
    return None if any(place.exists() for place in places) else name


def obstacle(name: str, title: str, cfg: Optional[Config],
             weights: Optional[Weights], with_data: bool) -> Optional[Section]:
    """The section that says what a look at data lacks, or None."""
    if cfg is None or weights is None:
        return absent(name, title, 'This needs a config and a checkpoint in '
                      'the work dir.')
    if not with_data:
        return absent(name, title, 'Left out by --no-data.')
    parts = ['train'] if is_masked(cfg) else ['val', 'test']
    file = missing_data(cfg, parts)
    if file is None:
        return None
    return absent(
        name, title, 'The data file of the config, ', code(file), ', is not '
        'here. data/README.md says where it comes from; if it is elsewhere:',
        command='python tools/analysis/report.py WORK_DIR --cfg-options '
        f'{parts[0]}_dataloader.dataset.ann_file=FILE')


def animate(scenes: Sequence[Scene], alt: str) -> Html:
    """Scenes side by side, as a small GIF."""
    with TemporaryDirectory() as folder:
        path = Path(folder, 'clip.gif')
        save_animation(path, scenes, **_GIF)
        return image(path.read_bytes(), alt)


def masks_section(cfg: Config, weights: Weights, config: Path) -> Section:
    """What the mask hides of some clips, and what the model makes of it.

    Args:
        cfg (Config): Of a pre-training.
        weights (Weights): Its checkpoint.
        config (Path): The file of the config.
    """
    model = load_masked_model(cfg, str(weights.path), _SEED)
    dataset = build_dataset(cfg)
    indices = _some_clips(len(dataset))
    view = body_view(dataset)
    batch = read_clips(dataset, indices, _SEED)
    figures = []
    for index, inputs, sample in zip(indices, batch['inputs'],
                                     predict(model, batch)):
        scenes = sample_scenes(read_clip(inputs, view), sample)
        name, label = _label(dataset, index)
        parts = [f'{s.title} ({s.details})' if s.details else s.title
                 for s in scenes]
        text = '; '.join(parts).replace('\n', ', ')
        figures.append(figure(
            animate(scenes, f'Animation of {name}: {text}'), tag('b', name),
            f', {label}, a training clip without augmentation. '
            f'Panels: {text}.'))
    return Section('clips', MASKS, join(
        *figures, _made_by(
            config, weights, 'python tools/visualization/'
            f'vis_reconstruction.py {config} {weights.path}')))


def samples_section(cfg: Config, weights: Weights, config: Path) -> Section:
    """Some test clips, with the classes that they are taken for.

    Args:
        cfg (Config): Of a recognizer.
        weights (Weights): Its checkpoint.
        config (Path): The file of the config.
    """
    model = init_model(cfg, weights.path)
    dataset = DATASETS.build(split_dataset(cfg, 'val'))
    indices = _some_clips(len(dataset))
    view = body_view(dataset)
    names = class_names(dataset)
    batch = read_clips(dataset, indices, _SEED)
    figures = []
    for index, inputs, sample in zip(indices, batch['inputs'],
                                     predict(model, batch)):
        name, label = _label(dataset, index)
        best = ', '.join(f'{title} {share:.0%}'
                         for title, share in top_classes(sample, names)[:3])
        scenes = sample_scenes(read_clip(inputs, view), sample)[:1]
        figures.append(figure(
            animate(scenes, f'Animation of {name}'), tag('b', name),
            f', {label}; taken for: {best}.'))
    return Section('clips', SAMPLES, join(
        tag('div', *figures, class_='curves'),
        _made_by(config, weights, 'python tools/infer.py '
                 f'{config} {weights.path} INPUT')))


def _some_clips(total: int) -> List[int]:
    """Clips from within: where classes are sorted, not of the outer two."""
    return spread(total, _NUM_CLIPS + 2)[1:-1] or [0]


def _label(dataset: Any, index: int) -> Tuple[str, str]:
    """Name and class of a clip."""
    info = dataset.get_data_info(index)
    label = info.get('label')
    known = 'no label' if label is None else class_name(
        int(label), class_names(dataset))
    return str(clip_name(info)), known


def _made_by(config: Path, weights: Weights, command: str) -> Html:
    return tag('p', 'From ', code(config), ' and ', code(weights.path),
               f', {weights.when}; alike: ', code(command), class_='source')


def draw_map(points: np.ndarray, labels: np.ndarray, names: Sequence[str],
             alt: str) -> Tuple[Html, Html]:
    """Clips in the plane, and the key to the colours as text.

    Args:
        points (np.ndarray): ``(n, 2)``.
        labels (np.ndarray): ``(n, )`` int, classes.
        names (Sequence[str]): Names of the classes.
        alt (str): What there is to see.
    """
    fig = draw_embedding(points, labels, names)
    for legend in list(fig.legends):
        legend.remove()
    fig.set_size_inches(_MAP)
    [ax] = fig.axes
    dots = [
        tag('svg', tag('circle', cx=5, cy=5, r=5,
                       fill=to_hex(marks.get_facecolor()[0])),
            width=10, height=10, viewBox='0 0 10 10', aria_hidden='true')
        for marks in ax.collections
    ]
    items = [tag('li', dot, marks.get_label())
             for dot, marks in zip(dots, ax.collections)]
    return (image(png_bytes(fig, 150), alt),
            tag('ul', *items, class_='key'))


def embedding_section(cfg: Config, weights: Weights, config: Path,
                      progress: Progress) -> Section:
    """Features of the frozen encoder in the plane, clips by class.

    Args:
        cfg (Config): Of a pre-training or a recognizer.
        weights (Weights): Its checkpoint.
        config (Path): The file of the config.
        progress (Progress): Shows how far it is.
    """
    part = 'train' if is_masked(cfg) else 'val'
    dataset = DATASETS.build(split_dataset(cfg, part))
    chosen = [i for i in range(len(dataset))
              if dataset.get_data_info(i).get('label') is not None]
    if len(chosen) < 5:
        return absent('embedding', EMBEDDING, f'{len(chosen)} clips of the '
                      f'{part} data have a label: a map needs 5.')
    total = len(chosen)
    dataset.get_subset_([chosen[i] for i in spread(total, _MOST_POINTS)])
    extractor = FeatureExtractor(cfg, weights.path)
    preprocessor = MODELS.build(dict(type='ActionDataPreprocessor'))
    bar = progress.add_task('features', total=len(dataset))
    found = extract_features(
        dataset, extractor.backbone, preprocessor.to(extractor.device),
        ['mean'], on_batch=lambda n: progress.advance(bar, n))['mean']
    progress.remove_task(bar)
    names = class_names(dataset)
    names = [class_name(i, names) for i in range(found.labels.max() + 1)]
    title = f't-SNE of {len(found)} {part} clips'
    picture, key = draw_map(embed(found.features, 'tsne', _SEED),
                            found.labels, names, f'{title}, by class')
    recognizer = config if part == 'val' else 'CONFIG_OF_A_RECOGNIZER'
    of = f' of {total}' if total > len(found) else ''
    about = extractor.about
    return Section('embedding', EMBEDDING, join(
        figure(picture, f'{title}{of} (without augmentation), read-out mean, '
               f'weights under {about["prefix"]!r}. How far clusters are '
               'apart means little.'), key,
        _made_by(config, weights, 'python tools/visualization/'
                 f'vis_embedding.py {recognizer} {weights.path}')))
