"""What a run may be asked for."""

import pytest

from detect.errors import UserError
from detect.inference.options import OUTPUTS, USUAL, USUAL_LIVE, Options
from detect.inference.sinks.outputs import MAKERS


def test_every_output_has_its_maker():
    assert set(MAKERS) == set(OUTPUTS) >= {*USUAL, *USUAL_LIVE}
    assert list(MAKERS)[-1] == "json"  # which lists the files of the others


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"outputs": ["csv", "yola"]}, "there is no output 'yola'; did you mean 'yolo'"),
        ({"segment": 0.5}, "segment is 0.5; give seconds from 1"),
        ({"segment": float("nan")}, "give seconds from 1"),
        ({"resize_output": 8}, "8 px; give a whole number from 16"),
        ({"resize_output": 100.5}, "give a whole number from 16"),
    ],
)
def test_what_cannot_be_is_one_sentence(wrong, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        Options(**wrong)
    assert caught.value.argument == next(iter(wrong)) and "--" not in str(caught.value)
