# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The page: its sections, put together."""
import re
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from mmengine.config import Config
from rich.progress import Progress

import skel_ssl
from skel_ssl.apis.class_names import find_class_names
from skel_ssl.evaluation.frozen import PROBES
from skel_ssl.evaluation.predictions import Predictions, load_predictions
from skel_ssl.evaluation.report import metric_title
from skel_ssl.utils.files import replacing
from skel_ssl.visualization.curves import curve

from .clips import (
    EMBEDDING,
    MASKS,
    SAMPLES,
    embedding_section,
    is_masked,
    masks_section,
    obstacle,
    samples_section,
)
from .html import Html, Section, join, tag, warning
from .overview import (
    Weights,
    config_section,
    environment_section,
    weights_section,
)
from .results import (
    evaluation_section,
    foreign_checkpoints,
    predictions_section,
    read_figures,
)
from .run_files import RunFiles, read_evaluation
from .style import CSS
from .training import collapse_section, curves_section

Records = List[Tuple[Path, Mapping[str, Any]]]


def make_page(run: RunFiles,
              cfg: Optional[Config] = None,
              weights: Optional[Weights] = None,
              evaluations: Sequence[Path] = (),
              dumps: Sequence[Path] = (),
              with_data: bool = True,
              command: str = '',
              progress: Optional[Progress] = None
              ) -> Tuple[Html, List[Section]]:
    """Make the page of a run.

    Args:
        run (RunFiles): Its files.
        cfg (Config, optional): Its config, to be looked at and built from.
        weights (Weights, optional): The checkpoint to look at.
        evaluations (Sequence[Path]): Further records of tools/evaluate.py.
        dumps (Sequence[Path]): Further dumps of tools/test.py.
        with_data (bool): Whether to look at the data set.
        command (str): The call that makes the page.
        progress (Progress, optional): Shows how far it is.

    Returns:
        tuple[Html, list[Section]]: The page, and what is on it.

    Raises:
        FileNotFoundError: If a file that was given is not there.
        ValueError: If one is of another kind.
    """
    progress = progress or Progress(disable=True)
    bar = progress.add_task('sections', total=None)
    paths = {path.resolve(): path for path in (*run.evaluations, *evaluations)}
    records: Records = [
        (path, read_evaluation(path)) for path in paths.values()
    ]
    read, refused = _read_dumps(run.dumps, dumps)
    names = find_class_names(cfg) if cfg is not None and with_data else None
    evaluate, test = _commands(run, cfg, weights)
    results = [
        evaluation_section(records, run.work_dir, evaluate),
        predictions_section(read, refused, names, test)
    ]
    sections = [
        config_section(run.config, cfg, run.work_dir),
        curves_section(run),
        collapse_section(run, weights.info if weights else None), *results,
        *_look_at_data(run, cfg, weights, with_data, progress),
        weights_section(weights, run.work_dir),
        environment_section(run)
    ]
    progress.remove_task(bar)
    name = run.work_dir.resolve().name
    if cfg is not None and run.config is not None:
        name = f'{run.config.stem} ({name})'
    facts = key_facts(run, cfg, weights, records, read)
    return _assemble(name, run, facts, sections, command), sections


def _read_dumps(
    found: Sequence[Path], given: Sequence[Path]
) -> Tuple[List[Tuple[Path, Predictions]], List[str]]:
    """Dumps, and why pickles that merely lie there are none."""
    read = [(path, load_predictions(path)) for path in given]
    known = {path.resolve() for path in given}
    refused = []
    for path in found:
        if path.resolve() not in known:
            try:
                read.append((path, load_predictions(path)))
            except ValueError as error:
                refused.append(str(error))
    return read, refused


def _commands(run: RunFiles, cfg: Optional[Config],
              weights: Optional[Weights]) -> Tuple[str, str]:
    """What makes an evaluation and a dump, as far as it is known."""
    checkpoint = weights.path if weights else 'CKPT'
    config = str(run.config or 'CONFIG')
    pretraining = cfg is not None and is_masked(cfg)
    if pretraining:
        probe = Path('configs/benchmarks/linear', Path(config).name)
        config = str(probe) if probe.is_file() else 'CONFIG_OF_A_RECOGNIZER'
    evaluate = (f'python tools/evaluate.py {config} {checkpoint} --out '
                f'{run.work_dir / "evaluation.json"}')
    test = ''
    if pretraining:
        test = (f'python tools/train.py {config} --pretrained {checkpoint} '
                '--work-dir PROBE\n')
        checkpoint = 'PROBE/LAST.pth'
    test += (f'python tools/test.py {config} {checkpoint} --dump '
             f'{run.work_dir / "predictions.pkl"}')
    return evaluate, test


