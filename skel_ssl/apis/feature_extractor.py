# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Features of clips from a pre-trained encoder, with a call."""
import json
import os
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    Union,
)

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope

import skel_ssl
from skel_ssl.datasets.checks import clip_name
from skel_ssl.datasets.layouts import LayoutLike
from skel_ssl.datasets.seeded_sampler import SeededIndex, sample_seed
from skel_ssl.evaluation.feature_cache import hash_file, hash_weights
from skel_ssl.models.ops.persons import present_persons
from skel_ssl.models.ops.pooling import READOUTS, pool_tokens
from skel_ssl.registry import DATASETS, MODELS
from skel_ssl.utils.files import replacing
from skel_ssl.utils.streams import check_streams

from .clip_pipeline import batch_by_shape, run_pipeline
from .config_parts import (
    ConfigLike,
    check_layout,
    read_clip_settings,
    read_config,
    split_dataset,
)
from .inputs import ClipReader, OnTotal, SkippedInputs
from .pretrained import PREFIXES, load_pretrained

TOKENS = 'tokens'
WEIGHTS = dict(teacher=PREFIXES[0], student=PREFIXES[1])


class ClipFeatures(NamedTuple):
    """Features, a row for each clip or for each person.

    Attributes:
        features (np.ndarray): ``(N, D)`` float32, ``(P, S, V, D)`` of tokens.
        names (np.ndarray): ``(N,)`` str, the clips.
        labels (np.ndarray): ``(N,)`` int64, -1 where unknown.
        clips (np.ndarray): ``(N,)`` int64, the place of the clip.
        persons (np.ndarray): ``(N,)`` int64: of a clip's row how many persons
            it has, of a person's row the slot.
    """
    features: np.ndarray
    names: np.ndarray
    labels: np.ndarray
    clips: np.ndarray
    persons: np.ndarray


