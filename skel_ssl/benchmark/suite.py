# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A suite: which methods on which data sets with which seeds, and how."""
import dataclasses
import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    Any,
    Collection,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from mmengine.config import Config

from skel_ssl.evaluation.feature_source import check_test_names
from skel_ssl.evaluation.features import PERSONS
from skel_ssl.evaluation.frozen import PROTOCOLS, Settings
from skel_ssl.models.ops.pooling import READOUTS

KINDS = ('floor', 'method', 'ceiling')
ENCODERS = ('raw', 'random')
# The parts of a method that have a config, in the order in which they run.
PARTS = ('pretrain', 'frozen', 'finetune')
_NAME = re.compile(r'[A-Za-z0-9_-]+')


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Args:
        name (str): Its key in the suite.
        title (str): What the table calls it.
        kind (str): ``'method'``, ``'floor'`` or ``'ceiling'``.
        encoder (str, optional): ``'raw'`` or ``'random'``: what is evaluated
            instead of a pre-trained encoder.
        pretrain (str, optional): Config of the pre-training; ``{data}`` in
            it is the data set.
        frozen (str, optional): Config of the frozen evaluation, likewise.
        finetune (str, optional): Config of the fine-tuning, likewise; from
            scratch if there is no pre-training.
        options (dict[str, dict]): Settings to override in these configs, by
            the part.
        only (list[str], optional): The data sets on which it runs.
    """
    name: str
    title: str
    kind: str = 'method'
    encoder: Optional[str] = None
    pretrain: Optional[str] = None
    frozen: Optional[str] = None
    finetune: Optional[str] = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    only: Optional[Sequence[str]] = None

    @property
    def seeded(self) -> bool:
        """Whether a seed changes anything."""
        return self.encoder != 'raw'

    def config(self, part: str, data: 'DataSet') -> Optional[str]:
        """The config of a part on a data set."""
        template = getattr(self, part)
        return template and template.replace('{data}', data.configs)

    def settings(self, part: str, data: 'DataSet') -> Dict[str, Any]:
        """What overrides that config: of the data set, then of the method."""
        return {**data.options.get(part, {}), **self.options.get(part, {})}


@dataclass(frozen=True)
class DataSet:
    """A data set of a suite.

    Args:
        name (str): Its key in the suite.
        title (str): What the table calls it.
        tests (dict[str, list[str]]): Splits of the test clips, by the name
            of the test.
        configs (str): What ``{data}`` in the configs of methods becomes.
        options (dict[str, dict]): Settings to override in these configs, by
            the part.
    """
    name: str
    title: str
    tests: Mapping[str, Tuple[str, ...]]
    configs: str
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """What to run.

    Args:
        name (str): The name of its file.
        title (str): The heading of the table.
        seeds (list[int]): Of pre-training, fine-tuning and random encoders.
        datasets (list[DataSet]): The data sets.
        methods (list[Method]): The methods.
        transfers (dict[str, list[str]]): To which data sets encoders are
            carried over, by the one on which they were pre-trained.
        train_options (list[str]): Arguments of tools/train.py.
        protocols (list[str]): Of the frozen evaluation.
        readouts (list[str]): Likewise.
        persons (str): Likewise.
        probe (Settings): Likewise.
    """
    name: str
    title: str
    seeds: Tuple[int, ...]
    datasets: Tuple[DataSet, ...]
    methods: Tuple[Method, ...]
    transfers: Mapping[str, Sequence[str]]
    train_options: Tuple[str, ...]
    protocols: Tuple[str, ...]
    readouts: Tuple[str, ...]
    persons: str
    probe: Settings

    def dataset(self, name: str) -> DataSet:
        """A data set by its name."""
        return next(data for data in self.datasets if data.name == name)

    def method(self, name: str) -> Method:
        """A method by its name."""
        return next(method for method in self.methods if method.name == name)

    def methods_on(self, data: str) -> List[Method]:
        """The methods that run on a data set, in the order of the suite."""
        return [m for m in self.methods if m.only is None or data in m.only]


def load_suite(path: Union[str, Path]) -> Suite:
    """Read a suite from a config.

    Args:
        path (str | Path): A Python config; see docs/benchmark.md.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a key is unknown or missing, or has a value that it
            cannot have.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no suite {path}; configs/benchmarks/suites has some')
    return make_suite(path.stem, Config.fromfile(path).to_dict())


