# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What heads with classes share."""
from typing import Dict, List

import torch
import torch.nn.functional as F
from mmaction.models.heads import BaseHead
from mmengine.structures import BaseDataElement
from torch import Tensor


class ClassHead(BaseHead):
    """MMAction2's ``BaseHead``, whose training never waits for the device.

    ``BaseHead`` computes the training accuracy with NumPy: in every step the
    host waits until the GPU has finished. Here it is computed where the
    scores are. Losses, their names and values are the same.
    """

    def loss_by_feat(self, cls_scores: Tensor,
                     data_samples: List[BaseDataElement]) -> Dict[str, Tensor]:
        """Losses and training accuracies.

        Args:
            cls_scores (Tensor): ``(N, C)`` logits.
            data_samples (list[ActionDataSample]): With ``gt_label``: ``(1,)``
                int64, or ``(C,)`` shares of the classes, as mixing samples
                makes them.

        Returns:
            dict[str, Tensor]: ``loss_cls``, or the losses by their names;
            ``top1_acc`` and the like unless labels are shares.

        Raises:
            ValueError: If a label is none of the classes; on a GPU, which
                would have to be waited for, its own error comes.
        """
        labels = torch.stack([sample.gt_label for sample in data_samples])
        if labels.device.type == 'cpu' and not labels.is_floating_point():
            self._check_labels(labels)
        labels = labels.to(cls_scores.device)
        losses: Dict[str, Tensor] = {}
        if not labels.is_floating_point():
            labels = labels.view(len(cls_scores))
            most = min(max(self.topk), self.num_classes)
            best = cls_scores.detach().topk(most, dim=1).indices
            right = best == labels[:, None]
            for k in self.topk:
                hits = right[:, :k].any(1)
                losses[f'top{k}_acc'] = hits.float().mean()
        if self.label_smooth_eps != 0:
            if not labels.is_floating_point():
                labels = F.one_hot(labels, self.num_classes)
            labels = ((1 - self.label_smooth_eps) * labels +
                      self.label_smooth_eps / self.num_classes)
        found = self.loss_cls(cls_scores, labels)
        losses.update(found if isinstance(found, dict) else
                      dict(loss_cls=found))
        return losses

    def _check_labels(self, labels: Tensor) -> None:
        strange = labels[(labels < 0) | (labels >= self.num_classes)]
        if len(strange):
            raise ValueError(
                f'a clip has the label {int(strange[0])} and the model tells '
                f'{self.num_classes} classes apart, 0 to '
                f'{self.num_classes - 1}: set model.cls_head.num_classes to '
                'the number of classes in the data')
