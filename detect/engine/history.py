"""The evaluations of a training, row by row: which is the best, and how many there were since."""

from collections.abc import Mapping, Sequence

Rows = Sequence[Mapping[str, float]]  # one for each end of a period; without a split val they hold no metric


def is_best(metric: float, rows: Rows, name: str) -> bool:
    """Whether no value of the metric `name` in `rows` is greater: of equals the last is the best."""
    return metric >= max(_values(rows, name), default=-1.0)


def evaluations_since_best(rows: Rows, name: str) -> int:
    """How many came after the one of the greatest metric `name`, the first of equals; 0 where there was none."""
    values = _values(rows, name)
    return len(values) - 1 - values.index(max(values)) if values else 0


def _values(rows: Rows, name: str) -> list[float]:
    return [row[name] for row in rows if name in row]
