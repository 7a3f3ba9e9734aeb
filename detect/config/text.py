"""A YAML text -> plain values, each with the line where it was written; small texts that cost much are refused.

PyYAML's time grows with the square of the nesting, and aliases make a few lines mean millions: depth, tokens and bytes
are counted while the text is scanned, before anything is made of it.
"""

from collections.abc import Callable
from datetime import date
from typing import Any

import yaml

from detect.config.schema import Origin
from detect.errors import UserError
from detect.files import printable

MAX_BYTES = 1_000_000
MAX_DEPTH = 32  # of sections and lists in each other; our settings need 6
MAX_NAME = 300  # letters of a dotted name
MAX_TOKENS = 60_000  # a second; the run of a .cfg, whose lines its config.yaml lists, has 10,000 of them at the most

OPENING = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)

SCALARS = (bool, int, float, str, bytes, date, set)  # what PyYAML makes of words; a set's members are words too

Origins = dict[str, Origin]  # by the dotted name of the value


def parse(text: str, origin_of: Callable[[int], Origin], name: str, origins: Origins, words: str | None = None) -> Any:
    """What a YAML text holds, None where that is nothing.

    Args:
        origin_of: the `Origin` of a line, from 1 on.
        name: dotted name of the whole; `origins` gets those of all keys below it.
        words: dotted name of a value in which all is text as it is written, `no`, `1.0` and `~` too.

    Raises:
        UserError: with the line: no YAML, or more of it than any settings need.
    """
    try:
        _check_cost(text, origin_of)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise UserError(f"{origin_of(mark.line + 1 if mark else 1).text}: not valid YAML ({problem})") from error
    return None if node is None else _values(node, origin_of, name, origins, words)


def check_plain(values: Any, source: object) -> None:
    """Raise UserError unless `values`, of a file named `source`, are what a YAML text within the limits can hold.

    What a checkpoint holds may be nested in itself, or mean millions by referring to the same list many times.
    """
    waiting, count = [(values, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if problem := _too_much(count, depth):
            raise UserError(f"{printable(source)}: its config is damaged: {problem}")
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            waiting += [(one, depth + 1) for one in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(one, depth + 1) for one in value]
        elif value is not None and not isinstance(value, SCALARS):
            raise UserError(f"{printable(source)}: its config is damaged")


def _too_much(count: int, depth: int) -> str:
    """What is more than any settings need, in words; nothing if nothing is."""
    if depth > MAX_DEPTH:
        return f"sections in sections, more than {MAX_DEPTH} levels deep"
    return f"more than {MAX_TOKENS:,} words and marks" if count > MAX_TOKENS else ""


def _check_cost(text: str, origin_of: Callable[[int], Origin]) -> None:
    """Raise UserError where the text has aliases, is nested too deep or too long; nothing is made of it."""
    depth = 0
    for count, token in enumerate(yaml.scan(text, Loader=yaml.SafeLoader)):
        where = origin_of(token.start_mark.line + 1).text
        if isinstance(token, yaml.AliasToken):
            raise UserError(f"{where}: YAML aliases (*name) are not supported; write the value out")
        depth += isinstance(token, OPENING) - isinstance(token, CLOSING)
        if problem := _too_much(count, depth):
            raise UserError(f"{where}: {problem}; this is no configuration file")


def _values(node: yaml.Node, origin_of: Callable[[int], Origin], name: str, origins: Origins, words: str | None) -> Any:
    if isinstance(node, yaml.MappingNode):
        values = {}
        for key_node, value_node in node.value:
            key, origin = key_node.value, origin_of(key_node.start_mark.line + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                raise UserError(f"{origin.text}: a key must be a plain word")
            if key in values:
                raise UserError(f"{origin.text}: '{printable(key)}' is written twice; remove one")
            dotted = f"{name}.{key}" if name else key
            if len(dotted) > MAX_NAME:
                raise UserError(f"{origin.text}: the name '{printable(dotted[:40])}...' is too long")
            origins[dotted] = origin
            values[key] = _values(value_node, origin_of, dotted, origins, words)
        return values
    if isinstance(node, yaml.SequenceNode):
        for i, child in enumerate(node.value):
            if isinstance(child, yaml.MappingNode):
                origins[f"{name}.{i}"] = origin_of(child.start_mark.line + 1)
        return [_values(child, origin_of, f"{name}.{i}", origins, words) for i, child in enumerate(node.value)]
    if words and f"{name}.".startswith(f"{words}."):
        return node.value
    return _scalar(node, origin_of(node.start_mark.line + 1).text)


def _scalar(node: yaml.Node, where: str) -> Any:
    """The word, number, date or nothing that a node stands for; UserError where its text is none of its tag."""
    loader = yaml.SafeLoader("")
    try:
        value = loader.construct_object(node)
    except Exception as error:  # "!!bool maybe" is a KeyError, '!!int ""' an IndexError, "!!timestamp x" ...
        said = getattr(error, "problem", None) or (error if isinstance(error, ValueError) else None)
        problem = str(said or f"it is no {node.tag.rpartition(':')[2]}").splitlines()[0]
        raise UserError(
            f"{where}: cannot read the value '{printable(node.value[:40])}' ({printable(problem)})"
        ) from error
    finally:
        loader.dispose()
    if isinstance(value, int) and abs(value) >= 2**63:
        raise UserError(f"{where}: the number '{node.value[:20]}...' is too large")
    return value
