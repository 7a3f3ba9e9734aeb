"""TOOD's assignment: the predictions whose score and box are best at once learn an object, in the measure they are."""

import torch

from detect.errors import OptionError
from detect.losses.assign.base import ASSIGNMENTS, Assignment, ImageByImage, ImageCandidates, best_of, inside
from detect.losses.iou import pairwise_iou


@ASSIGNMENTS.register_as("task_aligned")
class TaskAligned(ImageByImage):
    """Section 3.2 of arXiv 2108.07755.

    With a prediction's score s for the object's class (here objectness * class) and the IoU u of its box, the alignment
    is

        t = s^alpha * u^beta.

    An object trains the `top` predictions of greatest t among the cells with their centre in it; one that several ask
    for learns the object that it overlaps most. t^, which is t scaled so that the object's greatest equals the greatest
    u among those it trains, is what objectness is pulled to, and the weight of the box term. TOOD's loss for
    it is `loss.obj_loss: quality_focal`. Deviation: the cell that the object's centre falls in counts as in it.
    """

    def __init__(self, top: int = 13, alpha: float = 1.0, beta: float = 6.0) -> None:
        if top < 1:
            raise OptionError("top", f"top must be at least 1, not {top}")
        for option, value in (("alpha", alpha), ("beta", beta)):
            if value < 0:
                raise OptionError(option, f"{option} must be at least 0, not {value:g}")
        self.top, self.alpha, self.beta = top, alpha, beta

    def match(self, image: ImageCandidates) -> Assignment:
        overlap = pairwise_iou(image.objects, image.boxes)  # [n, N]
        score = (image.objectness.sigmoid()[:, None] * image.classes[:, image.labels].sigmoid()).T
        alignment = score**self.alpha * overlap**self.beta * inside(image)
        best = alignment.topk(min(self.top, alignment.shape[1])).indices
        taken = torch.zeros_like(alignment, dtype=torch.bool).scatter(1, best, True) & (alignment > 0)
        taken = best_of(taken, overlap)

        alignment, overlap = alignment * taken, overlap * taken
        greatest = alignment.amax(1, keepdim=True).clamp(min=torch.finfo(alignment.dtype).tiny)
        aligned = alignment / greatest * overlap.amax(1, keepdim=True)
        return image.learn(taken, objectness=aligned, box_share=aligned)
