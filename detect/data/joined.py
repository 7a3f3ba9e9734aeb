"""Several data sets as one to learn from."""

from collections.abc import Sequence

import numpy as np

from detect.data.detection import DetectionData
from detect.data.ground_truth import GroundTruth
from detect.data.records import ImageTable
from detect.errors import UserError, nearest


class JoinedDataset(DetectionData):
    """The images of several sets to learn from, one set after the other, with the classes of the first.

    Classes are matched by name, so the sets may number them differently, and a later one may lack some; what it does
    not label counts as background there. Nothing is evaluated on them together: they have no `ground_truth`.

    Attributes: see `DetectionData`; `sets`; `sizes`, numbers of images, and `shares`, for the `Stream` of the training.

    Args:
        sets: at least one.
        shares: of the training's images, one a set, in any unit; None: each set by its size.

    Raises:
        UserError: a set has a class that the first has not.
    """

    def __init__(self, sets: Sequence[DetectionData], shares: Sequence[float] | None = None) -> None:
        self.sets, self.shares = sets, shares
        self.source, self.categories = sets[0].source, sets[0].categories
        self.notes = [note for one in sets for note in one.notes]
        self.sizes = [len(one) for one in sets]
        self.images = ImageTable.joined([one.images for one in sets], [self._labels_of(one) for one in sets])

    def _labels_of(self, other: DetectionData) -> np.ndarray:
        """The first set's label [K of `other`] of each label of `other`."""
        ours = [category["name"] for category in self.categories]
        theirs = [category["name"] for category in other.categories]
        for name in theirs:
            if theirs.count(name) > 1:
                raise UserError(f"{other.source}: two classes are called '{name}'; sets are joined by the names")
            if name not in ours:
                sentence = f"{other.source}: has a class that {self.source}, the first set, has not: '{name}'"
                raise UserError(sentence + nearest(name, ours))
        return np.array([ours.index(name) for name in theirs], dtype=np.int64)

    def ground_truth(self) -> GroundTruth:
        """There is none."""
        raise TypeError("joined sets are learned from; evaluate one of them")
