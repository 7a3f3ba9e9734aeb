"""YOLOX's SimOTA: each object takes the predictions that learn it at the least cost, as many as fit it already."""

import torch
from torch import Tensor

from detect.errors import OptionError
from detect.losses.assign.base import (
    ASSIGNMENTS,
    Assignment,
    ImageByImage,
    ImageCandidates,
    best_of,
    cell_centres,
    contains,
)
from detect.losses.iou import pairwise_iou

OUTSIDE = 1e5  # what a prediction costs that is not in the middle of its object


@ASSIGNMENTS.register_as("simota")
class SimOTA(ImageByImage):
    """Section 2.1 of arXiv 2107.08430, with the numbers of its authors' code.

    Candidates are the predictions of cells whose centre is in an object or within `radius` cells of its centre. With
    the IoU u of prediction and object, and p_k = sqrt(objectness * class k), one costs (eq. 1, l the object's class)

        c = -log p_l - sum of log(1 - p_k), k != l,  - weight * log u,

    and OUTSIDE more unless its cell is in the object and near its centre. An object takes the k of least cost, k being
    the sum of its `most` greatest IoUs, rounded down, at least 1; a prediction that several objects take learns the one
    where it costs least. The class probability is pulled to u.
    """

    def __init__(self, radius: float = 2.5, weight: float = 3.0, most: int = 10) -> None:
        for option, value in (("radius", radius), ("weight", weight), ("most", most)):
            if value <= 0:
                raise OptionError(option, f"{option} must be above 0, not {value:g}")
        self.radius, self.weight, self.most = radius, weight, most

    def match(self, image: ImageCandidates) -> Assignment:
        centres = cell_centres(image.cells)
        middle = (image.objects[:, :2] + image.objects[:, 2:]) / 2
        reach = self.radius * image.cells.stride[:, None]
        near = contains(torch.cat([centres - reach, centres + reach], dim=1), middle).T
        within = contains(image.objects, centres)
        overlap = pairwise_iou(image.objects, image.boxes) * (within | near)  # [n, N]
        most = min(self.most, overlap.shape[1])
        count = overlap.topk(most).values.sum(1).long().clamp(min=1)

        allowed = within & near
        allowed |= (near | within) & (allowed.sum(1) < count)[:, None]  # who has too few may take others
        taken, cost = self._cheapest(image, allowed, within & near, overlap, count)
        return image.learn(best_of(taken, -cost), classes=overlap)

    def _cheapest(
        self, image: ImageCandidates, allowed: Tensor, preferred: Tensor, overlap: Tensor, count: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Which predictions each object takes, bool [n, N], and what they would cost, infinite where not `allowed`."""
        chosen = allowed.any(0).nonzero().squeeze(1)  # costs are computed of those that anyone may take, C of the N
        cost = self._class_cost(image, chosen) - self.weight * (overlap[:, chosen] + 1e-8).log()
        cost += OUTSIDE * ~preferred[:, chosen]
        cost = torch.where(allowed[:, chosen], cost, torch.inf)
        of_all = torch.full_like(overlap, torch.inf)
        of_all[:, chosen] = cost
        most = min(self.most, len(chosen))
        best = cost.topk(most, largest=False).indices
        cheapest = torch.arange(most, device=cost.device) < count[:, None]
        taken = torch.zeros_like(allowed).scatter(1, chosen[best], cheapest)
        return taken & allowed, of_all

    @staticmethod
    def _class_cost(image: ImageCandidates, chosen: Tensor) -> Tensor:
        """Cross-entropy of the K classes' p_k with each object's class, [n, C]."""
        p = (image.classes[chosen].sigmoid() * image.objectness[chosen, None].sigmoid()).sqrt()  # [C, K]
        p = p.clamp(1e-7, 1 - 1e-6)
        of_class = p[:, image.labels].T
        return torch.log1p(-of_class) - of_class.log() - torch.log1p(-p).sum(1)
