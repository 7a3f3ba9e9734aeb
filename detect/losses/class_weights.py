"""How much objects of rare and of frequent classes count."""

import numpy as np


def class_weights(counts: np.ndarray, power: float) -> list[float]:
    """By label, w_k = c * counts_k^-power, with the c by which all boxes together weigh as much as without it.

    `counts` are the boxes of each label, int [K]. `power` 0 leaves all at 1, with 1 every class weighs the same as a
    whole. A class without boxes gets 1.
    """
    known = counts > 0
    weights = np.ones(len(counts))
    weights[known] = counts[known] ** -float(power)
    weights[known] *= counts.sum() / (counts * weights)[known].sum()
    return weights.tolist()
