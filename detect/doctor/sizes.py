"""The check of box sizes against the anchors of the detector that is to be trained."""

from collections.abc import Iterator

import numpy as np

from detect.doctor.anchors import fit_of, fitted, sample_of
from detect.doctor.boxes import input_sides
from detect.doctor.checks import Example, Found, check
from detect.doctor.description import DataSet

WORSE, ENOUGH = 0.05, 0.75  # mean IoU that fitted anchors must gain, and with which anchors are good enough


@check(
    "anchor.fit",
    "warning",
    "sets whose boxes fit the anchors badly",
    "fit anchors to the data with detect anchors and train with them",
)
def fit(data: DataSet) -> Iterator[Found]:
    if not data.trains or data.anchors is None or not data.size:
        return
    sides = np.concatenate([input_sides(split, data.size) for split in data.trains])
    sizes = sample_of(sides[(sides > 0).all(axis=1)])
    if len(np.unique(sizes, axis=0)) <= len(data.anchors):
        return
    own, best = fit_of(sizes, data.anchors), fit_of(sizes, fitted(sizes, len(data.anchors)))
    if own.mean_iou < ENOUGH and best.mean_iou - own.mean_iou >= WORSE:
        text = (
            f"{len(data.anchors)} anchors at {data.size} px: mean best IoU {own.mean_iou:.2f}, {own.recall:.0%} of the "
            f"boxes above 0.5; fitted to the data they would have {best.mean_iou:.2f} and {best.recall:.0%}"
        )
        yield Found(1, [Example(data.trains[0].source, "", text)])
