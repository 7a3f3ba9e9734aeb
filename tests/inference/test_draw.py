"""Boxes and labels on an image."""

import subprocess
import sys
from itertools import pairwise

import cv2
import numpy as np
import pytest

from detect.inference.draw import ascii_name, colour_of, draw, text_colour_on

NAMES = ["person", "traffic light", "行人"]
GREY = np.full((240, 320, 3), 90, dtype=np.uint8)


def contrast(a, b):
    """WCAG contrast ratio of two RGB colours."""

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted([luminance(a), luminance(b)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def letter_pixels(drawn, label):
    """Number of px that are nearer to the colour of a class's letters than to anything else there."""
    return (np.abs(drawn.astype(int) - text_colour_on(colour_of(label))).max(axis=-1) < 60).sum()


def test_input_is_not_changed():
    image = GREY.copy()
    drawn = draw(image, [[50, 60, 200, 180]], [0.9], [0], NAMES)
    assert (image == GREY).all() and (drawn != GREY).any()
    assert drawn.shape == GREY.shape and drawn.dtype == np.uint8


def test_read_only_and_mirrored_images_are_drawn_on():
    image = GREY[:, ::-1]
    image.flags.writeable = False
    assert (draw(image, [[50, 60, 200, 180]], [0.9], [0], NAMES) != GREY).any()


def test_box_has_its_class_colour_at_its_place():
    drawn = draw(GREY, [[50, 60, 200, 180]], [0.9], [1], NAMES)
    for x, y in [(50, 120), (200, 120), (120, 180)]:
        assert tuple(drawn[y, x]) == colour_of(1)
    assert (drawn[70:170, 60:190] == 90).all()


def test_no_detections_draw_nothing():
    np.testing.assert_array_equal(draw(GREY, np.zeros((0, 4)), [], [], NAMES), GREY)


def test_label_stands_above_the_box_and_is_readable():
    drawn = draw(GREY, [[50, 60, 200, 180]], [0.9], [0], NAMES)
    strip = drawn[40:58, 52:120]
    assert (strip != 90).any(axis=-1).mean() > 0.5
    assert letter_pixels(strip, 0) > 40


@pytest.mark.parametrize("box", [[0, 0, 40, 40], [300, 0, 320, 50], [310, 230, 320, 240], [-50, -50, 400, 400]])
def test_label_stays_inside_the_image(box):
    drawn = draw(GREY, [box], [0.9], [1], NAMES)
    inside = draw(GREY, [[50, 60, 200, 180]], [0.9], [1], NAMES)
    assert letter_pixels(inside, 1) > 40
    assert letter_pixels(drawn, 1) == pytest.approx(letter_pixels(inside, 1), rel=0.1)


def test_lines_and_letters_grow_with_the_image():
    shares = []
    for scale in (2, 8):
        image = np.full((240 * scale, 320 * scale, 3), 90, dtype=np.uint8)
        drawn = draw(image, np.array([[50, 60, 200, 180]]) * scale, [0.9], [0], NAMES)
        shares.append((drawn != 90).any(axis=-1).mean())
    assert shares[1] == pytest.approx(shares[0], rel=0.25)


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (40, 40)])
def test_tiny_images_and_wild_boxes_do_no_harm(shape):
    boxes = [[0, 0, 5, 5], [np.nan, -1e30, np.inf, 3]]
    assert draw(np.zeros((*shape, 3), np.uint8), boxes, [0.5, 0.4], [0, 1], NAMES).shape == (*shape, 3)


def test_neighbouring_classes_differ_and_every_label_has_contrast():
    colours = [colour_of(label) for label in range(80)]
    assert len(set(colours)) == 80
    for one, other in pairwise(colours):
        assert np.abs(np.subtract(one, other)).max() > 60
    assert min(contrast(c, text_colour_on(c)) for c in colours) > 4.5


def test_names_are_written_in_the_letters_there_are():
    assert ascii_name("Fußgänger", 0) == "Fussganger"
    assert ascii_name("行人", 2) == "class 2"
    assert ascii_name("a\nb", 2) == "ab"


@pytest.mark.parametrize("module", ["labels", "pipeline", "predictor", "sinks.label_sinks", "tracks", "window"])
def test_the_lean_path_does_without_torch(module):
    banned = ("torch", "detect.models", "detect.data", "detect.weights")
    code = f"import sys, detect.inference.{module}; assert not [m for m in sys.modules if m.startswith({banned})]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_labels_of_a_crowd_do_not_cover_one_another():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 1, (150, 2)) * [900, 600]
    boxes, labels = np.hstack([corners, corners + rng.uniform(20, 90, (150, 2))]), np.arange(150) % 40
    scores = rng.permutation(np.linspace(0.3, 0.99, 150))
    image = np.full((700, 1000, 3), 90, np.uint8)
    strips = []

    def rectangle(canvas, start, end, colour, thickness):
        if thickness == cv2.FILLED:
            strips.append((*start, *end))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cv2, "rectangle", rectangle)
        draw(image, boxes, scores, labels, [f"class {n}" for n in range(40)])
    assert 20 < len(strips) < 150
    left, top, right, bottom = np.array(strips).T[:, :, None]
    wide, high = (
        np.minimum(right, right.T) - np.maximum(left, left.T),
        np.minimum(bottom, bottom.T) - np.maximum(top, top.T),
    )
    covered = (wide > 4) & (high > 4) & ~np.eye(len(strips), dtype=bool)  # touching is fine
    assert not covered.any()
    assert left.min() >= 0 and top.min() >= 0 and right.max() < 1000 and bottom.max() < 700


def test_what_is_followed_has_its_number():
    drawn = draw(GREY, [[50, 60, 200, 180]], [0.9], [0], NAMES, [17])
    without = draw(GREY, [[50, 60, 200, 180]], [0.9], [0], NAMES, [0])
    np.testing.assert_array_equal(without, draw(GREY, [[50, 60, 200, 180]], [0.9], [0], NAMES))
    wide = [np.nonzero((image[45:55] != 90).any(axis=(0, 2)))[0].max() for image in (drawn, without)]
    assert wide[0] > wide[1] + 10


def test_words_do_not_cover_what_they_speak_of():
    centres = np.stack(np.meshgrid(np.arange(8, 320, 16), np.arange(8, 240, 16)), -1).reshape(-1, 2)
    boxes = np.hstack([centres - 4, centres + 4])
    drawn = draw(GREY, boxes, np.linspace(0.3, 0.9, len(boxes)), [0] * len(boxes), ["seed"])
    assert 0.1 < (drawn[:, :, 0] == colour_of(0)[0]).mean() < 0.45  # words and frames
    surest = drawn[int(boxes[-1, 1]) - 20 : int(boxes[-1, 3]) + 20, int(boxes[-1, 0]) - 60 :]
    assert letter_pixels(surest, 0) > 30
