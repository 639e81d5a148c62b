# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a cell runs: its stages, what each of them depends on, and whether
all of it is there."""
import dataclasses
import fnmatch
from dataclasses import dataclass
from typing import (
    Any,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from mmengine.config import Config

from skel_ssl.evaluation.feature_cache import hash_object
from skel_ssl.evaluation.feature_source import check_test_size
from skel_ssl.evaluation.frozen import PROTOCOL_VERSION

from .cells import BENCHMARK_VERSION, Cell
from .configs import DataFiles, data_of, hash_config, read_config
from .suite import DataSet, Method, Suite

TRANSFER = 'transfer_'


@dataclass(frozen=True)
class Stage:
    """A part of a cell that is done or not.

    Args:
        name (str): ``'cost'``, ``'pretrain'``, ``'frozen'``, ``'finetune'``,
            or ``'transfer_'`` and the data set.
        config (str): The config that it runs.
        options (dict): Settings that override the config's.
        data (str): The data set that it runs on.
        about (dict): What goes into the record: hashes of config, data and
            splits.
        depends (dict): All that the result depends on, beside the seed and
            the weights that it begins with.
        tests (dict[str, list[str]]): Splits of the test clips.
        needs (str, optional): The stage whose checkpoint it begins with.
        max_epochs (int, optional): How long it trains.
        num_workers (int): Processes that load clips in an evaluation.
        parts (dict[str, dict]): The configs whose cost is counted, with
            their options, by part.
    """
    name: str
    config: str
    options: Mapping[str, Any]
    data: str
    about: Mapping[str, Any]
    depends: Mapping[str, Any]
    tests: Mapping[str, Tuple[str, ...]] = dataclasses.field(
        default_factory=dict)
    needs: Optional[str] = None
    max_epochs: Optional[int] = None
    num_workers: int = 0
    parts: Mapping[str, Mapping[str, Any]] = dataclasses.field(
        default_factory=dict)

    def key(self, seed: Optional[int], weights: Optional[str] = None) -> str:
        """What the result is known by: the hash of all it depends on.

        Args:
            seed (int, optional): That of the cell.
            weights (str, optional): SHA-256 of the checkpoint that it needs.
        """
        return hash_object(dict(self.depends, seed=seed, weights=weights))


def plan(suite: Suite,
         files: Optional[DataFiles] = None,
         cells: Optional[Iterable[Cell]] = None
         ) -> Dict[Tuple[str, str], List[Stage]]:
    """The stages of every method on every data set, after checking that the
    configs, settings, data files and splits of those that run are there.

    Args:
        suite (Suite): The suite.
        files (DataFiles, optional): Reads the data files.
        cells (Iterable[Cell], optional): What is to run; None: all. Of the
            others the stages are there whose files are.

    Returns:
        dict[tuple, list[Stage]]: By the names of method and data set.

    Raises:
        ValueError: That lists all that is missing.
    """
    planner = Planner(suite, files or DataFiles())
    every = {(method.name, data.name): (method, data)
             for data in suite.datasets
             for method in suite.methods_on(data.name)}
    run = every if cells is None else {(x.method, x.data) for x in cells}
    stages = {names: planner.stages(*every[names]) for names in every
              if names in run}
    if planner.faults:
        listed = '\n'.join(f'  {fault}' for fault in planner.faults)
        raise ValueError(f'suite {suite.name!r} cannot run; nothing has been '
                         f'started:\n{listed}')
    stages.update((names, planner.stages(*every[names])) for names in every
                  if names not in run)
    return stages


class Planner:
    """Makes the stages of a suite's cells, and notes what is missing.

    Args:
        suite (Suite): The suite.
        files (DataFiles): Reads the data files.

    Attributes:
        faults (list[str]): What is missing, once each.
    """

    def __init__(self, suite: Suite, files: DataFiles) -> None:
        self.suite = suite
        self.files = files
        self.faults: List[str] = []
        self._configs: Dict[tuple, Optional[Config]] = {}

    def stages(self, method: Method, data: DataSet) -> List[Stage]:
        """The stages of a method on a data set, in the order in which they
        run; those that cannot be made are left out."""
        made = [self._cost(method, data), self._pretrain(method, data),
                self._frozen(method, data, 'frozen')]
        if method.pretrain and method.frozen:
            for name in self.suite.transfers.get(data.name, ()):
                other = self.suite.dataset(name)
                made.append(self._frozen(method, other, TRANSFER + name))
        made.append(self._finetune(method, data))
        return [stage for stage in made if stage is not None]

    def _read(self, method: Method, part: str,
              data: DataSet) -> Optional[Config]:
        """The config of a part; None, and a note, if it cannot be read."""
        path = method.config(part, data)
        if path is None:
            return None
        options = method.settings(part, data)
        place = (path, hash_object(options))
        if place not in self._configs:
            self._configs[place] = None
            try:
                self._configs[place] = read_config(path, options)
            except (ValueError, OSError) as error:
                self._note(f'methods.{method.name}', error)
        return self._configs[place]

    def _note(self, where: str, fault: Exception) -> None:
        line = f'{where}: {fault}'
        if line not in self.faults:
            self.faults.append(line)

    def _stage(self, name: str, method: Method, part: str, data: DataSet,
               cfg: Config, loader: str, **depends: Any) -> Optional[Stage]:
        """A stage that reads data; None, and a note, if they are not there."""
        tests = {} if part == 'pretrain' else data.tests
        where = f'datasets.{data.name}'
        try:
            train = data_of(cfg, 'train_dataloader')
            used = train if part == 'pretrain' else data_of(cfg, loader)
            split = train.get('split')
            self.files.clips(train, [split] if isinstance(split, str)
                             else split)
            clips = {test: self.files.clips(used, splits)
                     for test, splits in tests.items()}
            for test, found in clips.items():
                check_test_size(test, list(tests[test]), found.num_clips)
            hashes = dict(data_sha256=self.files.sha256(train),
                          config_sha256=hash_config(cfg))
            if self.files.path(used) != self.files.path(train):
                hashes.update(test_data_sha256=self.files.sha256(used))
        except (ValueError, OSError) as error:
            self._note(where, error)
            return None
        about = dict(
            hashes,
            tests={test: dict(splits=list(tests[test]),
                              **dataclasses.asdict(clips[test]))
                   for test in tests})
        return Stage(
            name,
            str(method.config(part, data)),
            method.settings(part, data),
            data.name,
            about,
            dict(about, version=BENCHMARK_VERSION, **depends),
            tests,
            'pretrain' if method.pretrain and part != 'pretrain' else None,
            num_workers=cfg.train_dataloader.get('num_workers', 0),
            max_epochs=None if part == 'frozen' else cfg.train_cfg.get(
                'max_epochs'))

    def _pretrain(self, method: Method, data: DataSet) -> Optional[Stage]:
        cfg = self._read(method, 'pretrain', data)
        return cfg and self._stage(
            'pretrain', method, 'pretrain', data, cfg, 'train_dataloader',
            arguments=self.suite.train_options)

    def _frozen(self, method: Method, data: DataSet,
                name: str) -> Optional[Stage]:
        cfg = self._read(method, 'frozen', data)
        suite = self.suite
        loader = ('test_dataloader' if cfg and cfg.get('test_dataloader')
                  else 'val_dataloader')
        return cfg and self._stage(
            name,
            method,
            'frozen',
            data,
            cfg,
            loader,
            encoder=method.encoder or 'pretrained',
            protocol=PROTOCOL_VERSION,
            protocols=suite.protocols,
            readouts=suite.readouts,
            persons=suite.persons,
            settings=dataclasses.asdict(suite.probe))

    def _finetune(self, method: Method, data: DataSet) -> Optional[Stage]:
        cfg = self._read(method, 'finetune', data)
        return cfg and self._stage(
            'finetune', method, 'finetune', data, cfg, 'test_dataloader',
            arguments=self.suite.train_options)

    def _cost(self, method: Method, data: DataSet) -> Optional[Stage]:
        """Counting what a method costs: no data, no seed, no weights."""
        parts = {
            part: dict(config=method.config(part, data),
                       options=method.settings(part, data))
            for part in ('pretrain', 'frozen', 'finetune')
            if method.config(part, data)
        }
        configs = {part: self._read(method, part, data) for part in parts}
        if method.encoder == 'raw' or None in configs.values():
            return None
        hashes = {part: hash_config(cfg) for part, cfg in configs.items()}
        return Stage(
            'cost',
            ', '.join(str(part['config']) for part in parts.values()), {},
            data.name,
            dict(config_sha256=hashes),
            dict(configs=hashes, version=BENCHMARK_VERSION),
            parts=parts)


def stages_of(suite: Suite, cell: Cell,
              planned: Mapping[Tuple[str, str], List[Stage]]) -> List[Stage]:
    """The stages of a cell; what a method costs is counted in the first seed
    only."""
    first = cell.seed in (None, suite.seeds[0])
    return [stage for stage in planned[cell.method, cell.data]
            if first or stage.name != 'cost']


def select_stages(stages: Iterable[Stage],
                  patterns: Sequence[str]) -> Optional[Set[str]]:
    """The names that fit one of the patterns; None if there is no pattern.

    Args:
        stages (Iterable[Stage]): The stages to choose from.
        patterns (Sequence[str]): Names, with ``*`` for anything.

    Raises:
        ValueError: If a pattern fits none.
    """
    names = list(dict.fromkeys(stage.name for stage in stages))
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise ValueError(f'--stages {pattern}: no stage of these cells '
                             f'has such a name; they are {", ".join(names)}')
    return {name for pattern in patterns
            for name in fnmatch.filter(names, pattern)} or None


def is_done(stage: Stage, seed: Optional[int],
            record: Mapping[str, Any]) -> bool:
    """Whether a record holds a stage's result as it would be now, given the
    weights that are there."""
    found = record['stages'].get(stage.name, {})
    weights = None
    if stage.needs is not None:
        source = record['stages'].get(stage.needs, {})
        if source.get('state') != 'done':
            return False
        weights = source['checkpoint']['sha256']
    return (found.get('state') == 'done'
            and found['key'] == stage.key(seed, weights))


def missing_stages(stages: Sequence[Stage], seed: Optional[int],
                   record: Mapping[str, Any]) -> List[Stage]:
    """The stages of a cell that have to run, in their order."""
    missing: List[Stage] = []
    for stage in stages:
        anew = stage.needs in [other.name for other in missing]
        if anew or not is_done(stage, seed, record):
            missing.append(stage)
    return missing
