"""Losses of a probability by name: how much a logit costs whose probability p should be the target q, 0..1.

Each is called with logits and targets of one shape, and gives that shape.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from detect.errors import OptionError
from detect.models.registry import Registry

CROSS_ENTROPIES = Registry("loss")
TINY = 1e-8


@CROSS_ENTROPIES.register_as("bce")
class CrossEntropy:
    """-q log p - (1 - q) log(1 - p)."""

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


@CROSS_ENTROPIES.register_as("focal")
class Focal:
    """Focal loss (arXiv 1708.02002, eq. 5): -alpha (1 - p)^gamma log p where q = 1, -(1 - alpha) p^gamma log(1 - p)
    where q = 0. Between them both the cross-entropy's factors are mixed in the measure of q.
    """

    def __init__(self, gamma: float = 2.0, alpha: float = 0.25) -> None:
        self.gamma, self.alpha = _from_zero("gamma", gamma), _share("alpha", alpha)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        probabilities = logits.sigmoid()
        wrong = probabilities + targets - 2 * probabilities * targets  # 1 - p_t
        balance = self.alpha * targets + (1 - self.alpha) * (1 - targets)
        return balance * _power(wrong, self.gamma) * CrossEntropy()(logits, targets)


@CROSS_ENTROPIES.register_as("quality_focal")
class QualityFocal:
    """Quality focal loss (arXiv 2006.04388, section 3): |q - p|^beta (-q log p - (1 - q) log(1 - p))."""

    def __init__(self, beta: float = 2.0) -> None:
        self.beta = _from_zero("beta", beta)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return _power((targets - logits.sigmoid()).abs(), self.beta) * CrossEntropy()(logits, targets)


@CROSS_ENTROPIES.register_as("varifocal")
class Varifocal:
    """Varifocal loss (arXiv 2008.13367, section 3): q (-q log p - (1 - q) log(1 - p)) where q > 0, and
    -alpha p^gamma log(1 - p) where q = 0."""

    def __init__(self, gamma: float = 2.0, alpha: float = 0.75) -> None:
        self.gamma, self.alpha = _from_zero("gamma", gamma), _share("alpha", alpha)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        weight = torch.where(targets > 0, targets, self.alpha * _power(logits.sigmoid(), self.gamma))
        return weight * CrossEntropy()(logits, targets)


def _power(base: Tensor, exponent: float) -> Tensor:
    """base^exponent, with a finite gradient at 0 where the exponent is below 1."""
    return base.clamp(min=TINY) ** exponent


def _from_zero(option: str, value: float) -> float:
    if value < 0:
        raise OptionError(option, f"{option} must be at least 0, not {value:g}")
    return value


def _share(option: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise OptionError(option, f"{option} must be from 0 to 1, not {value:g}")
    return value
