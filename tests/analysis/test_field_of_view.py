"""Fields of view: exact where mathematics knows them, repeatable, and what is claimed of EFM is measured."""

import builtins
import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close

from detect import config
from detect.analysis.field_of_view import Field, extents, fields_of_view, gradients, measure, table, untrained
from detect.cli.main import main
from detect.errors import UserError
from detect.models.layers import SAM, ConvNormAct, Maxout, SqueezeExcite, Upsample

ROOT = Path(__file__).parents[2]
EFM = ROOT / "configs" / "csppelee_efm.yaml"
WEIGHTS = ROOT / "weights" / "csppelee_efm_coco3k.safetensors"


class Maps(nn.Module):
    """Layers as a network with one map per sequence of them."""

    def __init__(self, *sequences):
        super().__init__()
        self.sequences = nn.ModuleList(sequences)

    def forward(self, images):
        return [layers(images) for layers in self.sequences]


def detector(path, size=416):
    return untrained(config.load(path, [f"input.size={size}"], needs_data=False))


@pytest.fixture(scope="module")
def efm():
    return detector(EFM)


def field(gradient, stride=1, cell=None, anchors=((10, 20),)):
    height, width = gradient.shape
    cell = cell or (width // stride // 2, height // stride // 2)
    return Field(stride, cell, gradient.double(), (0, 0, width, height), anchors)


# ---- theoretical extent --------------------------------------------------------------------------------------------


def test_the_extent_of_convolutions_is_exact():
    layers = (ConvNormAct(3, 4, 3), ConvNormAct(4, 4, 5), SAM(4), ConvNormAct(4, 2, 3, groups=2, activation="mish"))
    dilated = nn.Conv2d(3, 2, 3, padding=4, dilation=4)
    assert extents(Maps(nn.Sequential(*layers), dilated), 32) == [(12, 12, 21, 21), (12, 12, 21, 21)]


def test_the_extent_of_a_strided_cell_is_where_its_convolutions_look():
    layers = nn.Sequential(ConvNormAct(3, 4, 3, stride=2), ConvNormAct(4, 4, 3, stride=2), ConvNormAct(4, 4, 3))
    # cell 4 of 8: cells 3..5, rows 5..11 of the half-size map, px 9..23
    assert extents(Maps(layers), 32) == [(9, 9, 24, 24)]


def test_the_extent_is_that_of_every_branch_of_a_maximum():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.narrow, self.wide, self.maxout = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 7, padding=3), Maxout(4, 2)

        def forward(self, x):
            return self.maxout(torch.cat([self.narrow(x), self.wide(x)], dim=1))

    pooled = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.MaxPool2d(2), nn.MaxPool2d(5, 1, 2), Upsample())
    assert extents(Maps(Branches(), pooled), 32) == [(13, 13, 20, 20), (11, 11, 23, 23)]


def test_yolov3_tinys_extent_is_that_of_the_arithmetic():
    # Beyond a cell of stride 32 the backbone sees 1 + 2 + 4 + 8 + 16 + 32 px for its convolutions, 32 for the last one,
    # and to the right 32 for its pooling of stride 1. The coarse cell 192..224 adds 32 for the head's convolution, the
    # fine cell 208..224 sees those at 192..240, which are upsampled from 192..256.
    fine, coarse = extents(detector(ROOT / "configs" / "yolov3_tiny.yaml"), 416)
    assert fine == (192 - 63 - 32, 192 - 63 - 32, 256 + 63 + 64, 256 + 63 + 64)
    assert coarse == (192 - 63 - 64, 192 - 63 - 64, 224 + 63 + 96, 224 + 63 + 96)


def test_a_global_average_sees_everything_and_long_paths_do_not_vanish():
    deep = nn.Sequential(*(ConvNormAct(3, 3, 3) for _ in range(60)))
    gated = nn.Sequential(ConvNormAct(3, 16), SqueezeExcite(16, 4, gate="h_sigmoid"))
    assert extents(Maps(deep, gated), 128) == [(4, 4, 125, 125), (0, 0, 128, 128)]


# ---- effective field -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(3, 3, 3), (5, 3, 7)])
def test_uniform_weights_give_the_boxes_convolved_with_each_other(sizes):
    layers = [nn.Conv2d(3 if i == 0 else 1, 1, size, padding=size // 2) for i, size in enumerate(sizes)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    (measured,) = gradients(Maps(nn.Sequential(*layers)), 33, inputs=2)

    line = [1.0]
    for size in sizes:  # full convolution with a box
        padded = [0.0] * (size - 1) + line + [0.0] * (size - 1)
        line = [sum(padded[i : i + size]) for i in range(len(padded) - size + 1)]
    line = torch.tensor(line, dtype=torch.float64)
    line /= line.sum()
    around = (33 - len(line)) // 2
    expected = nn.functional.pad(torch.outer(line, line), (around,) * 4)
    assert_close(measured / measured.sum(), expected, rtol=1e-5, atol=1e-9)
    assert field(measured).side(1) == len(line)


def test_a_side_is_that_of_the_smallest_square_with_the_share():
    box = torch.zeros(33, 33)
    box[12:21, 12:21] = 1 / 81
    assert [field(box).side(share) for share in (0.5, 0.3, 49 / 81 - 1e-9, 0.95)] == [7, 5, 7, 9]
    point = torch.zeros(32, 32)
    point[16, 23] = 1  # the cell of stride 8 at 16..24 has its centre at 20; px 23 ends 4 px from there
    assert field(point, stride=8).side(0.5) == 8


def test_channels_cannot_cancel_each_other():
    opposite = nn.Conv2d(3, 2, 1)
    opposite.weight.data[0], opposite.weight.data[1] = 1.0, -1.0
    dead = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))
    dead[0].bias.data[1:] = -100.0
    dead[0].weight.data[0] = 1.0
    for gradient in gradients(Maps(opposite, dead), 16):
        assert gradient[8, 8] > 0.1


