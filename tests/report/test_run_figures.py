"""The figures of a run: they say what its numbers say, and nothing a run can have makes them fail."""

import builtins

import numpy as np
import pytest
from PIL import Image

from detect.engine.album import Album
from detect.errors import UserError
from detect.report.figures import new_figure, spread_out, write_figure
from detect.report.labels import boxes_of, labels_figure
from detect.report.mosaics import GAP, TILE, batch_sheet, sheet, tile
from detect.report.progress import results_figure
from tests.report.made import made_set

ROWS = [
    {"epoch": 0, "step": 5, "lr": 0.01, "box": 4.0, "obj": 9.0, "AP": 0.1, "AP50": 0.3},
    {"epoch": 1, "step": 10, "lr": 0.02, "box": 2.0, "obj": 5.0, "AP": 0.4, "AP50": 0.6},
    {"epoch": 2, "step": 15, "lr": 0.01, "box": 1.5, "obj": 4.0, "AP": 0.2, "AP50": 0.5},
]


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.axison]


def lines(axes):
    return {tuple(line.get_ydata()) for line in axes.lines}


def test_results_have_a_panel_for_each_term_and_name_the_best_step():
    figure = results_figure(ROWS, ["box", "obj"], ["AP", "AP50"])
    assert titles(figure) == ["best AP 0.400 at step 10", "loss: box", "loss: obj", "learning rate"]
    metrics, box, _, rate = figure.axes[:4]
    assert {(0.1, 0.4, 0.2), (0.3, 0.6, 0.5)} <= lines(metrics)
    assert lines(box) == {(4.0, 2.0, 1.5)} and lines(rate) == {(0.01, 0.02, 0.01)}
    assert [text.get_text().strip() for text in metrics.texts] == ["AP 0.200", "AP50 0.500"]


@pytest.mark.parametrize(
    "rows",
    [
        ROWS[:1],
        [{"epoch": 0, "step": 1, "lr": 0.0, "box": 0.0, "obj": 0.0}],
        [ROWS[0] | {"AP": -1.0, "AP50": -1.0}],
        [{"epoch": 0, "step": 1, "lr": 0.1, "box": 1.0}, ROWS[1]],
        [ROWS[0], ROWS[1] | {"AP50": float("inf"), "box": float("nan"), "lr": float("inf")}],
    ],
    ids=["one row", "no val", "nothing annotated", "a term that came later", "not finite"],
)
def test_results_of_any_run_are_drawn(rows, tmp_path):
    write_figure(tmp_path / "results.png", results_figure(rows, ["box", "obj"], ["AP", "AP50"]))
    with Image.open(tmp_path / "results.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_labels_beside_each_other_are_spread_out():
    assert spread_out([0.5, 0.9], 0.1) == [0.5, 0.9]
    close = spread_out([0.52, 0.5], 0.1)
    assert close == pytest.approx([0.56, 0.46])
    assert spread_out([], 0.1) == []


def test_boxes_are_told_as_the_network_sees_them():
    images = made_set([(200, 100, [((0, 0, 100, 50), 0), ((150, 50, 200, 100), 1)])])
    boxes = boxes_of(images, 400)
    np.testing.assert_allclose(boxes.sizes, [[200, 100], [100, 100]])  # scaled by 2
    np.testing.assert_allclose(boxes.centres, [[0.25, 0.25], [0.875, 0.75]])
    assert boxes.labels.tolist() == [0, 1]


def test_classes_have_bars_in_falling_order_with_their_counts():
    objects = [((0, 0, 10, 10), 1)] * 3 + [((0, 0, 10, 10), 0)]
    train, val = made_set([(100, 100, objects)]), made_set([(100, 100, objects[2:])])
    axes = labels_figure(train, val, 64).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["dog", "cat", "bird"]
    assert [text.get_text().strip() for text in axes.texts] == ["3", "1", "0"]
    assert lines(axes) == {(0, 1, 2)} and tuple(axes.lines[0].get_xdata()) == (1, 1, 0)
    assert axes.get_title(loc="left") == "4 objects of 3 classes"


@pytest.mark.parametrize("classes", [1, 80, 300])
@pytest.mark.parametrize("objects", [0, 1, 5])
def test_any_set_is_drawn(classes, objects, tmp_path):
    names = [f"a_{number} $x^" for number in range(classes)]
    boxes = [((0, 0, 10 + number, 10), number % classes) for number in range(objects)]
    images = made_set([(64, 48, boxes), (64, 48, [])], names)
    write_figure(tmp_path / "labels.png", labels_figure(images, None, 64))
    with Image.open(tmp_path / "labels.png") as image:
        assert image.height < 2000 and len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_a_tile_is_a_square_with_the_box_where_it_belongs():
    image = np.full((50, 100, 3), 255, dtype=np.uint8)
    square = tile(image, [[50, 0, 100, 50]], None, [0], ["cat"])
    assert square.shape == (TILE, TILE, 3)
    top = TILE // 4
    assert (square[: top - 20] == square[0, 0]).all()  # grey above the image, but for the box's name
    plain = tile(image, np.zeros((0, 4)), None, [], ["cat"])
    changed = np.flatnonzero((square != plain).any(axis=(0, 2)))
    assert TILE // 2 - 3 <= changed[0] <= TILE // 2 + 3 and changed[-1] >= TILE - 3


def test_a_sheet_has_four_squares_a_row():
    squares = [np.full((10, 10, 3), number, dtype=np.uint8) for number in range(5)]
    page = sheet(squares)
    assert page.shape == (20 + GAP, 40 + 3 * GAP, 3)
    assert (page[10 + GAP :, :10] == 4).all() and (page[10 + GAP :, 10:] == 255).all()
    assert sheet(squares[:1]).shape == (10, 10, 3)


def test_a_batch_is_shown_to_the_eighth_image():
    images = np.zeros((9, 3, 32, 32), dtype=np.uint8)
    nothing = [np.zeros((0, 4))] * 9, [np.zeros(0, int)] * 9
    assert batch_sheet(images, *nothing, ["cat"]).shape == (2 * TILE + GAP, 4 * TILE + 3 * GAP, 3)


def test_what_cannot_be_drawn_is_said_once_and_stops_nothing(tmp_path):
    said = []
    album = Album(tmp_path, said.append)

    def fails():
        raise UserError("the disk is full")

    album.add("a.png", fails)
    album.add("a.png", fails)
    album.add("c.png", lambda: 1 / 0)
    album.add("b.png", lambda: np.zeros((4, 4, 3), dtype=np.uint8))
    assert said == ["no a.png: the disk is full", "no c.png: ZeroDivisionError, please report it: division by zero"]
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


def test_missing_matplotlib_is_one_sentence(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"needs matplotlib, which is not installed: pip install 'csp-detect\[train\]'"):
        new_figure(1, 1)
