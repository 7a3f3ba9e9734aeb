"""Files that follow one another."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from detect.errors import UserError
from detect.inference.sinks.segments import Segments, seconds_of
from detect.inference.sources import Frame

FRAME = Frame(np.zeros((1, 1, 3), np.uint8), "a", medium="video")


def test_one_file_without_a_length():
    segments = Segments(None)
    assert [segments.begins(replace(FRAME, time=time)) for time in (0.0, 1.0, 1e9)] == [True, False, False]
    assert segments.name == ""


def test_a_file_begins_when_the_one_before_has_its_length():
    segments, begun = Segments(10), []
    for time in (0.0, 9.9, 10.0, 19.9, 35.0, 36.0, 2.0):  # the last one is of another source
        if segments.begins(replace(FRAME, time=time)):
            begun.append(segments.name)
    assert begun == ["_000000s", "_000010s", "_000035s", "_000002s"]


def test_files_of_live_sources_are_named_by_the_clock():
    segments = Segments(60)
    assert segments.begins(replace(FRAME, time=3.0, clock=1_700_000_000.0, medium="live"))
    assert segments.name == datetime.fromtimestamp(1_700_000_000).strftime("_%Y%m%d-%H%M%S")


def test_lengths_of_time():
    assert [seconds_of(text) for text in ("90", "90s", "10m", "1h", "2d")] == [90, 90, 600, 3600, 172_800]
    for wrong in ("", "m", "0", "-5", "1.5h", "10 m", "ten", "9" * 20, "²s"):
        with pytest.raises(UserError, match="give 90s, 10m or 1h"):
            seconds_of(wrong)
