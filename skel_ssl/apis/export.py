# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Skeleton models as ONNX graphs, compared with PyTorch."""
import logging
import os
import warnings
from contextlib import contextmanager
from typing import (
    Any,
    Callable,
    Iterator,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np
import torch
from mmaction.models import RecognizerGCN
from mmengine.config import Config
from packaging.version import Version
from torch import Tensor, nn

from skel_ssl.models.heads import FeatureReadoutHead
from skel_ssl.utils.files import replacing

from .config_parts import read_clip_settings, read_config
from .init_model import init_model
from .static_model import StaticModel

OPSET = 18
TOLERANCE = 1e-4
# 100 clips, in batches of several sizes.
BATCH_SIZES = (1, 2, 3, 7, 16, 33, 38)
FEATURES = ('mean', 'tokens')

ClipShape = Tuple[int, int, int, int]


class ExportSource(NamedTuple):
    """What to export.

    Attributes:
        backbone (nn.Module): ``(N, M, T, V, C)`` to ``(N, M, D, S, V)``.
        head (nn.Module): What follows it.
        shape (tuple[int, int, int, int]): M, T, V and C of the input.
        output_name (str): What comes out, ``'scores'`` or ``'features'``.
    """
    backbone: nn.Module
    head: nn.Module
    shape: ClipShape
    output_name: str


def load_for_export(
        config: Union[str, os.PathLike, Config],
        checkpoint: Union[str, os.PathLike],
        features: Optional[str] = None,
        softmax: bool = False,
        shape: Optional[Sequence[int]] = None,
        pretrained_prefix: Optional[str] = None,
        cfg_options: Optional[Mapping[str, Any]] = None) -> ExportSource:
    """Load a model and say which part of it to export.

    Args:
        config (str | os.PathLike | Config): Of a recognizer; with
            ``features`` also of a pre-training.
        checkpoint (str | os.PathLike): Its weights.
        features (str, optional): Leave the head out. ``'mean'``: the mean of
            a clip's tokens, ``(N, D)``; ``'tokens'``: all, ``(N, M, D, S,
            V)``. None: scores of the classes.
        softmax (bool): Turn scores into probabilities.
        shape (Sequence[int], optional): M, T, V, C of the input; by default
            as config and backbone have it.
        pretrained_prefix (str, optional): See :func:`load_pretrained`; for
            ``features``.
        cfg_options (Mapping, optional): Settings of the config to override.

    Raises:
        ValueError: If the model has no scores, or the shape is not known.
    """
    cfg = read_config(config, cfg_options)
    if features is None:
        if pretrained_prefix is not None:
            raise ValueError('a prefix of the weights goes with features')
        model = init_model(cfg, checkpoint, device='cpu')
        if not isinstance(model, RecognizerGCN) or not hasattr(
                model.cls_head, 'num_classes'):
            raise ValueError(
                f'{cfg.filename} describes a {type(model).__name__} without '
                'classes, so there are no scores: export its features '
                '(--features mean), or use a config of '
                'configs/benchmarks/linear or finetune')
        head = model.cls_head
        if softmax:
            head = nn.Sequential(head, nn.Softmax(dim=-1))
        name = 'scores'
    else:
        if features not in FEATURES:
            raise ValueError(f'there are no features={features!r}; choose '
                             f'one of {FEATURES}')
        if softmax:
            raise ValueError('features have no softmax: leave one of the two '
                             'out')
        model = init_model(
            cfg,
            device='cpu',
            pretrained=checkpoint,
            pretrained_prefix=pretrained_prefix)
        head = (
            FeatureReadoutHead('mean')
            if features == 'mean' else nn.Identity())
        name = 'features'
    given: Any = tuple(shape) if shape else clip_shape(cfg, model.backbone)
    return ExportSource(model.backbone, head, given, name)


def clip_shape(cfg: Config, backbone: nn.Module) -> ClipShape:
    """M, T, V and C of the clips that a config feeds its backbone.

    Raises:
        ValueError: If config and backbone leave one open.
    """
    settings = read_clip_settings(cfg, backbone)
    found = {}
    for step in settings.pipeline:
        found.update(
            {k: step[k]
             for k in ('num_person', 'clip_len') if k in step})
    channels = getattr(backbone, 'in_channels', None)
    if settings.coordinates == 2 and channels == 2:
        channels = 3  # the score of a joint comes with it
    shape: Any = (found.get('num_person'),
                  getattr(backbone, 'num_frames', found.get('clip_len')),
                  getattr(backbone, 'num_input_joints', None), channels)
    if None in shape:
        raise ValueError(
            f'{cfg.filename} and {type(backbone).__name__} say of the input '
            f'(M, T, V, C) only {shape}: give it with --shape')
    return shape


class ExportReport(NamedTuple):
    """What was exported, and how near it is.

    Attributes:
        input_shape (tuple): With a name for the batch axis.
        output_shape (tuple): Likewise.
        largest (float): Largest absolute difference of all outputs.
        num_clips (int): Clips that were compared.
    """
    input_shape: Tuple
    output_shape: Tuple
    largest: float
    num_clips: int


def export_onnx(backbone: nn.Module,
                head: nn.Module,
                shape: ClipShape,
                out: Union[str, os.PathLike],
                output_name: str = 'scores') -> ExportReport:
    """Write a model as an ONNX file, if it computes the same.

    The file is read back by onnxruntime, and compared with PyTorch's own path
    on 100 random clips, in batches of seven sizes, some of them with empty or
    copied persons. A file that fails is not left behind.

    Args:
        backbone (nn.Module): ``(N, M, T, V, C)`` to ``(N, M, D, S, V)``.
        head (nn.Module): What follows it, such as a ``cls_head``.
        shape (tuple[int, int, int, int]): M, T, V and C of the input, which
            are fixed; N is free. The input's name is ``keypoint``.
        out (str | os.PathLike): The file to write.
        output_name (str): Name of the output.

    Raises:
        ImportError: If a package of the extra ``onnx`` is not installed, or
            torch is too old.
        ValueError: If the model cannot be exported, or the results differ by
            more than 1e-4.
    """
    onnx, onnxruntime = _import_onnx()
    was_training = backbone.training, head.training
    eager = nn.Sequential(backbone, head).eval()
    static = StaticModel(backbone, head).eval()
    try:
        with replacing(out) as temporary:
            with torch.no_grad():
                _write(static, shape, temporary, output_name)
            onnx.checker.check_model(str(temporary), full_check=True)
            session = onnxruntime.InferenceSession(
                str(temporary), providers=['CPUExecutionProvider'])
            largest = largest_difference(
                eager, lambda x: session.run(None, {'keypoint': x})[0], shape)
            if not largest <= TOLERANCE:
                raise ValueError(
                    'the exported model differs from PyTorch by up to '
                    f'{largest:.2g}, more than {TOLERANCE:g}, so it was not '
                    'written: please report it, with the config')
            return ExportReport(
                tuple(session.get_inputs()[0].shape),
                tuple(session.get_outputs()[0].shape), largest,
                sum(BATCH_SIZES))
    finally:
        backbone.train(was_training[0])
        head.train(was_training[1])


def random_clips(num_clips: int, shape: ClipShape,
                 rng: np.random.Generator) -> np.ndarray:
    """Clips ``(N, M, T, V, C)`` float32 with all kinds of persons.

    Where there is more than one slot, in turn all are taken, all but the
    first are empty, all are copies of the first, the first is empty. Some
    persons are not seen in the first quarter of the frames, and one clip in
    nine holds nobody.
    """
    clips = rng.normal(size=(num_clips, *shape)).astype(np.float32)
    for i, clip in enumerate(clips):
        kind = (i + num_clips) % 4
        if kind == 1:
            clip[1:] = 0
        elif kind == 2:
            clip[1:] = clip[:1]
        elif kind == 3 and len(clip) > 1:
            clip[0] = 0
        if i % 5 == 1:
            clip[-1, :len(clip[0]) // 4] = 0
        if i % 9 == 8:
            clip[:] = 0
    return clips


def largest_difference(reference: Callable[[Tensor], Tensor],
                       function: Callable[[np.ndarray], np.ndarray],
                       shape: ClipShape) -> float:
    """Largest absolute difference of two models on 100 random clips.

    Args:
        reference (Callable): Tensor ``(N, M, T, V, C)`` to tensor.
        function (Callable): The same of arrays.
        shape (tuple[int, int, int, int]): M, T, V, C.

    Returns:
        float: NaN or infinite if an output is.
    """
    rng = np.random.default_rng(0)
    differences = []
    for size in BATCH_SIZES:
        clips = random_clips(size, shape, rng)
        with torch.no_grad():
            expected = reference(torch.from_numpy(clips)).numpy()
        got = function(clips)
        if got.shape != expected.shape:
            raise ValueError(f'for {size} clips the exported model returns '
                             f'{got.shape} and PyTorch {expected.shape}')
        differences.append(np.abs(got - expected).max())
    return float(np.max(differences))


def _import_onnx() -> Tuple[Any, Any]:
    if Version(torch.__version__) < Version('2.6'):
        raise ImportError(
            'export needs torch >= 2.6, for its ONNX exporter, and this is '
            f'{torch.__version__}: a checkpoint of it can be exported in an '
            'environment with a newer one')
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise ImportError(
            f'export needs the package {error.name}: install the extra with '
            'pip install -e .[onnx]') from error
    return onnx, onnxruntime


def _write(model: StaticModel, shape: ClipShape, path: os.PathLike,
           output_name: str) -> None:
    # No size of 1, which the exporter would take for a constant.
    example = torch.from_numpy(
        random_clips(3, shape, np.random.default_rng(0)))
    batch = torch.export.Dim('batch', min=1)
    try:
        with _quiet():
            # Traced here: left to itself the exporter goes on with a fixed
            # batch where a free one fails. A strict trace can follow len().
            program = torch.export.export(
                model, (example, ), dynamic_shapes=({
                    0: batch
                }, ), strict=True)
            exported = torch.onnx.export(
                program,
                dynamo=True,
                dynamic_shapes=({
                    0: batch
                }, ),  # for its name
                input_names=['keypoint'],
                output_names=[output_name],
                opset_version=OPSET,
                external_data=False,  # one file
                verbose=False)
            assert exported is not None, 'dynamo=True gives a program'
            exported.save(path)
    except (RuntimeError, TypeError) as error:
        cause = error.__cause__ or error
        reason = str(cause).strip().splitlines() or [type(cause).__name__]
        raise ValueError(
            f'{type(model.backbone).__name__} and '
            f'{type(model.head).__name__} cannot be exported with torch '
            f'{torch.__version__}: {reason[0][:300]}') from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's own warnings say nothing of the model."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
