"""How much more often images with rare classes are taken: repeat factors (LVIS, arXiv 1908.03195, appendix B)."""

from collections.abc import Iterable

import numpy as np

from detect.data.detection import ImageRecord


def repeat_factors(images: Iterable[ImageRecord], num_classes: int, threshold: float) -> np.ndarray:
    """How often each image is taken where another is once: float64 [n], from 1 on.

    A class that a share f of the images holds has the factor max(1, sqrt(threshold / f)), an image the greatest of its
    classes'. Ignore regions are of no class here.

    Args:
        threshold: share of the images, above 0; classes that as many or more hold are not rare.
    """
    classes = [np.unique(image.labels[image.objects]) for image in images]
    counts = np.bincount(np.concatenate([*classes, np.zeros(0, np.int64)]), minlength=num_classes)
    of_class = np.maximum(np.sqrt(threshold * len(classes) / np.maximum(counts, 1)), 1)
    return np.array([of_class[own].max(initial=1) for own in classes])
