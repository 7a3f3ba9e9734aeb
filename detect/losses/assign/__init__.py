"""Who learns what, by name: each file registers one assignment of objects to predictions.

An assignment is called with `Candidates` and `Objects` and gives an `Assignment`.
"""

from detect.losses.assign.atss import ATSS
from detect.losses.assign.base import ASSIGNMENTS, Assignment, Candidates, Objects, Scale
from detect.losses.assign.best_anchor import BestAnchor
from detect.losses.assign.iou_threshold import IoUThreshold
from detect.losses.assign.simota import SimOTA
from detect.losses.assign.task_aligned import TaskAligned

__all__ = [
    "ASSIGNMENTS",
    "ATSS",
    "Assignment",
    "BestAnchor",
    "Candidates",
    "IoUThreshold",
    "Objects",
    "Scale",
    "SimOTA",
    "TaskAligned",
]
