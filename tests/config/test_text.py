"""YAML texts of strangers: what costs more than its size promises is refused before anything is made of it."""

import tracemalloc

import pytest
import yaml

from detect import config
from detect.config.schema import Origin
from detect.config.text import MAX_DEPTH, MAX_TOKENS, check_plain, parse
from detect.errors import UserError


def parsed(text):
    return parse(text, lambda line: Origin(f"x.yaml:{line}", "."), "", {})


def sentence_of(text):
    with pytest.raises(UserError) as caught:
        parsed(text)
    return str(caught.value)


TOO_DEEP = f"x.yaml:1: sections in sections, more than {MAX_DEPTH} levels deep; this is no configuration file"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 999_000,
        "{a: " * 800,
        "- " * 5000,
        "a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        "? " * 400,
    ],
    ids=["brackets", "braces", "dashes", "just too many", "keys"],
)
def test_deep_nesting_is_a_sentence_at_once(text):
    tracemalloc.start()
    try:
        assert sentence_of(text) == TOO_DEEP
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_as_many_levels_as_are_allowed_are_read():
    levels = MAX_DEPTH - 1  # and the file's own
    value = parsed("a: " + "[" * levels + "1" + "]" * levels)["a"]
    for _ in range(levels):
        (value,) = value
    assert value == 1


def test_more_words_than_any_settings_need_are_a_sentence():
    names = "".join(f"k{i}: 1\n" for i in range(65_536))
    assert sentence_of(names).endswith(f": more than {MAX_TOKENS:,} words and marks; this is no configuration file")


def test_the_lines_of_a_large_cfg_are_read():
    lines = [f"filters={i}" for i in range(10_000)]
    assert parsed(yaml.safe_dump({"cfg": lines}))["cfg"] == lines


@pytest.mark.parametrize(
    "value, problem",
    [
        ('!!int ""', "'' (it is no int)"),
        ("!!int _", "'_' (it is no int)"),
        ('!!float ""', "'' (it is no float)"),
        ("!!timestamp foo", "'foo' (it is no timestamp)"),
        ("!!bool maybe", "'maybe' (it is no bool)"),
        ("2026-99-99", "'2026-99-99' (month must be in 1..12)"),
        ("!!python/name:os.system x", "'x' (could not determine a constructor for the tag "),
    ],
)
def test_a_value_that_is_not_of_its_tag_is_a_sentence(value, problem):
    assert sentence_of(f"a: 1\nb: {value}").startswith(f"x.yaml:2: cannot read the value {problem}")


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def doubled(times):
    value = [0]
    for _ in range(times):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "values, problem",
    [
        (nested(800), f": sections in sections, more than {MAX_DEPTH} levels deep"),
        (doubled(30), f": more than {MAX_TOKENS:,} words and marks"),
        ({"model": object()}, ""),
        ({1: 2}, ""),
    ],
    ids=["deep", "references", "object", "key"],
)
def test_a_damaged_mapping_is_a_sentence(values, problem):
    with pytest.raises(UserError) as caught:
        config.from_dict(values, source="last.pt")
    assert str(caught.value) == f"last.pt: its config is damaged{problem}"
    check_plain(nested(MAX_DEPTH), "last.pt")
