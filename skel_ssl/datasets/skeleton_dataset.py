# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import difflib
import logging
from contextlib import contextmanager
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Union,
)

import torch
from mmaction.datasets import PoseDataset
from mmengine.logging import print_log

from skel_ssl.registry import DATASETS

from .checks import Fault, clip_name, find_faults, shows_nobody
from .few_labels import choose_few_labels, hash_clips
from .layouts import LayoutLike, get_layout
from .pickle_io import load_annotations
from .ragged_store import IN_STORE, RaggedStore, is_store
from .ragged_store import shows_nobody as stores_nobody
from .seeded_sampler import SeededIndex, isolated_random
from .subjects import subject_of
from .transforms.base import DONE_OFFLINE, PoseTransform

_NUM_SHOWN = 5


class ClipError(ValueError):
    """A clip passed the checks of the file, and yet gives no sample."""


@DATASETS.register_module()
class SkeletonDataset(PoseDataset):
    """MMAction2's ``PoseDataset`` that looks at its data before it trains.

    It reads the same pickles in the same order, but runs no code from them
    (:func:`load_annotations`), checks every clip when it loads, joins
    splits, and gives a sample its own random stream where it is asked to:

    - An index from :class:`SeededSampler` has a seed. The pipeline then runs
      under NumPy's, ``random``'s and torch's CPU generators seeded with it.
    - Under ``test_mode`` the pipeline draws from the generators as they are.
    - In both cases they are put back afterwards, so a validation leaves no
      trace (a test-mode transform of MMAction2 seeds the global generator).
    - A plain index in training draws from the generators and moves them on,
      as in any MMEngine dataset.

    It also reads a :class:`RaggedStore`, which gives the same samples for
    less: each clip is read from the disk when it is asked for, and what the
    pipeline begins with may have been done once and for all.

    Args:
        ann_file (str): The pickle, or the folder of a store. A relative one
            is looked for under ``data_root``, or else under the working
            directory.
        pipeline (list[dict | callable]): The transforms.
        split (str | list[str], optional): A split of the file, or several,
            one after the other. Each sample then has its split's name as
            ``split``. None: all clips of the file.
        layout (str | dict, optional): The body that every clip must have,
            see :func:`get_layout`. None: joints are not counted.
        max_persons (int, optional): The most persons that a clip may have.
            None: any number.
        invalid (str): What to do about clips that cannot be used, and about
            names in a split without a clip: ``'error'``, or ``'drop'`` to
            leave them out with a warning.
        require_label (bool): Whether a clip without a class, a whole number
            of 0 or more as its label, cannot be used.
        few_labels (dict, optional): Keep only a class-balanced share of the
            clips, for semi-supervised learning: ``dict(ratio=0.01,
            subset=0)``, see :func:`choose_few_labels`. The SHA-256 of the
            names is put on the log and into ``metainfo['few_labels']``, and
            thus into checkpoints; give one as ``sha256`` and another choice
            is an error.
        subjects (list[str | int], optional): Keep only the clips of these
            performers, see :func:`subject_of`: for a validation on people
            that were not trained on, within a training split.
        **kwargs: See ``PoseDataset`` and MMEngine's ``BaseDataset``.

    Raises:
        FileNotFoundError: See :func:`load_annotations`.
        ValueError: If the file cannot be read, has no such split, or holds
            clips that cannot be used; if nothing is left, or every
            ``keypoint_score`` is 0; if an argument is out of range; if a
            subject has no clip; if the pipeline does not begin with what was
            done to a store.
    """

    def __init__(self,
                 ann_file: str,
                 pipeline: List[Union[Dict, Callable]],
                 split: Optional[Union[str, Sequence[str]]] = None,
                 layout: Optional[LayoutLike] = 'ntu25',
                 max_persons: Optional[int] = 2,
                 invalid: str = 'error',
                 require_label: bool = False,
                 few_labels: Optional[dict] = None,
                 subjects: Optional[Sequence[Union[str, int]]] = None,
                 **kwargs: Any) -> None:
        if invalid not in ('error', 'drop'):
            raise ValueError(
                f"invalid must be 'error' or 'drop', not {invalid!r}")
        prefixes = kwargs.get('data_prefix') or {}
        elsewhere = {'video', 'skeleton'}.intersection(prefixes)
        if elsewhere:
            raise ValueError(
                f'data_prefix has {sorted(elsewhere)}, but SkeletonDataset '
                'takes the keypoints from ann_file alone. For clips in files '
                "of their own use MMAction2's PoseDataset")
        self.layout = None if layout is None else get_layout(layout)
        self.max_persons = max_persons
        self.invalid = invalid
        self.require_label = require_label or few_labels is not None
        self.few_labels = few_labels
        self.subjects = subjects
        self._store: Optional[RaggedStore] = None
        super().__init__(ann_file, pipeline, split=split, **kwargs)

    def load_data_list(self) -> List[Dict[str, Any]]:
        """Read the file, choose the splits, and check the clips.

        Returns:
            list[dict]: One dict a clip, in the order of ``split`` and, within
            a split, in that of the file.
        """
        find = find_faults
        if is_store(self.ann_file):
            self._store = RaggedStore(self.ann_file)
            self._check_begin_of_pipeline(self._store)
            find = self._store.find_faults
            data = self._store.load_index()
        else:
            data = load_annotations(self.ann_file)
        if data.get('classes') is not None:
            self._metainfo.setdefault('classes', list(data['classes']))
        faults: List[Fault] = []
        if self.split is None:
            infos = data['annotations']
        else:
            infos = []
            for name in self._split_names(data['split']):
                infos += [dict(x, split=name) for x in _clips_of(data, name)]
                faults += _names_without_clip(data, name)
        faults += find(
            infos,
            num_joints=self.layout.num_joints if self.layout else None,
            max_persons=self.max_persons,
            require_label=self.require_label)
        if faults:
            self._report(faults)
            faulty = {name for name, _ in faults}
            infos = [x for x in infos if clip_name(x) not in faulty]
        if not infos:
            raise ValueError(
                f'no clip is left of {self.ann_file!r} with '
                f'split={self.split!r}, {len(faults)} were left out')
        if self.subjects is not None:
            infos = self._keep_subjects(infos, self.subjects)
        self._look_at_scores(infos)
        if self.few_labels is not None:
            infos = self._keep_few(infos, **self.few_labels)
        return infos

    def _check_begin_of_pipeline(self, store: RaggedStore) -> None:
        """Raise unless the pipeline is empty or begins as the store did."""
        done = list(store.done_offline)
        transforms = self.pipeline.transforms
        begin = [
            t.offline_settings() if isinstance(t, PoseTransform) else None
            for t in transforms[:len(done)]
        ]
        if transforms and begin != done:
            raise ValueError(
                f'the store {self.ann_file!r} was normalised with {done}, '
                f'but the pipeline begins with {transforms[:len(done)]}, '
                f'which is {begin}: the pipeline stays as it is for a '
                'pickle, and the store must be made with its config, see '
                'tools/data/make_store.py')

    def _look_at_scores(self, infos: Sequence[Mapping[str, Any]]) -> None:
        """Warn about clips without a single score, raise if all are so."""
        is_unseen = shows_nobody if self._store is None else stores_nobody
        unseen = [str(clip_name(x)) for x in infos if is_unseen(x)]
        if not unseen:
            return
        fault = (f'in {len(unseen)} of {len(infos)} clips of '
                 f'{self.ann_file!r} (split={self.split!r}) every '
                 "'keypoint_score' is 0, so nobody is seen in them")
        if len(unseen) == len(infos):
            raise ValueError(
                f"{fault}: delete 'keypoint_score' from the annotations if "
                'the scores mean nothing')
        more = ', ...' if len(unseen) > _NUM_SHOWN else ''
        print_log(
            f'{fault}: {", ".join(unseen[:_NUM_SHOWN])}{more}',
            logger='current',
            level=logging.WARNING)

    def _keep_subjects(self, infos: List[Dict[str, Any]],
                       subjects: Sequence[Union[str, int]]
                       ) -> List[Dict[str, Any]]:
        found = [subject_of(x) for x in infos]
        wanted = {str(name) for name in subjects}
        absent = sorted(wanted - set(found))
        if absent or not wanted:
            known = sorted({x for x in found if x is not None})
            raise ValueError(
                f'subjects={list(subjects)!r}: {self.ann_file!r} '
                f'(split={self.split!r}) has no clip of '
                f'{absent or "nobody"}; it has {known}')
        return [x for x, name in zip(infos, found) if name in wanted]

    def _keep_few(self,
                  infos: List[Dict[str, Any]],
                  ratio: float,
                  subset: int = 0,
                  sha256: Optional[str] = None) -> List[Dict[str, Any]]:
        kept = choose_few_labels([clip_name(x) for x in infos],
                                 [int(x['label']) for x in infos], ratio,
                                 subset)
        found = hash_clips([clip_name(infos[i]) for i in kept])
        if sha256 not in (None, found):
            raise ValueError(
                f'few_labels: the {len(kept)} clips that were chosen from '
                f'{self.ann_file!r} (split={self.split!r}, ratio={ratio}, '
                f'subset={subset}) have the hash {found}, not {sha256}: the '
                'file has other clips or labels than the one that the hash '
                'was made for')
        self._metainfo['few_labels'] = dict(
            ratio=ratio, subset=subset, num_clips=len(kept), sha256=found)
        print_log(
            f'{len(kept)} of {len(infos)} clips keep their label '
            f'(split={self.split!r}, ratio={ratio}, subset={subset}), '
            f'SHA-256 of their names: {found}',
            logger='current')
        return [infos[i] for i in kept]

    def _split_names(self, splits: Mapping[str, Sequence[str]]) -> List[str]:
        names = [self.split] if isinstance(self.split, str) else self.split
        if not names:
            raise ValueError(
                f'split is {self.split!r}: name one or more of '
                f'{sorted(splits)}, or None for all clips')
        for name in names:
            if name not in splits:
                near = difflib.get_close_matches(str(name), splits, n=1)
                hint = f'; did you mean {near[0]!r}?' if near else ''
                raise ValueError(
                    f'{self.ann_file!r} has no split {name!r}, it has '
                    f'{sorted(splits)}{hint}')
        return list(names)

    def _report(self, faults: Sequence[Fault]) -> None:
        """Raise, or warn, about the clips that cannot be used."""
        count = (f'{len(faults)} clip(s) of {self.ann_file!r} '
                 f'(split={self.split!r})')
        if self.invalid == 'drop':
            names = ', '.join(str(name) for name, _ in faults)
            print_log(
                f'left out {count} that cannot be used: {names}',
                logger='current',
                level=logging.WARNING)
            return
        lines = [f'  {name}: {fault}' for name, fault in faults[:_NUM_SHOWN]]
        if len(faults) > _NUM_SHOWN:
            lines.append(f'  and {len(faults) - _NUM_SHOWN} more')
        raise ValueError('\n'.join([
            f'{count} cannot be used:', *lines,
            "mend the file, or leave these clips out with invalid='drop'"
        ]))

    def get_annotation(self, idx: int) -> Dict[str, Any]:
        """What is known of a clip, from a store without its keypoints."""
        return super().get_data_info(idx)

    def get_data_info(self, idx: int) -> Dict[str, Any]:
        """The annotation of a clip, from a store with its keypoints."""
        info = self.get_annotation(idx)
        if self._store is not None:
            info.update(self._store.read(info.pop(IN_STORE)))
            if self._store.done_offline:
                info[DONE_OFFLINE] = self._store.done_offline
        return info

    def __getitem__(self, idx: int) -> Dict[str, Any]:
        """Run the pipeline on a clip.

        Args:
            idx (int): Index of the clip; with a seed if it is a
                :class:`SeededIndex`.

        Returns:
            dict: What the pipeline made of the clip.

        Raises:
            ClipError: If a transform fails, or ``inputs`` is not finite.
        """
        seed = idx.seed if isinstance(idx, SeededIndex) else None
        if seed is None and not self.test_mode:
            return super().__getitem__(idx)
        with isolated_random(seed):
            return super().__getitem__(int(idx))

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline; whatever goes wrong names the clip."""
        with self.naming_the_clip(idx):
            sample = super().prepare_data(idx)
            if isinstance(sample, dict) and 'inputs' in sample:
                check_finite(sample['inputs'])
        return sample

    @contextmanager
    def naming_the_clip(self, idx: int) -> Iterator[None]:
        """Turn an error inside into a :class:`ClipError`.

        Args:
            idx (int): Index of the clip that is being worked on.
        """
        try:
            yield
        except Exception as error:
            name = clip_name(self.get_annotation(idx))
            said = str(error)
            if not isinstance(error, ValueError):
                said = f'{type(error).__name__}: {said}'
            raise ClipError(
                f'clip {name!r} (number {int(idx)}, split={self.split!r}) of '
                f'{self.ann_file!r} gives no sample: {said}. If all clips '
                'fail like this, it is the config; if no other does, this '
                'clip is damaged: mend it, or take it out of its split'
            ) from error


def check_finite(values: Any) -> None:
    """Raise ValueError if values of a sample are NaN or infinite.

    Args:
        values (Tensor | array): What the pipeline made, of any shape.
    """
    values = torch.as_tensor(values)
    if torch.isfinite(values.sum()):  # ten times faster than to look at each
        return
    bad = ~torch.isfinite(values)
    if bad.any():
        raise ValueError(f'{int(bad.sum())} of {bad.numel()} values came out '
                         'of the pipeline as NaN or infinite')


def _clips_of(data: Mapping[str, Any], split: str) -> List[Dict[str, Any]]:
    names = set(data['split'][split])
    return [x for x in data['annotations'] if clip_name(x) in names]


def _names_without_clip(data: Mapping[str, Any], split: str) -> List[Fault]:
    known = {clip_name(x) for x in data['annotations']}
    return [(name, f'is named by split {split!r} but is not in the file')
            for name in data['split'][split] if name not in known]
