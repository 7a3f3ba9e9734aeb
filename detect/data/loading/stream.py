"""The endless stream of a training's images: the share that each of several sets has in it, and the rare ones'."""

from collections.abc import Sequence

import numpy as np


class Stream:
    """Which images of one or several sets, laid end to end, a training takes and in which order.

    An epoch is as long as the sets together. Its images are divided among the sets by their shares, at least one a set,
    and shuffled. A set's images come in passes, which go on from epoch to epoch: without factors each image once a
    pass, so that at the end of an epoch none has come more than once more often than any other of its set; with factors
    each as often as its factor says, rounded up or down at random and right on average. The order depends on the seed
    alone.

    Attributes:
        turns: numbers of images in a pass of each set.

    Args:
        sizes: numbers of images of the sets.
        shares: of the sets, above 0, in any unit; None takes all images as one set.
        seed: from 0 on.
        factors: [n] how often each image is taken in a pass, from 1 on; None for once.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        shares: Sequence[float] | None = None,
        seed: int = 0,
        factors: np.ndarray | None = None,
    ) -> None:
        self.sizes = np.array(sizes if shares else [sum(sizes)])
        self.shares = np.array(shares or [1.0]) / sum(shares or [1.0])
        self.seed = seed
        self.factors = factors
        self.first = np.cumsum(self.sizes) - self.sizes  # index of each set's first image
        self.counts = _divided(len(self), self.shares)
        # what the factors of the images before each one, and of all, add up to
        self.reach = np.concatenate([[0.0], np.cumsum(np.ones(len(self)) if factors is None else factors)])
        totals = self.reach[self.first + self.sizes] - self.reach[self.first]
        self.turns = np.ceil(totals - 1e-6).astype(np.int64)

    def __len__(self) -> int:
        return int(self.sizes.sum())

    def epoch(self, number: int) -> np.ndarray:
        """Indices [n] of the images of epoch `number`, from 0 on, in order."""
        rng = np.random.default_rng((self.seed, 0, number))
        if len(self.sizes) == 1 and self.factors is None:
            return rng.permutation(len(self))
        return rng.permutation(np.concatenate([self._turn(k, number) for k in range(len(self.sizes))]))

    def _turn(self, k: int, number: int) -> np.ndarray:
        """Images of set k in epoch `number`: the next `counts[k]` of one pass over the set after the other."""
        start, turn = number * int(self.counts[k]), int(self.turns[k])
        places = np.arange(start, start + int(self.counts[k]))
        rounds = np.arange(start // turn, places[-1] // turn + 1) if len(places) else []
        orders = {r: self._pass(k, int(r)) for r in rounds}
        return self.first[k] + np.array([orders[place // turn][place % turn] for place in places], dtype=np.int64)

    def _pass(self, k: int, number: int) -> np.ndarray:
        """Images [turns[k]] of set k, counted from its first one, in one pass over it."""
        rng = np.random.default_rng((self.seed, 3, k, number))
        order = rng.permutation(int(self.sizes[k]))
        if self.factors is None:
            return order
        # Systematic sampling: the factors laid end to end in random order; whatever a ruler's marks fall on is taken.
        ends = np.cumsum(self.factors[self.first[k] + order])
        ends *= self.turns[k] / ends[-1]
        ends[-1] = self.turns[k]
        marks = np.floor(ends + rng.random()).astype(np.int64)
        return rng.permutation(np.repeat(order, np.diff(marks, prepend=0)))

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Indices of `count` images drawn at random, each set with its share, each image by its factor."""
        if len(self.sizes) == 1 and self.factors is None:
            return rng.integers(len(self), size=count)
        chosen = rng.choice(len(self.sizes), size=count, p=self.shares) if len(self.sizes) > 1 else np.zeros(count, int)
        first, last = self.first[chosen], self.first[chosen] + self.sizes[chosen] - 1
        if self.factors is None:
            return first + rng.integers(self.sizes[chosen])
        places = self.reach[first] + rng.random(count) * (self.reach[last + 1] - self.reach[first])
        return np.clip(np.searchsorted(self.reach, places, side="right") - 1, first, last)


def _divided(total: int, shares: np.ndarray) -> np.ndarray:
    """`total` as whole numbers from 1 on, as near to `shares`, which add up to 1, as can be."""
    counts = np.maximum(np.floor(total * shares).astype(np.int64), 1)
    while counts.sum() > total:  # small shares were rounded up to 1
        counts[counts.argmax()] -= 1
    while counts.sum() < total:
        counts[np.argmax(total * shares - counts)] += 1
    return counts
