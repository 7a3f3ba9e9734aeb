"""The figure of AP against ms."""

import cv2
import pytest

from detect.analysis import speed_plot
from detect.analysis.speed_plot import plot_speed
from detect.errors import UserError

pytest.importorskip("matplotlib")
MACHINE = {"processor": "A Chip", "cores": 2, "flags": [], "versions": {}, "load": None}


def row(model, ms, ap=None, ap_on=None):
    return {"model": model, "size": 416, "engine": "torch", "precision": "f32", "p50_ms": ms, "ap": ap, "ap_on": ap_on}


RESULT = {
    "machine": MACHINE,
    "rows": [
        row("a", 10, 26.8, "COCO test-dev"),
        row("b", 5),
        row("c", 7, 20.3, "coco3k val"),
        row("d", 2, 16.8, "COCO test-dev"),
    ],
}


@pytest.fixture
def drawn(monkeypatch):
    figures = []
    monkeypatch.setattr(speed_plot, "write_figure", lambda path, figure: figures.append(figure))
    return figures


def test_rows_with_ap_are_points_by_data_set_and_all_are_listed(drawn):
    plot_speed("x.png", RESULT)
    axes, beside = drawn[0].axes
    points = {of.get_label(): of.get_offsets().tolist() for of in axes.collections}
    assert points == {"AP on COCO test-dev": [[10, 26.8], [2, 16.8]], "AP on coco3k val": [[7, 20.3]]}
    assert [text.get_text() for text in axes.texts] == ["1", "4", "3"]
    lines = beside.texts[0].get_text().splitlines()
    assert lines[1] == "2  b, 416 px, torch f32: 5.0 ms, no AP" and lines[3].endswith("2.0 ms, AP 16.8")


def test_without_any_ap_the_models_are_listed(drawn):
    plot_speed("x.png", {"machine": MACHINE, "rows": [row("b", 5)]})
    axes, beside = drawn[0].axes
    assert not axes.collections and "5.0 ms, no AP" in beside.texts[0].get_text()


def test_the_figure_is_a_png(tmp_path):
    plot_speed(tmp_path / "x.png", RESULT)
    assert cv2.imread(str(tmp_path / "x.png")).std() > 1
    with pytest.raises(UserError, match="cannot be written"):
        plot_speed(tmp_path / "none" / "x.png", RESULT)
