"""What a training run pays for: cross-entropy or focal loss, classes weighed or not.

objective = Objective("focal", focal_gamma=2.0)
loss = objective(logits, targets)         # logits (batch, 3), targets (batch,) -> a number
"""

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from starwise.classes import CLASSES

LOSSES = ("cross_entropy", "focal")


@dataclass(frozen=True)
class Objective:
    """A loss over a batch, from logits (batch, 3) and targets (batch, 3), the share of each class.

    A target is one class, or what teachers think of the review.

    loss: "cross_entropy", or "focal" (Lin et al., "Focal Loss for Dense Object Detection", 2017,
    section 3.2), which pays less for what is already known: (1 - p)^gamma times the cross-entropy.
    label_smoothing: the share of the target that is spread over all classes, 0 to 1.
    class_weights: (3,) or None; how much a review of each class counts.
    """

    loss: str = "cross_entropy"
    label_smoothing: float = 0.0
    focal_gamma: float = 2.0
    class_weights: Tensor | None = None

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        losses = F.cross_entropy(
            logits, targets, label_smoothing=self.label_smoothing, reduction="none"
        )
        if self.loss == "focal":
            right = (logits.softmax(1) * targets).sum(1)
            losses = losses * (1.0 - right) ** self.focal_gamma
        if self.class_weights is None:
            return losses.mean()
        # Divided by the weights' sum: a batch of rare classes is no larger step than another.
        weights = targets @ self.class_weights
        return (losses * weights).sum() / weights.sum()


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Return the weight of each class, (3,): with them every class counts the same in a loss."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    return np.where(counts > 0, counts.max(initial=1) / np.maximum(counts, 1), 0.0)
