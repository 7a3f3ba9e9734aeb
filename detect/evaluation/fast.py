"""COCO AP in NumPy: COCOeval's numbers to the last digit, in a hundredth of its time; training watches with it.

pycocotools stays the referee: its own numbers are the ones that are reported.
"""

from dataclasses import dataclass

import numpy as np

from detect.data.ground_truth import GroundTruth
from detect.evaluation.coco import CocoReport, summarised
from detect.evaluation.curves import Curves, accumulate
from detect.evaluation.detections import Detections
from detect.evaluation.matching import Matches, match


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that an evaluation found out: who found what, precision over recall, and the numbers."""

    truth: GroundTruth
    detections: Detections
    matches: Matches
    curves: Curves
    report: CocoReport


def evaluate(truth: GroundTruth, detections: Detections) -> Evaluation:
    """COCOeval's verdict on boxes, without COCOeval; detections of other images or classes have no say."""
    matches = match(truth, detections)
    curves = accumulate(matches, detections.scores)
    precision = np.broadcast_to(curves.precision[..., None], (*curves.precision.shape, curves.recall.shape[-1]))
    return Evaluation(truth, detections, matches, curves, summarised(truth, precision, curves.recall))
