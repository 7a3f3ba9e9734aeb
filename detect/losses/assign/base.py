"""What every assignment takes and gives, and what several of them need."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detect.models.heads.yolo import Cells
from detect.models.registry import Registry

ASSIGNMENTS = Registry("assignment")


class Objects(NamedTuple):
    """What a batch's images show, per image; n objects of an image, ignore regions not among them."""

    boxes: Sequence[Tensor]  # [n, 4] xyxy network px
    labels: Sequence[Tensor]  # [n] int64
    weights: Sequence[Tensor]  # [n], above 0


class Scale(NamedTuple):
    """Where a detection scale's predictions are among an image's N: anchor after anchor, each row by row."""

    first: int  # index of its first prediction
    anchors: int
    rows: int
    columns: int
    stride: int  # network px per cell


class Candidates(NamedTuple):
    """The N predictions of each image of a batch, in the head's order; none has a gradient."""

    head: Any  # of the network, for its anchors
    scales: Sequence[Scale]
    cells: Cells
    boxes: Tensor  # [B, N, 4] decoded, xyxy network px
    objectness: Tensor  # [B, N] logits
    classes: Tensor  # [B, N, K] logits


class Assignment(NamedTuple):
    """Which predictions are responsible for which objects; m pairs. Fields are [m], boxes [m, 4] xyxy network px."""

    image: Tensor  # index within the batch
    prediction: Tensor  # index within the image's N predictions
    boxes: Tensor
    labels: Tensor
    weights: Tensor  # how much the object counts, above 0
    objectness: Tensor  # what the prediction's objectness is pulled to, 0..1
    classes: Tensor  # what the probability of the object's class is pulled to, 0..1
    box_weights: Tensor  # how much the object counts for the prediction's box


class ImageCandidates(NamedTuple):
    """One image of `Candidates` with its n objects, at least one."""

    index: int  # of the image within the batch
    scales: Sequence[Scale]
    cells: Cells
    boxes: Tensor  # [N, 4]
    objectness: Tensor  # [N]
    classes: Tensor  # [N, K]
    objects: Tensor  # [n, 4]
    labels: Tensor  # [n]
    weights: Tensor  # [n]

    def learn(
        self,
        taken: Tensor,
        objectness: Tensor | None = None,
        classes: Tensor | None = None,
        box_share: Tensor | None = None,
    ) -> Assignment:
        """The `Assignment` where `taken`, bool [n, N], says so; soft targets [n, N] are 1 where none are given."""
        which, prediction = taken.nonzero(as_tuple=True)
        weights = self.weights[which]
        ones = torch.ones_like(weights)
        return Assignment(
            torch.full_like(prediction, self.index),
            prediction,
            self.objects[which],
            self.labels[which],
            weights,
            ones if objectness is None else objectness[which, prediction],
            ones if classes is None else classes[which, prediction],
            weights if box_share is None else weights * box_share[which, prediction],
        )


class ImageByImage:
    """An assignment that looks at the images of a batch one after the other; a subclass says what it does in one."""

    @torch.no_grad()
    def __call__(self, candidates: Candidates, objects: Objects) -> Assignment:
        whole = candidates.boxes[:1, :0]
        none = ImageCandidates(
            0, candidates.scales, candidates.cells, whole[0], whole[0, :, 0], whole[0], whole[0],
            objects.labels[0][:0], whole[0, :, 0],
        )  # fmt: skip
        parts = [none.learn(torch.zeros(0, 0, dtype=torch.bool, device=whole.device))]
        for index, (boxes, labels, weights) in enumerate(zip(*objects, strict=True)):
            if len(boxes):
                predictions = (candidates.boxes[index], candidates.objectness[index], candidates.classes[index])
                image = ImageCandidates(
                    index, candidates.scales, candidates.cells, *predictions, boxes, labels, weights
                )
                parts.append(self.match(image))
        return Assignment(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def match(self, image: ImageCandidates) -> Assignment:
        """Who learns what in one image."""
        raise NotImplementedError


def cell_centres(cells: Cells) -> Tensor:
    """Centres of the cells of the N predictions, [N, 2] (x, y) in network px."""
    return (cells.position + 0.5) * cells.stride[:, None]


def anchor_boxes(cells: Cells) -> Tensor:
    """The anchor of each of the N predictions, laid on its cell's centre: [N, 4] xyxy network px."""
    centre = cell_centres(cells)
    return torch.cat([centre - cells.anchor / 2, centre + cells.anchor / 2], dim=1)


def inside(image: ImageCandidates) -> Tensor:
    """Which of the N cells have their centre in which of the n objects, bool [n, N].

    The cells that an object's centre falls in count too, so that an object between the centres has some.
    """
    cells, centre = image.cells, cell_centres(image.cells)
    middle = (image.objects[:, :2] + image.objects[:, 2:]) / 2
    own = torch.cat([centre - cells.stride[:, None] / 2, centre + cells.stride[:, None] / 2], dim=1)
    return contains(image.objects, centre) | contains(own, middle).T


def contains(boxes: Tensor, points: Tensor) -> Tensor:
    """Which boxes [n, 4] hold which points [m, 2], those on their left and upper side too: bool [n, m]."""
    x, y = points.unbind(1)
    left, top, right, bottom = boxes[:, :, None].unbind(1)
    return (left <= x) & (x < right) & (top <= y) & (y < bottom)


def best_of(taken: Tensor, fit: Tensor) -> Tensor:
    """`taken`, bool [n, N], less what fits another object better: a prediction learns the object of greatest `fit`.

    Of objects that fit equally, as do equal boxes of two classes, it learns all.
    """
    fit = torch.where(taken, fit, -torch.inf)
    return taken & (fit == fit.amax(0))