def _look_at_data(run: RunFiles, cfg: Optional[Config],
                  weights: Optional[Weights], with_data: bool,
                  progress: Progress) -> List[Section]:
    """The sections that need the data set."""
    config: Any = run.config  # there, and so are cfg and weights: obstacle()
    checkpoint: Any = weights
    masked = cfg is None or is_masked(cfg)

    def clips() -> Section:
        make = masks_section if masked else samples_section
        return make(cfg, checkpoint, config)

    def embedding() -> Section:
        return embedding_section(cfg, checkpoint, config, progress)

    return [
        obstacle(name, title, cfg, weights, with_data)
        or _attempt(name, title, make)
        for name, title, make in (
            ('clips', MASKS if masked else SAMPLES, clips),
            ('embedding', EMBEDDING, embedding))
    ]


def _attempt(name: str, title: str, make: Callable[[], Section]) -> Section:
    """A section, or one that says what went wrong with the data.

    The other sections are worth having without this one.
    """
    try:
        return make()
    except (ValueError, OSError) as error:
        return Section(name, title, warning(f'This failed: {error}'), False)


def key_facts(run: RunFiles, cfg: Optional[Config],
              weights: Optional[Weights], records: Records,
              dumps: Sequence[Tuple[Path, Predictions]]) -> Dict[str, str]:
    """What one wants to know first, as far as it was found."""
    facts = {}
    if cfg is not None:
        facts['model'] = cfg.model.type
        facts['encoder'] = cfg.model.backbone.type
    if weights is not None and weights.when:
        total = (cfg or {}).get('train_cfg') or {}
        total = total.get('max_epochs') if weights.epoch else total.get(
            'max_iters')
        facts['trained'] = weights.when + (f' of {total}' if total else '')
    for key, name in (('loss', 'last loss'), ('acc/top1', 'last top-1')):
        values = curve(run.scalars(), key)[1]
        if len(values):
            facts[name] = (f'{values[-1]:.1%}' if key.startswith('acc')
                           else f'{values[-1]:.4g}')
    own = [record for _, record in records
           if not foreign_checkpoints(record, run.work_dir)]
    for record in own:
        for found in read_figures(record):
            if found.kind == 'pretrained' and found.metric in PROBES:
                name = f'{metric_title(found.metric)} probe, {found.readout}'
                facts[name] = f'{found.text()} %'
    for path, predictions in dumps:
        share = (predictions.predicted == predictions.labels).mean()
        facts[f'top-1, {path.name}'] = f'{share:.1%}'
    return facts


def _assemble(name: str, run: RunFiles, facts: Mapping[str, str],
              sections: Sequence[Section], command: str) -> Html:
    links = tag('nav', tag('ul', *(
        tag('li', tag('a', section.title, href=f'#{section.name}',
                      class_=None if section.found else 'absent'))
        for section in sections)), aria_label='Contents')
    cards = tag('div', *(
        tag('div', tag('span', title), tag('b', *_breakable(value)),
            class_='fact') for title, value in facts.items()), class_='facts')
    made = tag('p', 'Made by skel_ssl ', skel_ssl.__version__,
               *((', ', tag('code', command)) if command else ()), '.')
    return join(
        Html('<!DOCTYPE html>\n'),
        tag('html',
            tag('head', tag('meta', charset='utf-8'),
                tag('meta', name='viewport',
                    content='width=device-width, initial-scale=1'),
                tag('meta', name='color-scheme', content='light dark'),
                tag('title', name), tag('style', Html(CSS))),
            tag('body',
                tag('header', tag('h1', name),
                    tag('p', tag('code', run.work_dir.resolve()),
                        class_='lead'), cards, links),
                tag('main', *(section.html() for section in sections)),
                tag('footer', made)), lang='en'), '\n')


def _breakable(text: str) -> List[str]:
    """A name that may be broken before its capitals."""
    parts = re.split('(?<=[a-z0-9])(?=[A-Z])', text)
    return [parts[0], *(x for part in parts[1:] for x in (tag('wbr'), part))]


def write_page(path: Union[str, Path], page: Html) -> int:
    """Write a page, whole or not at all.

    Args:
        path (str | Path): The file; its folder must exist.
        page (Html): The page.

    Returns:
        int: Its size in bytes.
    """
    content = page.encode()
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return len(content)