def make_suite(name: str, content: Mapping[str, Any]) -> Suite:
    """A suite of what is in its config, see :func:`load_suite`."""
    known = {f.name for f in dataclasses.fields(Suite)} - {'name'}
    _check_keys('the suite', content, known, ('datasets', 'methods'))
    datasets = tuple(
        _make_dataset(key, value)
        for key, value in _dict_of('datasets', content['datasets']).items())
    names = [data.name for data in datasets]
    methods = tuple(
        _make_method(key, value, names)
        for key, value in _dict_of('methods', content['methods']).items())
    seeds = content.get('seeds', (0, 1, 2))
    if not _is_list(seeds, int) or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f'seeds={seeds!r} must be different whole numbers')
    transfers = _dict_of('transfers', content.get('transfers', {}), False)
    for start, ends in transfers.items():
        _check_names('transfers', [start, *_names(start, ends)], names)
        if start in ends:
            raise ValueError(f'transfers: {start} is carried over to itself; '
                             'that is what the frozen evaluation does anyway')
    protocols = tuple(content.get('protocols', ('linear', 'knn')))
    readouts = tuple(content.get('readouts', ('mean', 'joint', 'joint_std')))
    persons = content.get('persons', 'valid')
    _check_names('protocols', protocols, PROTOCOLS)
    _check_names('readouts', readouts, READOUTS)
    _check_names('persons', [persons], PERSONS)
    probe = _dict_of('probe', content.get('probe', {}), False)
    _check_keys('probe', probe,
                {f.name for f in dataclasses.fields(Settings)})
    options = content.get('train_options', ())
    if not _is_list(options, str):
        raise ValueError(f'train_options={options!r} must be a list of texts, '
                         "such as ('--person-batches', 'device')")
    return Suite(
        name=name,
        title=content.get('title', f'Benchmark {name!r}'),
        seeds=tuple(seeds),
        datasets=datasets,
        methods=methods,
        transfers={k: tuple(_names(k, v)) for k, v in transfers.items()},
        train_options=tuple(options),
        protocols=protocols,
        readouts=readouts,
        persons=persons,
        probe=Settings(**probe))


def _make_dataset(name: str, content: Any) -> DataSet:
    where = f'datasets.{name}'
    _check_name(where, name)
    content = _dict_of(where, content)
    _check_keys(where, content, ('title', 'tests', 'configs', 'options'),
                ('tests', ))
    tests = _dict_of(f'{where}.tests', content['tests'])
    for test in tests:
        _check_name(f'{where}.tests', test)
    check_test_names(tests)
    options = _dict_of(f'{where}.options', content.get('options', {}), False)
    _check_names(f'{where}.options', options, PARTS)
    return DataSet(
        name, content.get('title', name),
        {test: tuple(_names(test, splits)) for test, splits in tests.items()},
        content.get('configs', name), options)


def _make_method(name: str, content: Any, datasets: List[str]) -> Method:
    where = f'methods.{name}'
    _check_name(where, name)
    content = _dict_of(where, content)
    known = {f.name for f in dataclasses.fields(Method)} - {'name'}
    _check_keys(where, content, known)
    method = Method(name, **{'title': name, **content})
    _check_names(f'{where}.kind', [method.kind], KINDS)
    if method.encoder is not None:
        _check_names(f'{where}.encoder', [method.encoder], ENCODERS)
        if method.frozen is None or method.pretrain or method.finetune:
            raise ValueError(
                f'{where}: encoder={method.encoder!r} is evaluated as it is, '
                'so it has the config "frozen", and neither "pretrain" nor '
                '"finetune"')
    elif method.frozen is not None and method.pretrain is None:
        raise ValueError(
            f'{where}: "frozen" evaluates the encoder of a pre-training: give '
            f'"pretrain", or encoder= one of {ENCODERS}')
    parts = [part for part in PARTS if getattr(method, part) is not None]
    if not parts:
        raise ValueError(f'{where} does nothing: give one of {PARTS}')
    _check_names(f'{where}.options', method.options, parts)
    if method.only is not None:
        _check_names(f'{where}.only', method.only, datasets)
    return method


# --------------------------------------------------------------------- checks


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(x, kind) and not isinstance(x, bool) for x in value)


def _names(where: str, value: Any) -> List[str]:
    """One name or several, as a list."""
    listed = [value] if isinstance(value, str) else value
    if not _is_list(listed, str) or not listed:
        raise ValueError(f'{where}: {value!r} must be a name or a list of '
                         'names')
    return list(listed)


def _dict_of(where: str, value: Any, filled: bool = True) -> Dict[str, Any]:
    if not isinstance(value, Mapping) or (filled and not value):
        raise ValueError(f'{where} must be a dict' +
                         ' with something in it' * filled +
                         f', not {value!r}')
    return dict(value)


def _check_name(where: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f'{where}: {name!r} becomes a part of file names; use letters, '
            'digits, "_" and "-"')


def _check_keys(where: str, found: Mapping[str, Any],
                known: Collection[str], needed: Sequence[str] = ()) -> None:
    _check_names(f'{where}: keys', found, known)
    missing = [key for key in needed if key not in found]
    if missing:
        raise ValueError(f'{where}: {missing[0]!r} is missing')


def _check_names(where: str, found: Iterable[str],
                 known: Collection[str]) -> None:
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f'; did you mean {near[0]!r}?' if near else ''
            raise ValueError(f'{where}: there is no {name!r}, only '
                             f'{sorted(known)}{hint}')
