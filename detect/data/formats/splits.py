"""Names of splits, as the tools spell them and as they are asked for here."""

from typing import TypeVar

T = TypeVar("T")

SPELLINGS = {"valid": "val", "validation": "val", "training": "train", "testing": "test", "default": "train"}


def named(places: dict[str, T]) -> dict[str, T]:
    """The same places under the names that are asked for: `valid` is `val`, a lone `default` is `train`, ..."""
    known = {}
    for name, place in places.items():
        usual = SPELLINGS.get(name.lower(), name)
        known[name if usual in places or usual in known else usual] = place
    return known
