"""How much more often images with rare classes are taken: repeat factors (LVIS, arXiv 1908.03195, appendix B)."""

import numpy as np

from detect.data.records import ImageTable


def repeat_factors(images: ImageTable, num_classes: int, threshold: float) -> np.ndarray:
    """How often each image is taken where another is once: float64 [n], from 1 on.

    A class that a share f of the images holds has the factor max(1, sqrt(threshold / f)), an image the greatest of its
    classes'. Ignore regions are of no class here.

    Args:
        threshold: share of the images, above 0; classes that as many or more hold are not rare.
    """
    places = np.repeat(np.arange(len(images)), np.diff(images.starts))
    holds = np.unique((places * num_classes + images.labels)[images.weights > 0])  # a number for each image and class
    places, labels = np.divmod(holds, num_classes)
    counts = np.maximum(np.bincount(labels, minlength=num_classes), 1)
    of_class = np.maximum(np.sqrt(threshold * len(images) / counts), 1)
    factors = np.ones(len(images))
    np.maximum.at(factors, places, of_class[labels])
    return factors
