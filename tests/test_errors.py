"""Sentences stay sentences, whatever a stranger's file makes them quote."""

import pickle

from detect.errors import MAX_LIST, MAX_SENTENCE, PartError, UserError, listed, nearest


def test_a_long_sentence_keeps_its_beginning_and_its_end():
    sentence = f"run.yaml:1: train must be a section, not '{'1, ' * 400_000}'; write 'key: value' lines"
    for error in (UserError(sentence), PartError("neck", None, sentence)):
        text = str(error)
        assert len(text) <= MAX_SENTENCE
        assert text.startswith("run.yaml:1: train must be a section, not '1, 1, ")
        assert text.endswith("1, '; write 'key: value' lines")
        assert str(pickle.loads(pickle.dumps(error))) == text
    path = "x/" * 900 + ": no such file"
    assert str(UserError(path)) == path


def test_a_list_of_thousands_is_counted():
    names = [f"class {i}" for i in range(65_536)]
    hint = nearest("qqq", names)
    assert hint.startswith("; known: class 0, class 1, ") and len(hint) < MAX_LIST + 30
    shown = hint.count(",") + 1
    assert hint.endswith(f" and {65_536 - shown} more")
    assert nearest("q", ["a", "b"]) == "; known: a, b"
    assert listed(["x" * 1000]) == "1 more"
    assert len(nearest("class " + "9" * 100_000, ["class " + "9" * 190])) < 300
