"""The paper's figures drawn from our counts say what the paper says."""

import builtins

import pytest
from PIL import Image
from torch.testing import assert_close

pytest.importorskip("matplotlib", reason="needs matplotlib")

from detect.analysis.plots import plot_figures
from detect.errors import UserError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots") / "new"
    return folder, plot_figures(folder)


def test_bottlenecks_are_reduced_by_80_and_44_percent(drawn):
    _, found = drawn
    assert_close(found["bottlenecks"]["CSPPeleeNet-EFM"], 0.1994, rtol=0, atol=1e-4)
    assert_close(found["bottlenecks"]["PeleeNet-PRN"], 0.3544, rtol=0, atol=1e-4)
    assert_close(found["bottlenecks"]["PeleeNet-YOLO"], 0.9968, rtol=0, atol=1e-4)
    assert {name: round(cut, 2) for name, cut in found["reductions"].items()} == {
        "PeleeNet-YOLO": -0.80,
        "PeleeNet-PRN": -0.44,
    }
    assert "CSPPeleeNet-EFM against PeleeNet-YOLO: -80%" in found["lines"]


def test_memory_traffic_is_that_of_fig_8(drawn):
    cio = drawn[1]["cio"]
    assert {name: round(value / 1e6, 1) for name, value in cio.items()} == {"ResNeXt50": 34.4, "CSPResNeXt50": 32.6}


def test_both_images_are_written_whole(drawn):
    folder, found = drawn
    assert found["files"] == [str(folder / "fig_7.png"), str(folder / "fig_8.png")]
    for path in found["files"]:
        with Image.open(path) as image:
            assert image.width > 1000
            assert len(image.convert("RGB").getcolors(1 << 24)) > 50  # not an empty sheet
    assert len(list(folder.iterdir())) == 2


def test_missing_matplotlib_is_one_sentence(monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        UserError, match=r"this needs matplotlib, which is not installed: pip install 'csp-detect\[train\]'"
    ):
        plot_figures(tmp_path / "plots")
    assert not (tmp_path / "plots").exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        plot_figures(tmp_path / "file" / "plots")
