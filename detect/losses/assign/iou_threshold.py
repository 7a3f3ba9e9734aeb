"""Faster R-CNN's assignment: the anchors that overlap an object, each laid on its cell."""

from detect.errors import OptionError
from detect.losses.assign.base import ASSIGNMENTS, Assignment, ImageByImage, ImageCandidates, anchor_boxes, best_of
from detect.losses.iou import pairwise_iou


@ASSIGNMENTS.register_as("iou_threshold")
class IoUThreshold(ImageByImage):
    """An object trains the anchors, laid on the centres of all cells, whose IoU with it is at least `threshold`, and in
    any case those of its greatest IoU (arXiv 1506.01497, section 3.1.2, with RetinaNet's 0.5 of arXiv 1708.02002).

    An anchor that several objects ask for learns the one it overlaps most. What RetinaNet leaves neutral, an IoU from
    0.4 to 0.5, is here the business of `loss.ignore_iou`, which goes by the predicted box.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        if not 0 < threshold <= 1:
            raise OptionError("threshold", f"threshold must be above 0 and at most 1, not {threshold:g}")
        self.threshold = threshold

    def match(self, image: ImageCandidates) -> Assignment:
        overlap = pairwise_iou(image.objects, anchor_boxes(image.cells))  # [n, N]
        greatest = (overlap == overlap.amax(1, keepdim=True)) & (overlap > 0)
        return image.learn(best_of((overlap >= self.threshold) | greatest, overlap))
