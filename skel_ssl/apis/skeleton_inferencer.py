# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Predict the actions in clips, with a call."""
import os
import warnings
from collections import deque
from pathlib import Path
from typing import (
    Any,
    Deque,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np
import torch
from mmaction.models.heads import BaseHead
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.infer import BaseInferencer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from torch import nn

from skel_ssl.datasets.layouts import LayoutLike
from skel_ssl.utils.files import write_json

from .class_names import Classes
from .clip_pipeline import batch_by_shape
from .clip_windows import (
    ClipJob,
    describe_window,
    find_windows,
    make_pieces,
)
from .config_parts import (
    ConfigLike,
    check_layout,
    read_clip_settings,
    read_config,
)
from .init_model import init_model
from .inputs import Clip, ClipReader, SkippedInputs
from .prediction_results import (
    Result,
    describe_scores,
    make_table,
    to_probabilities,
)

_FEW = 8  # inputs that need no progress bar
_PICTURES = ('png', 'gif')


class Batch(NamedTuple):
    """What one step of the model takes.

    Attributes:
        places (list[tuple]): The job, and the number of its window, of each
            piece.
        data (dict): ``inputs`` and ``data_samples``, as ``test_step`` has
            them.
    """
    places: List[Tuple[ClipJob, int]]
    data: Dict[str, Any]


class SkeletonInferencer(BaseInferencer):
    """Predict actions, by the conventions of MMEngine's inferencers.

    ``inferencer(inputs)`` reads and checks inputs (:class:`ClipReader`), runs
    the test pipeline of the config on each, and gives one dict for each clip.
    Clips are read, predicted and drawn one batch after the other, so a folder
    of any size needs the memory of a batch.

    In three things it is not like ``BaseInferencer``: the model is never
    looked up in a model zoo and never loaded in part (:func:`init_model`); a
    result is a list, as one file may hold many clips; and the visualizer of
    the config, which is made for videos, is not built.

    Args:
        model (str | os.PathLike | Config): Config of a recognizer.
        weights (str | os.PathLike, optional): Its checkpoint. None: random
            weights.
        device (str, optional): Where to. None: the best there is.
        layout (str | dict | SkeletonLayout, optional): The layout of the
            data. It is a check: a model takes the joints that it was trained
            with and no others. If the config names no layout, it is this.
        classes (str | os.PathLike | Sequence[str], optional): See
            :func:`init_model`.
        cfg_options (Mapping, optional): Settings of the config to override.
        show_progress (bool): Whether more than a few inputs have a progress
            bar.
        scale (float): Factor of the coordinates, see :class:`ClipReader`.
        img_shape (tuple[int, int], optional): Height and width of images, for
            2D joints in pixels; see there.

    Raises:
        ValueError: If the model does not classify, the layout is another one,
            or see :func:`init_model`.
    """

    preprocess_kwargs = {'window', 'stride'}
    visualize_kwargs = {'save_vis'}
    postprocess_kwargs = {'topk', 'fps', 'print_result', 'out_dir'}

    def __init__(self,
                 model: ConfigLike,
                 weights: Optional[Union[str, os.PathLike]] = None,
                 device: Optional[str] = None,
                 layout: Optional[LayoutLike] = None,
                 classes: Optional[Classes] = None,
                 cfg_options: Optional[Mapping[str, Any]] = None,
                 show_progress: bool = True,
                 scale: float = 1.,
                 img_shape: Optional[Tuple[int, int]] = None) -> None:
        self._classes = classes
        if weights is None:
            warnings.warn('no weights are given: they are random, and so are '
                          'the predictions', stacklevel=2)
        super().__init__(
            read_config(model, cfg_options),
            weights,
            device,
            show_progress=show_progress)
        settings = read_clip_settings(self.cfg, self.model.backbone)
        self.layout = check_layout(layout, settings.layout)
        self.reader = ClipReader(self.layout, settings.coordinates,
                                 settings.max_persons, scale, img_shape,
                                 settings.img_shape)
        self.weights = weights

    @property
    def classes(self) -> Optional[List[str]]:
        """Names of the classes, if they are known."""
        return self.model.dataset_meta.get('classes')

    def _init_model(self,
                    cfg: Config,
                    weights: Optional[Union[str, os.PathLike]],
                    device: str = 'cpu') -> nn.Module:
        model = init_model(cfg, weights, device, classes=self._classes)
        if not isinstance(getattr(model, 'cls_head', None), BaseHead):
            raise ValueError(
                f'{cfg.filename} describes a {type(model).__name__} that '
                'does not classify: use a config of configs/benchmarks/linear '
                'or finetune with its checkpoint, or FeatureExtractor')
        return model

    def _init_pipeline(self, cfg: Config) -> Compose:
        return Compose(read_clip_settings(cfg, self.model.backbone).pipeline)

    def _init_visualizer(self, cfg: Config) -> None:
        return None

    def __call__(self,
                 inputs: Any,
                 return_datasamples: bool = False,
                 batch_size: int = 32,
                 topk: int = 5,
                 window: Optional[int] = None,
                 stride: Optional[int] = None,
                 fps: Optional[float] = None,
                 out_dir: Optional[Union[str, os.PathLike]] = None,
                 save_vis: Union[bool, str] = False,
                 print_result: bool = False,
                 skip_bad: bool = False) -> List[Any]:
        """Predict.

        Args:
            inputs: One input or a list of them, see :meth:`ClipReader.read`.
            return_datasamples (bool): Whether to give the model's data
                samples, one for each window of each clip (None where nobody
                is seen), in place of dicts; nothing is written or printed.
            batch_size (int): Clips, or windows, that are computed at once.
            topk (int): How many of the best classes are listed.
            window (int, optional): Cut recordings into windows of so many
                frames, see :func:`find_windows`. None: a clip is predicted as
                a whole, however long it is; the pipeline samples it.
            stride (int, optional): Frames from one window to the next.
            fps (float, optional): Frames a second of the recordings, for the
                times of windows.
            out_dir (str | os.PathLike, optional): A folder for
                ``predictions.json`` and pictures; made if needed.
            save_vis (bool | str): Draw each clip into ``out_dir``: ``'png'``
                or True, a contact sheet, ``'gif'``, an animation.
            print_result (bool): Whether to print a table.
            skip_bad (bool): Leave out inputs that cannot be used, with a
                warning for each; ``predictions.json`` lists them. They end
                the call otherwise.

        Returns:
            list[dict]: For each clip ``name``, ``input`` (where it came
            from), ``num_frames``, what :func:`describe_scores` gives,
            ``gt_label`` if the input had one, and ``windows``, if they were
            asked for: :func:`describe_window` and :func:`describe_scores` of
            each. The scores of a clip are the mean over the windows in which
            somebody is seen; of others ``pred_label`` is None, and there are
            no scores.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If an input cannot be used (``InputError``; with
                ``skip_bad``: if none can), a number is out of range, or the
                scores are not finite.
        """
        if batch_size < 1 or topk < 1 or (fps is not None and fps <= 0):
            raise ValueError(f'batch_size={batch_size}, topk={topk} and fps='
                             f'{fps} must be above 0')
        if fps is not None and window is None:
            raise ValueError(f'fps={fps} is for the times of windows: give a '
                             'window, too, or leave it out')
        find_windows(1, window, stride)  # before anything is read
        if save_vis is True:
            save_vis = _PICTURES[0]
        if save_vis and (save_vis not in _PICTURES or out_dir is None):
            raise ValueError(f'save_vis={save_vis!r} must be one of '
                             f'{_PICTURES}, and needs an out_dir (it is '
                             f'{out_dir!r})')
        folder = None if out_dir is None else Path(out_dir)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        results: List[Any] = []
        skipped = SkippedInputs()
        with self._progress() as progress:
            bar = progress.add_task('clips', visible=False)

            def set_total(total: Optional[int]) -> None:
                shown = self.show_progress and (total is None or total > _FEW)
                progress.update(bar, total=total, visible=shown)

            clips = self.reader.read(inputs, set_total,
                                     skipped.add if skip_bad else None)
            for job in self._predict(clips, batch_size, window, stride):
                samples = [job.found[k] for k in range(len(job.spans))]
                if return_datasamples:
                    results += samples
                else:
                    result = self.postprocess(
                        job, samples, topk, fps, window is not None)
                    if folder is not None and save_vis:
                        self.visualize(job.clip, result, folder,
                                       len(results), save_vis)
                    results.append(result)
                progress.advance(bar)
        if folder is not None and not return_datasamples:
            self._write(folder, results, skipped.reasons)
        if print_result and not return_datasamples:
            Console().print(make_table(results, self.classes))
        return results

    def preprocess(self,
                   inputs: Iterable[Clip],
                   batch_size: int = 1,
                   window: Optional[int] = None,
                   stride: Optional[int] = None,
                   jobs: Optional[Deque[ClipJob]] = None) -> Iterator[Batch]:
        """Make clips ready for the model, in batches of one shape.

        Args:
            inputs (Iterable[dict]): Clips, see :meth:`ClipReader.read`.
            batch_size (int): The most pieces in a batch.
            window (int, optional): See :meth:`__call__`.
            stride (int, optional): See :meth:`__call__`.
            jobs (deque, optional): Gets a job for each clip.
        """
        jobs = deque() if jobs is None else jobs
        pieces = make_pieces(self.pipeline, inputs, window, stride, jobs)
        for batch in batch_by_shape(pieces, batch_size):
            places = [(job, k) for job, k, _ in batch]
            yield Batch(places, pseudo_collate([x for *_, x in batch]))

    @torch.inference_mode()
    def forward(self, inputs: Dict[str, Any],
                **kwargs: Any) -> List[ActionDataSample]:
        """Predict a batch; the data samples are on the CPU."""
        return [sample.cpu() for sample in self.model.test_step(inputs)]

    def _predict(self, clips: Iterator[Clip], batch_size: int,
                 window: Optional[int],
                 stride: Optional[int]) -> Iterator[ClipJob]:
        """The clips in order, each when all of its windows are known."""
        jobs: Deque[ClipJob] = deque()
        for batch in self.preprocess(clips, batch_size, window, stride, jobs):
            for (job, k), sample in zip(batch.places,
                                        self.forward(batch.data)):
                job.found[k] = sample
            while jobs and jobs[0].done:
                yield jobs.popleft()
        yield from jobs

    def postprocess(self,
                    preds: ClipJob,
                    samples: Sequence[Optional[ActionDataSample]],
                    topk: int = 5,
                    fps: Optional[float] = None,
                    windows: bool = False) -> Result:
        """The result of one clip, see :meth:`__call__`."""
        clip = preds.clip
        scores = [self._scores(sample, clip) for sample in samples]
        seen = [score for score in scores if score is not None]
        result: Result = dict(
            name=clip['frame_dir'],
            input=clip['input'],
            num_frames=clip['total_frames'])
        result.update(describe_scores(np.mean(seen, 0), self.classes, topk))
        if clip.get('label', -1) not in (None, -1):
            result['gt_label'] = int(clip['label'])
        if windows:
            result['windows'] = [
                {
                    **describe_window(span, fps),
                    **(dict(pred_label=None) if score is None else
                       describe_scores(score, self.classes, topk))
                } for span, score in zip(preds.spans, scores)
            ]
        return result

    def _scores(self, sample: Optional[ActionDataSample],
                clip: Clip) -> Optional[np.ndarray]:
        if sample is None:
            return None
        scores = to_probabilities(sample.pred_score.float().numpy(),
                                  self.model.cls_head.average_clips)
        if not np.isfinite(scores).all():
            raise ValueError(f'{clip["input"]}: the scores are NaN or '
                             'infinite: did the training diverge?')
        return scores

    def visualize(self,
                  inputs: Clip,
                  preds: Result,
                  folder: Path,
                  index: int = 0,
                  save_vis: str = 'png') -> Path:
        """Draw one clip with its result, see :func:`save_picture`."""
        # Here, as matplotlib takes its time, and few ask for pictures.
        from .prediction_pictures import save_picture
        return save_picture(folder, index, inputs, preds, self.layout,
                            save_vis)

    def _progress(self) -> Progress:
        console = Console(stderr=True)
        seen = console.is_terminal or console.is_jupyter
        return Progress(
            *Progress.get_default_columns(),
            MofNCompleteColumn(),
            console=console,
            transient=True,
            disable=not (self.show_progress and seen))

    def _write(self, folder: Path, results: List[Result],
               skipped: List[str]) -> None:
        write_json(
            folder / 'predictions.json',
            dict(
                config=str(self.cfg.filename),
                weights=None if self.weights is None else str(self.weights),
                classes=self.classes,
                predictions=results,
                skipped=skipped))