def test_the_mean_over_inputs_settles():
    network = Maps(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)))
    (few,), (many,) = gradients(network, 8, inputs=400), gradients(network, 8, inputs=400, seed=1)
    assert_close(few / few.sum(), many / many.sum(), rtol=0.25, atol=1e-3)


def test_the_same_seed_gives_the_same_numbers(efm):
    before = torch.random.get_rng_state()
    again = detector(EFM)
    assert all(torch.equal(a, b) for a, b in zip(efm.state_dict().values(), again.state_dict().values(), strict=True))
    first, second, other = (gradients(efm, 64, inputs=1, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.stack(first), torch.stack(second))
    assert not torch.equal(torch.stack(first), torch.stack(other))
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_network_stays_as_it_was(efm):
    network = detector(EFM).train()
    fields_of_view(network, 64, inputs=1)
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())
    for before, after in zip(efm.state_dict().values(), network.state_dict().values(), strict=True):
        assert torch.equal(before, after)


def test_fields_go_from_fine_to_coarse_with_their_anchors(efm):
    fields = fields_of_view(efm, 96, inputs=1)
    assert [f.stride for f in fields] == [8, 16, 32]
    assert [f.cell for f in fields] == [(6, 6), (3, 3), (1, 1)]
    assert fields[0].centre == (52, 52)
    assert [f.anchors for f in fields] == efm.head.anchors
    assert_close(fields[0].anchor_side, math.prod([10, 13, 16, 30, 33, 23]) ** (1 / 6))
    for f in fields:
        assert_close(float(f.gradient.sum()), 1.0)
        assert f.extent == (0, 0, 96, 96)
        assert f.side(0.5) < f.side(0.95)


def test_scales_of_another_order_are_sorted():
    class CoarseFirst(nn.Module):
        head = SimpleNamespace(strides=(4, 2), anchors=[((8, 8),), ((2, 2),)])

        def __init__(self):
            super().__init__()
            self.coarse, self.fine = nn.Conv2d(3, 1, 4, 4), nn.Conv2d(3, 1, 2, 2)

        def forward(self, x):
            return [self.coarse(x), self.fine(x)]

    fine, coarse = fields_of_view(CoarseFirst(), 16)
    assert (fine.stride, fine.anchors, fine.extent, fine.side(1)) == (2, ((2, 2),), (8, 8, 10, 10), 2)
    assert (coarse.stride, coarse.anchors, coarse.extent, coarse.side(1)) == (4, ((8, 8),), (8, 8, 12, 12), 4)


@pytest.mark.parametrize("seed", [0, 1])
def test_efms_finest_scale_sees_less_far_than_gfms_and_panets_further(seed, tmp_path):
    """95% of the gradient at 416, untrained, norms with initial statistics (calibrated ones turn EFM and GFM around).

    PANet is without SPP, on the same backbone with the same widths.
    """
    panet = tmp_path / "panet.yaml"
    panet.write_text(f"base: {EFM}\nmodel: {{neck: {{name: PANet, widths: [64, 128, 256], spp: false}}}}\n")
    paths = [ROOT / "configs" / "csppelee_efm_nosam.yaml", ROOT / "configs" / "csppelee_gfm.yaml", panet]
    models = [untrained(config.load(path, needs_data=False), seed) for path in paths]
    efm, gfm, panet = (field(gradients(model, 416, 1, seed)[0], stride=8).side(0.95) for model in models)
    assert efm < gfm < panet


# ---- mistakes, table and command line ------------------------------------------------------------------------------


def test_unusable_weights_and_sizes_are_one_sentence(efm):
    broken = detector(EFM)
    nn.init.zeros_(broken.head.predictions[0].weight)
    with pytest.raises(UserError, match="the gradient at stride 8 is 0"):
        fields_of_view(broken, 64)
    nn.init.constant_(broken.head.predictions[0].weight, math.nan)
    with pytest.raises(UserError, match="the gradient at stride 8 is nan"):
        fields_of_view(broken, 64)
    with pytest.raises(UserError, match=r"mine.yaml: input is 65x65 px; both sides must be multiples of 32"):
        measure("mine.yaml", "random", efm, 65, 1)
    with pytest.raises(UserError, match="no detection scales"):
        fields_of_view(efm.backbone, 64)


