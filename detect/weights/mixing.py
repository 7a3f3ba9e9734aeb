"""The mean of several files of weights, number by number.

Trainings from one start can be averaged: with each other (model soups, arXiv 2203.05482), or with the start itself, so
that a fine-tuning on few images forgets less (WiSE-FT, arXiv 2109.01903).
"""

import dataclasses
import os
from collections.abc import Mapping

from detect.errors import UserError
from detect.weights.files import Weights, read
from detect.weights.fit import misfit


def mixed(weights: Weights, shares: Mapping[str | os.PathLike[str], float]) -> Weights:
    """`weights` of which other files make up a share each, `weights` themselves the rest; without thresholds.

    Args:
        shares: by file, run folder or name, above 0, together at most 1. Whole numbers are not averaged.

    Raises:
        UserError: a file cannot be read or is of another model or of other classes, or the shares are no shares.
    """
    if any(not 0 < share <= 1 for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
        given = ", ".join(map(str, shares.values()))
        raise UserError(f"shares are {given}; give numbers above 0, together at most 1", argument="mix")
    own = 1 - sum(shares.values())
    tensors = {name: own * t.float() if t.is_floating_point() else t for name, t in weights.tensors.items()}
    for path, share in shares.items():
        other = read(path, type(weights.settings))
        if problem := misfit(other.tensors, weights.network):
            raise UserError(f"{other.path}: is no training of the model in {weights.path}: {problem}")
        if other.names != weights.names:
            raise UserError(f"{other.path}: has other classes than {weights.path}")
        for name, t in other.tensors.items():
            if t.is_floating_point():
                tensors[name] = tensors[name] + share * t.float()
    return dataclasses.replace(weights, tensors=tensors, thresholds=None, training=None, _network=None)
