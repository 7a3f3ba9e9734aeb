"""What a result looks like with its lines, zones and pace."""

from dataclasses import replace

import numpy as np
import pytest

from detect.inference.annotate import DARK, YELLOW, Annotator
from detect.inference.counting import Counts, Line
from detect.inference.monitor import Pace
from detect.ops.preview import scaled
from tests.inference.made_results import flat, result

GREY = flat(90, (240, 320))
PACE = Pace(frames=50, fps=24.96, latency=0.0314, dropped=3)


def annotated(one, image=GREY, side=None, pace=PACE):
    return Annotator(side, lambda _: pace)(replace(one, frame=replace(one.frame, image=image))).annotated


def has(image, colour):
    return np.abs(image.astype(int) - colour).max(axis=-1) < 60


def test_a_file_looks_as_it_is_plotted():
    one = result(boxes=[[50, 60, 200, 180]], source="clip.avi", medium="video")
    np.testing.assert_array_equal(annotated(one), replace(one, frame=replace(one.frame, image=GREY)).plot())


def test_a_live_source_says_how_it_goes():
    drawn = annotated(result(boxes=(), medium="live"))
    strip = has(drawn, DARK)
    rows, columns = np.nonzero(strip)
    assert rows.max() < 30 and columns.max() > 60 and strip[0, 0]
    without = annotated(result(boxes=(), medium="live"), pace=Pace())
    assert not has(without, DARK).any() and (without == GREY).all()


@pytest.mark.parametrize("shape", [(1, 1), (20, 300), (2000, 3000)])
def test_the_pace_stays_inside_any_image(shape):
    image = flat(90, shape)
    assert annotated(result(boxes=(), medium="live"), image).shape == image.shape


def test_boxes_keep_their_place_where_the_image_is_made_smaller_or_larger():
    one = result(boxes=[[80, 60, 240, 180]], source="clip.avi", medium="video")
    for side in (160, 640):
        drawn, ratio = annotated(one, side=side), side / 320
        assert drawn.shape == (round(240 * ratio), side, 3)
        inside = drawn[round(90 * ratio) : round(150 * ratio), round(110 * ratio) : round(210 * ratio)]
        assert (inside == 90).all()
        assert (drawn[round(120 * ratio), round(80 * ratio)] != 90).any()
    assert scaled(GREY, 320)[0] is GREY and scaled(flat(1, (1, 4000)), 16)[0].shape == (1, 16, 3)


def test_lines_and_zones_are_drawn_with_their_counts():
    zone = np.array([[20, 120], [120, 120], [120, 220], [20, 220]], np.float32)
    counts = Counts((Line((200, 20), (200, 220)),), ((3, 12),), {"door": zone}, (4,))
    drawn = annotated(replace(result(boxes=()), counted=counts))
    assert has(drawn[20:220, 199:202], YELLOW).any(axis=1).mean() > 0.8  # the line
    assert has(drawn, YELLOW)[119:122, 20:120].any(axis=0).mean() > 0.9  # the zone's edge
    assert (drawn[210, 70] != 90).any() and not has(drawn, YELLOW)[210, 70]  # tinted, not filled
    arrow = has(drawn, YELLOW)[60:180, 130:196].sum(), has(drawn, YELLOW)[60:180, 206:270].sum()
    assert arrow[0] > 5 and arrow[1] == 0  # it points to smaller x
    assert has(drawn, YELLOW)[10:30, 160:196].sum() > 200  # the words stand where it starts


@pytest.mark.parametrize("far", [-1e6, 1e6])
def test_lines_and_zones_beyond_the_image_do_no_harm(far):
    zone = np.array([[far, far], [far + 5, far], [far, far + 5]], np.float32)
    counts = Counts((Line((far, far), (10, 10)),), ((0, 0),), {"": zone}, (0,))
    assert annotated(replace(result(boxes=()), counted=counts)).shape == GREY.shape
