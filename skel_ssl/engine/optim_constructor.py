# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Parameter groups: without the frozen parts, and with layer-wise rates."""
from typing import Any, Dict, List

import torch
from mmengine.optim import (
    AmpOptimWrapper,
    DefaultOptimWrapperConstructor,
    OptimWrapper,
)
from packaging.version import Version
from torch import nn

from skel_ssl.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS


def merge_groups(params: List[dict]) -> List[dict]:
    """Join the groups whose settings are the same.

    MMEngine makes one group of every parameter, and an optimizer works
    through its groups one by one; a few large ones let it treat all their
    parameters in one go.

    Args:
        params (list[dict]): Parameter groups.

    Returns:
        list[dict]: Groups with different settings, in order of appearance.
    """
    merged: Dict[tuple, dict] = {}
    for group in params:
        # MMEngine leaves the factors that it has already applied.
        group = {k: v for k, v in group.items()
                 if k not in ('lr_mult', 'decay_mult')}
        key = tuple(sorted((k, repr(v)) for k, v in group.items()
                           if k != 'params'))
        if key in merged:
            merged[key]['params'] += group['params']
        else:
            merged[key] = dict(group, params=list(group['params']))
    return list(merged.values())


def has_fused_kernel(kind: str, model: nn.Module) -> bool:
    """Whether PyTorch updates all parameters of a model in one kernel.

    Args:
        kind (str): Name of the optimizer.
        model (nn.Module): The model, on the device that it is trained on.
    """
    devices = {param.device.type for param in model.parameters()}
    known = {'cuda'}
    if Version(torch.__version__) >= Version('2.4'):
        known.add('cpu')
    return kind in ('Adam', 'AdamW') and devices <= known


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableParamsConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's default constructor, which passes over frozen modules.

    The default one puts a warning on the log for each of a teacher's or a
    frozen encoder's parameters; without a ``paramwise_cfg`` there is none,
    and frozen parameters are in the optimizer, where nothing happens to
    them. Groups with the same settings are one, and Adam and AdamW are fused
    where PyTorch can, unless the config says ``fused`` or ``foreach``
    itself. They are not with a gradient scaler: it lets the kernel skip a
    step, which nobody else then knows, :class:`EMATeacherHook` among them.
    """

    optimizer_cfg: dict

    def __call__(self, model: nn.Module) -> OptimWrapper:
        settings = self.optimizer_cfg
        kind = self.optim_wrapper_cfg.get('type', OptimWrapper)
        kind = OPTIM_WRAPPERS.get(kind) if isinstance(kind, str) else kind
        scaled = kind is not None and issubclass(kind, AmpOptimWrapper)
        if not {'fused', 'foreach'} & set(
                settings) and not scaled and has_fused_kernel(
                    settings['type'], model):
            self.optimizer_cfg = dict(settings, fused=True)
        return super().__call__(model)

    def add_params(self,
                   params: List[dict],
                   module: nn.Module,
                   prefix: str = '',
                   **kwargs: Any) -> None:
        """Add the groups of a module, unless nothing in it is trained."""
        if any(p.requires_grad for p in module.parameters()):
            super().add_params(params, module, prefix=prefix, **kwargs)
        if not prefix:
            self.adjust(params, module)
            params[:] = merge_groups(params)

    def adjust(self, params: List[dict], model: nn.Module) -> None:
        """Change the groups, one for each parameter, before they are merged.

        Args:
            params (list[dict]): The groups of the whole model.
            model (nn.Module): The model.
        """


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayConstructor(TrainableParamsConstructor):
    """Smaller learning rates for the layers nearer to the input.

    The rate of layer i of n is multiplied by ``layer_decay_rate ** (n - 1 -
    i)``. The backbone says which layer a parameter is of
    (``get_layer_depth``); all that is not of the backbone is of the last
    layer, n - 1, and keeps the full rate. Each group has its factor as
    ``lr_scale``. ``WarmupCosineLR`` multiplies all rates alike.

    ``paramwise_cfg`` has, beside what MMEngine knows:

    - ``layer_decay_rate`` (float): The factor from one layer to the one
      below, in (0, 1]; 1 for training from scratch.
    - ``layer_of`` (dict[str, int], optional): Layers of the parameters whose
      names begin with the key, instead of what the backbone says; a negative
      one counts from the end. Skeleton2vec's public code counts the final
      norm to the last block, ``{'backbone.norm': -2}``; MAMP's and HA-CM's
      to the head, as the backbone says.

    Raises:
        ValueError: If there is no ``layer_decay_rate``, it is out of range,
            or ``layer_of`` names no parameter.
        AttributeError: If the backbone does not know its layers.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict) -> None:
        settings = dict(paramwise_cfg or {})
        if 'layer_decay_rate' not in settings:
            raise ValueError('LayerDecayConstructor needs paramwise_cfg=dict('
                             'layer_decay_rate=...), such as 0.8')
        self.rate = settings.pop('layer_decay_rate')
        if not 0 < self.rate <= 1:
            raise ValueError(f'layer_decay_rate={self.rate} must be above 0 '
                             'and at most 1')
        self.layer_of = settings.pop('layer_of', {})
        # An empty paramwise_cfg would make MMEngine pass over add_params.
        settings.setdefault('custom_keys', {})
        super().__init__(optim_wrapper_cfg, settings)

    def adjust(self, params: List[dict], model: nn.Module) -> None:
        depth_of = getattr(model.backbone, 'get_layer_depth', None)
        if depth_of is None:
            raise AttributeError(
                f'{type(model.backbone).__name__} has no get_layer_depth, so '
                'it cannot be trained with layer-wise rates: use the '
                'TrainableParamsConstructor')
        names = {id(p): name for name, p in model.named_parameters()}
        for key in self.layer_of:
            if not any(name.startswith(key) for name in names.values()):
                raise ValueError(f'layer_of={self.layer_of}: the name of no '
                                 f'parameter begins with {key!r}')
        for group in params:
            name = names[id(group['params'][0])]
            layer, num_layers = depth_of(name, prefix='backbone.')
            for key, other in self.layer_of.items():
                if name.startswith(key):
                    layer = other % num_layers
            scale = self.rate**(num_layers - 1 - layer)
            group['lr_scale'] = scale
            group['lr'] = group.get('lr', self.base_lr) * scale