def test_the_table_is_aligned(efm):
    measured = measure("some/efm.yaml", "random", efm, 64, 1)
    heading, *rows = table([measured, measured], 1).splitlines()
    assert {len(line) for line in (heading, *rows[:6])} == {len(heading)}
    assert rows[0].split()[:4] == ["efm", "random", "64", "8"]
    assert "10x13 16x30 33x23" in rows[0] and "373x326" in rows[2]
    assert "mean of 1 inputs" in rows[6] and "not trained" in rows[-1]
    assert "not trained" not in table([measure("efm.pt", "trained", efm, 64, 1)], 1)


def test_the_command_line_answers_in_json(capsys):
    assert main(["field_of_view", str(EFM), "--weights", str(WEIGHTS), "--size=64", "--inputs=1", "--json"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    random, trained = answer["models"]
    assert (random["name"], random["weights"], random["size"]) == ("csppelee_efm", "random", 64)
    assert (trained["name"], trained["weights"], trained["size"]) == ("csppelee_efm_coco3k", "trained", 64)
    assert random["scales"][0] | {"side_50": 0, "side_95": 0, "anchor_side": 0} == {
        "stride": 8, "cell": [4, 4], "side_50": 0, "side_95": 0, "extent": [0, 0, 64, 64],
        "anchors": [[10, 13], [16, 30], [33, 23]], "anchor_side": 0,
    }  # fmt: skip
    for scale in (*random["scales"], *trained["scales"]):
        assert 0 < scale["side_50"] < scale["side_95"] <= 96
    assert "csppelee_efm_coco3k" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give configuration files, --weights FILE or both"),
        (["--weights", "none.pt"], "none.pt: no such file"),
        (["none.yaml"], "none.yaml"),
        ([str(ROOT / "configs" / "coco3k_crops.yaml")], "is a classifier, no detector"),
        ([str(EFM), "--size", "100"], "csppelee_efm.yaml: input is 100x100 px; both sides must be multiples of 32"),
        ([str(EFM), "--inputs", "0"], "no whole number from 1"),
        ([str(EFM), "--set", "model.neck.same=1"], "same"),
        (["--weights", str(WEIGHTS), "--set", "input.size=64"], "--set changes configuration files"),
        ([str(EFM), "--cfg", "net.cfg"], "--cfg belongs to --weights FILE"),
        ([str(EFM), "--plot", "image.jpg"], "must end in .png"),
        ([str(EFM), "--plot", "nowhere/image.png"], "its folder is not there"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence, capsys):
    assert main(["field_of_view", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and sentence in error


# ---- image -------------------------------------------------------------------------------------------------------


def test_the_image_has_a_panel_per_scale_and_no_text_on_another(efm):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    from detect.analysis.field_plot import fields_figure

    models = [measure("csppelee_efm.yaml", "random", efm, 96, 1)]
    models.append(measure("yolov3_tiny.yaml", "random", detector(ROOT / "configs" / "yolov3_tiny.yaml"), 416, 1))
    figure = fields_figure(models)
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_visible() and axes.images]
    assert [axes.get_title().split(",")[0] for axes in panels] == [f"stride {s}" for s in (8, 16, 32, 16, 32)]
    sizes = [(f.side(0.5), f.side(0.95)) for m in models for f in m.fields]
    for axes, (half, most) in zip(panels, sizes, strict=True):
        assert f"50%: {half} px, 95%: {most} px" in axes.get_title()
        assert [box.get_width() for box in axes.patches[-2:]] == [half, most]
        assert len(axes.patches) == 3 + 2
        assert axes.get_xlim()[1] >= most / 2
    assert panels[1].get_xlim() == panels[3].get_xlim()  # the same px in a column
    texts = [text for axes in panels for text in (axes.title, axes.yaxis.label)]
    places = [text.get_window_extent() for text in [*texts, *figure.texts] if text.get_text()]
    for one, other in itertools.combinations(places, 2):
        assert not one.overlaps(other)
    for place in places:
        assert figure.bbox.x0 <= place.x0 and place.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= place.y0 and place.y1 <= figure.bbox.y1


def test_the_image_is_written(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    path = tmp_path / "fields.png"
    assert main(["field_of_view", str(EFM), "--size=64", "--inputs=1", "--plot", str(path)]) == 0
    assert capsys.readouterr().out.endswith(f"{path}\n")
    with Image.open(path) as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) > 100  # not an empty sheet
    assert list(tmp_path.iterdir()) == [path]


def test_missing_matplotlib_is_one_sentence_before_the_work(monkeypatch, tmp_path, capsys):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("detect.analysis.field_of_view.measure", None)
    assert main(["field_of_view", str(EFM), "--plot", str(tmp_path / "fields.png")]) == 1
    said = "this needs matplotlib, which is not installed: pip install 'csp-detect[train]'"
    assert capsys.readouterr().err == f"error: {said}\n"
