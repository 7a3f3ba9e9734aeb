"""Ways to damage a file, each the same for the same random numbers: content -> other content."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import yaml

Mutation = Callable[[bytes, random.Random], bytes]

NUMBERS = (
    "0", "-1", "1", "2", "3", "7", "64", "65536", "2147483647", "2147483648", "-2147483649", "1e9", "nan", "inf",
    "1e-300", "0x10", "1e400", "999999999999999999999999", "0.5", "1" * 3000, ".inf", "-0", "1_000", "٣",
)  # fmt: skip
WORDS = (
    "", " ", "a", "leaky", "1,", ",", "1,2,3", "-1,-2", "\x00", "é", "=", "[", "{", "null", "~", "true", "no", "'", '"',
    "*a", "&a b", "!!python/name:os.system", "- ", "? ", "|", "../../x", "/etc/passwd", "a" * 300, "\u2028", "\ud7ff",
    "[[[[", "{a: 1}", "[1, 2]", "<<", "%s{0}",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 1 << 31, 1 << 53, (1 << 63) - 1, 1 << 64, 10**40, 0.5, -0.0, 1e308,
    float("nan"), float("inf"), "", " ", "0", "1", "a", "x" * 300, "../a", "/", "a\x00b", "\u2028", "\ud800", "EFM",
    "VoVNet39", [], {}, [[]], [1, 2], [1, 2, 3, 4], [None] * 4, ["a"], [float("nan")] * 4, [1e300] * 4,
    {"a": 1}, {"name": "EFM"}, {"name": 3},
)  # fmt: skip


def of_bytes(data: bytes, rng: random.Random) -> bytes:
    """Cut, lengthened, or with one to three stretches of a few bytes changed, moved or repeated."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        # headers are short: half of the damage is done within the first bytes
        at = rng.randrange(min(len(damaged), 64) if rng.random() < 0.5 else len(damaged)) if damaged else 0
        length = rng.choice((1, 1, 2, 4, 8, 30))
        action = rng.randrange(8)
        if action == 0:
            del damaged[at:]
        elif action == 1:
            damaged += rng.randbytes(rng.randrange(64))
        elif action == 2 and damaged:
            damaged[at] ^= 1 << rng.randrange(8)
        elif action == 3:
            damaged[at : at + length] = rng.randbytes(len(damaged[at : at + length]))
        elif action == 4:
            damaged[at : at + length] = bytes([rng.choice((0, 255))]) * len(damaged[at : at + length])
        elif action == 5:
            damaged[at:at] = damaged[at : at + length]
        elif action == 6:
            del damaged[at : at + length]
        else:
            other = rng.randrange(len(damaged)) if damaged else 0
            damaged[at : at + length] = damaged[other : other + length]
    return bytes(damaged)


def of_lines(data: bytes, rng: random.Random) -> bytes:
    """One or two lines of a text with another value, left out, repeated or moved, or a character put in."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(lines))
        line = lines[at]
        sign = next((sign for sign in "=:" if sign in line), None)
        action = rng.randrange(7)
        if action <= 1 and sign:
            lines[at] = line.split(sign)[0] + sign + " " * (sign == ":") + rng.choice(NUMBERS + WORDS)
        elif action == 2:
            del lines[at]
        elif action == 3:
            lines.insert(rng.randrange(len(lines) + 1), line)
        elif action == 4:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], line
        elif action == 5:
            place = rng.randint(0, len(line))
            character = chr(rng.choice([0, 9, 10, 32, 35, 44, 45, 48, 57, 58, 61, 91, 93, 123, 233, 0x661, 0x202F]))
            lines[at] = line[:place] + character + line[place:]
        else:
            lines = lines[: rng.randrange(len(lines)) + 1] + lines[rng.randrange(len(lines)) :]
        lines = lines or [""]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def of_json(data: bytes, rng: random.Random) -> bytes:
    """A JSON document with some of its values replaced."""
    return json.dumps(of_tree(json.loads(data), rng)).encode("utf-8", "surrogatepass")


def of_yaml(data: bytes, rng: random.Random) -> bytes:
    """A YAML document with some of its values replaced."""
    return yaml.safe_dump(of_tree(yaml.safe_load(data), rng), allow_unicode=True).encode("utf-8", "surrogatepass")


def of_tree(tree: Any, rng: random.Random, values: tuple[Any, ...] = VALUES) -> Any:
    """Lists and mappings with one to three places changed: another value, none, twice, or another name."""
    for _ in range(rng.randint(1, 3)):
        places = list(_places(tree))
        if not places:
            return _any_of(values, rng)
        parent, key = rng.choice(places)
        action = rng.randrange(6)
        if action == 0:
            del parent[key]
        elif action == 1 and isinstance(parent, list):
            parent.insert(rng.randint(0, len(parent)), copy.deepcopy(parent[key]))
        elif action == 1:
            parent[rng.choice(("", "name", f"{key}s", "a.b"))] = parent.pop(key)
        elif action == 2:
            other, where = rng.choice(places)
            if where in other if isinstance(other, dict) else where < len(other):
                parent[key] = copy.deepcopy(other[where])
        else:
            parent[key] = _any_of(values, rng)
    return tree


def _any_of(values: tuple[Any, ...], rng: random.Random) -> Any:
    value = rng.choice(values)
    return copy.deepcopy(value) if isinstance(value, (list, dict)) else value


def _places(tree: Any) -> Any:
    """(list or mapping, index or key) of every value below `tree`."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield tree, key
            yield from _places(value)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield tree, index
            yield from _places(value)
