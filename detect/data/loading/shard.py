"""What several processes share, divided among them."""

from typing import NamedTuple


class Shard(NamedTuple):
    """One of `size` parts of anything that is counted: part number `rank`, from 0 on.

    The parts follow each other, are as equal as they can be, and hold each thing exactly once.
    """

    rank: int = 0
    size: int = 1

    def of(self, count: int) -> slice:
        """Which of `count` things are in it; none, where there are fewer than parts."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)


WHOLE = Shard()
