"""The endless stream of a training's images, and the share that each of several data sets has in it."""

from collections.abc import Sequence

import numpy as np


class Stream:
    """Which images of one or several sets, laid end to end, a training takes and in which order.

    An epoch is as long as the sets together. Its images are divided among the sets by their shares, at least one a set,
    and shuffled. At the end of an epoch no image has come more than once more often than any other of its set. The
    order depends on the seed alone.

    Args:
        sizes: numbers of images of the sets.
        shares: of the sets, above 0, in any unit; None takes all images as one set.
        seed: from 0 on.
    """

    def __init__(self, sizes: Sequence[int], shares: Sequence[float] | None = None, seed: int = 0) -> None:
        self.sizes = np.array(sizes if shares else [sum(sizes)])
        self.shares = np.array(shares or [1.0]) / sum(shares or [1.0])
        self.seed = seed
        self.first = np.cumsum(self.sizes) - self.sizes  # index of each set's first image
        self.counts = _divided(len(self), self.shares)

    def __len__(self) -> int:
        return int(self.sizes.sum())

    def epoch(self, number: int) -> np.ndarray:
        """Indices [n] of the images of epoch `number`, from 0 on, in order."""
        rng = np.random.default_rng((self.seed, 0, number))
        if len(self.sizes) == 1:
            return rng.permutation(len(self))
        return rng.permutation(np.concatenate([self._turn(k, number) for k in range(len(self.sizes))]))

    def _turn(self, k: int, number: int) -> np.ndarray:
        """Images of set k in epoch `number`: the next `counts[k]` of one permutation of the set after the other."""
        start, size = number * int(self.counts[k]), int(self.sizes[k])
        places = np.arange(start, start + int(self.counts[k]))
        rounds = np.arange(start // size, places[-1] // size + 1) if len(places) else []
        orders = {r: np.random.default_rng((self.seed, 3, k, int(r))).permutation(size) for r in rounds}
        return self.first[k] + np.array([orders[place // size][place % size] for place in places], dtype=np.int64)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Indices of `count` images drawn at random, each set with its share."""
        if len(self.sizes) == 1:
            return rng.integers(len(self), size=count)
        chosen = rng.choice(len(self.sizes), size=count, p=self.shares)
        return self.first[chosen] + rng.integers(self.sizes[chosen])


def _divided(total: int, shares: np.ndarray) -> np.ndarray:
    """`total` as whole numbers from 1 on, as near to `shares`, which add up to 1, as can be."""
    counts = np.maximum(np.floor(total * shares).astype(np.int64), 1)
    while counts.sum() > total:  # small shares were rounded up to 1
        counts[counts.argmax()] -= 1
    while counts.sum() < total:
        counts[np.argmax(total * shares - counts)] += 1
    return counts