class FeatureExtractor:
    """Frozen features of clips, as the evaluation takes them.

    The encoder is the backbone of the config, of a pre-training or of a
    recognizer; clips are made ready by the config's pipeline without
    augmentation. Persons who are absent are not encoded.

    Args:
        config (str | os.PathLike | Config): The config.
        checkpoint (str | os.PathLike): Weights of a pre-training, or of a
            probed or fine-tuned model.
        weights (str, optional): ``'teacher'`` or ``'student'``. None: the
            teacher if there is one, see :func:`load_pretrained`.
        device (str | torch.device, optional): Where to. None: the best there
            is.
        layout (str | dict | SkeletonLayout, optional): See
            :class:`SkeletonInferencer`.
        cfg_options (Mapping, optional): Settings of the config to override.
        scale (float): Factor of the coordinates, see :class:`ClipReader`.
        img_shape (tuple[int, int], optional): Height and width of images, for
            2D joints in pixels; see there.

    Raises:
        ValueError: If there are no such weights, one of them has no place,
            the layout is another one, or the config makes another stream
            than the checkpoint was trained on.
    """

    def __init__(self,
                 config: ConfigLike,
                 checkpoint: Union[str, os.PathLike],
                 weights: Optional[str] = None,
                 device: Optional[Union[str, torch.device]] = None,
                 layout: Optional[LayoutLike] = None,
                 cfg_options: Optional[Mapping[str, Any]] = None,
                 scale: float = 1.,
                 img_shape: Optional[Tuple[int, int]] = None) -> None:
        if weights is not None and weights not in WEIGHTS:
            raise ValueError(f'there are no weights={weights!r}; choose one '
                             f'of {tuple(WEIGHTS)}')
        self.cfg = read_config(config, cfg_options)
        init_default_scope(self.cfg.get('default_scope', 'mmaction'))
        self.device = torch.device(device or get_device())
        backbone = MODELS.build({**self.cfg.model.backbone, 'init_cfg': None})
        found = load_pretrained(
            backbone,
            checkpoint,
            None if weights is None else WEIGHTS[weights],
            whole=True)
        check_streams(self.cfg, found.meta, os.fspath(checkpoint))
        if hasattr(backbone, 'skip_empty_persons'):
            backbone.skip_empty_persons = True
        self.backbone = backbone.to(self.device).eval()
        settings = read_clip_settings(self.cfg, backbone, ('val', 'test'))
        self.pipeline = Compose(settings.pipeline)
        self.layout = check_layout(layout, settings.layout)
        self.reader = ClipReader(self.layout, settings.coordinates,
                                 settings.max_persons, scale, img_shape,
                                 settings.img_shape)
        self.about = dict(
            config=str(self.cfg.filename),
            checkpoint=os.fspath(checkpoint),
            checkpoint_sha256=hash_file(checkpoint),
            prefix=found.prefix,
            weights_sha256=hash_weights(backbone),
            skel_ssl=skel_ssl.__version__)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        """The features alone; see :meth:`extract`."""
        return self.extract(inputs, *args, **kwargs).features

    def extract(self,
                inputs: Any,
                readout: str = 'mean',
                per_person: bool = False,
                batch_size: int = 64,
                out: Optional[Union[str, os.PathLike]] = None,
                on_total: OnTotal = lambda total: None,
                on_batch: Callable[[int], Any] = lambda n: None,
                skip_bad: bool = False) -> ClipFeatures:
        """Features of inputs.

        Args:
            inputs: One input or a list, see :meth:`ClipReader.read`.
            readout (str): How tokens become one vector, see
                :func:`pool_tokens`; persons are averaged. ``'tokens'``: all
                tokens of each person, as they are.
            per_person (bool): A row for each person who is there, not for
                each clip; always so of tokens.
            batch_size (int): Clips that are encoded at once.
            out (str | os.PathLike, optional): An ``.npz`` file to write: the
                fields of :class:`ClipFeatures`, and ``meta``, JSON that says
                what made them. Labels are left out if none is known.
            on_total (Callable): See :meth:`ClipReader.read`.
            on_batch (Callable): Called with the number of clips done.
            skip_bad (bool): Leave out inputs that cannot be used, with a
                warning for each; ``meta`` lists them. They end the call
                otherwise.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If an input cannot be used (``InputError``; with
                ``skip_bad``: if none can), there is no such read-out, or a
                feature is not finite.
        """
        skipped = SkippedInputs()
        clips = self.reader.read(inputs, on_total,
                                 skipped.add if skip_bad else None)
        made = ((clip['frame_dir'], clip.get('label'),
                 run_pipeline(self.pipeline, clip)) for clip in clips)
        return self._extract(made, readout, per_person, batch_size, out,
                             on_batch,
                             dict(data='inputs', skipped=skipped.reasons))

    def extract_split(self,
                      split: str,
                      readout: str = 'mean',
                      per_person: bool = False,
                      batch_size: int = 64,
                      out: Optional[Union[str, os.PathLike]] = None,
                      on_total: OnTotal = lambda total: None,
                      on_batch: Callable[[int], Any] = lambda n: None
                      ) -> ClipFeatures:
        """Features of the config's own data.

        They are what :func:`skel_ssl.evaluation.features.extract_features`
        gives for them, clip by clip in the order of the data set.

        Args:
            split (str): ``'train'`` or ``'val'``.
            readout (str): See :meth:`extract`.
            per_person (bool): See :meth:`extract`.
            batch_size (int): See :meth:`extract`.
            out (str | os.PathLike, optional): See :meth:`extract`.
            on_total (Callable): See :meth:`extract`.
            on_batch (Callable): See :meth:`extract`.
        """
        settings = split_dataset(self.cfg, split)
        dataset = DATASETS.build(settings)
        on_total(len(dataset))

        def read() -> Iterator[Tuple[str, Optional[int], dict]]:
            for i in range(len(dataset)):
                info = dataset.get_data_info(i)
                index = SeededIndex(i, sample_seed(0, 0, i))
                yield clip_name(info), info.get('label'), dataset[index]

        data = dict(data=settings['ann_file'], split=settings.get('split'))
        return self._extract(read(), readout, per_person, batch_size, out,
                             on_batch, data)

    def _extract(self, clips: Iterable[Tuple[str, Optional[int], dict]],
                 readout: str, per_person: bool, batch_size: int,
                 out: Optional[Union[str, os.PathLike]],
                 on_batch: Callable[[int], Any],
                 about: Mapping[str, Any]) -> ClipFeatures:
        if readout not in (*READOUTS, TOKENS):
            raise ValueError(f'there is no read-out {readout!r}; choose one '
                             f'of {(*READOUTS, TOKENS)}')
        if batch_size < 1:
            raise ValueError(f'batch_size={batch_size} must be 1 or more')
        if out is not None and Path(out).suffix != '.npz':
            raise ValueError(f'out={os.fspath(out)!r} must end in .npz')
        per_person = per_person or readout == TOKENS
        parts: List[ClipFeatures] = []
        count = 0
        for batch in batch_by_shape(clips, batch_size):
            names, labels, packed = zip(*batch)
            features, rows, persons = self._encode(packed, readout, per_person)
            known = [-1 if x is None else int(x) for x in labels]
            parts.append(ClipFeatures(
                features, np.array(names)[rows],
                np.array(known, np.int64)[rows], rows + count, persons))
            bad = ~np.isfinite(features.reshape(len(rows), -1)).all(1)
            if bad.any():
                name = str(parts[-1].names[bad][0])
                raise ValueError(
                    f'the features of {name!r} are NaN or infinite: did the '
                    'pre-training diverge?')
            count += len(batch)
            on_batch(len(batch))
        found = ClipFeatures(*map(np.concatenate, zip(*parts)))
        if out is not None:
            made = dict(self.about, **about, readout=readout,
                        per_person=per_person)
            write_features(out, found, made)
        return found

    @torch.inference_mode()
    def _encode(self, packed: Tuple[dict, ...], readout: str,
                per_person: bool) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features (R, ...), the clip of each row, and its persons."""
        views = pseudo_collate(packed)['inputs']
        inputs = torch.stack(views).float().to(self.device)
        num_views = inputs.shape[1]
        clips = inputs.flatten(0, 1)
        present = present_persons(clips)
        feats = self.backbone(clips).float()
        if not per_person:
            pooled = pool_tokens(feats, readout, present)
            pooled = pooled.unflatten(0, (-1, num_views)).mean(1)
            counts = present.sum(1).unflatten(0, (-1, num_views)).amax(1)
            return (pooled.cpu().numpy(), np.arange(len(pooled)),
                    counts.cpu().numpy())
        if num_views > 1:
            raise ValueError(
                f'the pipeline makes {num_views} crops of a clip, which can '
                'be averaged for a clip but not person by person: use a '
                'pipeline with num_clips=1')
        slots = present.nonzero()
        persons = feats[present]  # (P, D, S, V)
        if readout == TOKENS:
            rows = persons.permute(0, 2, 3, 1)
        else:
            alone = torch.ones_like(slots[:, :1], dtype=torch.bool)
            rows = pool_tokens(persons[:, None], readout, alone)
        clip, slot = slots.T.cpu().numpy()
        return rows.cpu().numpy(), clip, slot


def write_features(path: Union[str, os.PathLike], found: ClipFeatures,
                   meta: Dict[str, Any]) -> None:
    """Write features as ``.npz``, whole or not at all.

    Args:
        path (str | os.PathLike): The file; its folder is made if needed.
        found (ClipFeatures): The features.
        meta (dict): What made them; becomes a JSON text.
    """
    arrays = found._asdict()
    if (found.labels == -1).all():
        del arrays['labels']
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open('wb') as file:
        np.savez(file, meta=json.dumps(meta), **arrays)
