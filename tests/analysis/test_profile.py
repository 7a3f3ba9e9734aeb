"""The profile counts what the paper counts: totals of arXiv 1911.11929 and the layers of its Fig. 7."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from detect.analysis.profile import profile
from detect.errors import UserError
from detect.models.backbones import CSPPeleeNet
from detect.models.classifier import Classifier
from detect.models.compconv import CompConv
from detect.models.csp import CrossStagePartial
from detect.models.detector import build_detector
from detect.models.layers import ConvNormAct, Maxout
from detect.models.registry import BACKBONES

ROOT = Path(__file__).parents[2]


def meta(build, *args, **options):
    """A model without memory: counting needs none."""
    with torch.device("meta"):
        return build(*args, **options)


def detector(sam=True, num_classes=80):
    neck = {"name": "EFM", "sam": sam}
    spec = {"backbone": {"name": "CSPPeleeNet"}, "neck": neck, "head": {"name": "YOLOv3"}}
    return meta(build_detector, spec, num_classes)


def classifier(**options):
    return Classifier(meta(CSPPeleeNet, **options), 1000)


def near(actual, expected, digits=4):
    """`actual` is the published number, up to its last digit."""
    assert_close(actual, expected, rtol=0, atol=10**-digits)


def layers_by_name(model, size):
    return {layer.name: layer for layer in profile(model, size).layers}


def test_classifier_counts_as_published():
    counted = profile(classifier(), 224)
    near(counted.conv_weights / 1e6, 2.8317)
    near(counted.bflops, 0.8880)


@pytest.mark.parametrize(("partial_ratio", "bflops"), [(0.75, 0.7997), (0.5, 0.8880), (0.25, 0.9859)])
def test_partial_ratio_counts_as_in_table_1(partial_ratio, bflops):
    near(profile(classifier(partial_ratio=partial_ratio), 224).bflops, bflops)


def test_squeeze_excite_adds_twenty_thousand_weights():
    added = profile(classifier(squeeze_excite=True), 224).conv_weights - profile(classifier(), 224).conv_weights
    assert_close(added / 1e6, 0.02, rtol=0, atol=0.005)


@pytest.mark.parametrize(("size", "bflops"), [(224, 0.8867), (320, 1.8096), (416, 3.0582)])
def test_backbone_counts(size, bflops):
    counted = profile(meta(CSPPeleeNet), size)
    assert counted.conv_weights == 2_191_712
    assert counted.floats == 2_217_248
    near(counted.bflops, bflops)


# our counts, and what the paper's Tables 2 and 4 print
@pytest.mark.parametrize(
    ("sam", "size", "floats", "bflops", "published_bflops"),
    [(True, 416, 4.308, 5.066, 5.068), (True, 512, 4.308, 7.674, 7.68), (False, 416, 4.158, 4.867, 4.868)],
)
def test_detector_counts_as_published(sam, size, floats, bflops, published_bflops):
    counted = profile(detector(sam), size)
    near(counted.floats / 1e6, floats, digits=3)
    near(counted.bflops, bflops, digits=3)
    assert_close(counted.bflops, published_bflops, rtol=1e-3, atol=0)
    if sam:
        assert_close(counted.floats / 1e6, 4.31, rtol=1e-3, atol=0)


FIG_7 = {  # layer -> (its number in the figure, type, BFLOPs at 416); arXiv 1911.11929, Fig. 7
    "backbone.stem.conv": ("#0", "conv 3x3/2", 0.0748),
    "backbone.stem.pooled.0": ("#1", "maxpool 2x2/2", 0.0014),
    "backbone.stem.pooled.1": ("#2", "conv 1x1", 0.0222),
    "backbone.stem.convolved.0": ("#3", "conv 1x1", 0.0443),
    "backbone.stem.convolved.1": ("#4", "conv 3x3/2", 0.0997),
    "backbone.stages.0.part1": ("#5", "conv 1x1", 0.0443),
    "backbone.stages.0.part2": ("#6", "conv 1x1", 0.0443),
    "backbone.stages.0.transition": ("#17", "conv 1x1", 0.1994),
    "backbone.downs.0.0": ("#18", "maxpool 2x2/2", 0.0014),
    "backbone.downs.0.1": ("#19", "conv 1x1", 0.0886),
    "backbone.stages.1.transition": ("#42", "conv 1x1", 0.1994),
    "backbone.stages.2.transition": ("#87", "conv 1x1", 0.1994),
    "backbone.downs.2.0": ("#88", "maxpool 2x2/2", 0.0003),
    "backbone.stages.3.transition": ("#112", "conv 1x1", 0.0498),
    "backbone.downs.3.0": ("#113", "conv 1x1", 0.1385),
    "neck.coarsest.own.1": ("#115", "conv 3x3", 0.1994),
    "neck.levels.0": ("#122", "maxout", 0.0007),
    "neck.finest.finer": ("#126", "maxout", 0.0014),
}


def test_layers_cost_as_in_fig_7():
    layers = layers_by_name(detector(), 416)
    for name, (number, kind, bflops) in FIG_7.items():
        assert layers[name].type == kind, number
        assert_close(layers[name].bflops, bflops, rtol=0, atol=1e-4, msg=lambda m, n=number: f"{n}: {m}")


def test_largest_layer_is_the_one_that_fig_7_shows():
    near(max(layer.bflops for layer in profile(detector(), 416).layers), 0.1994)


def test_backbone_has_the_114_layers_of_fig_7():
    assert len(profile(meta(CSPPeleeNet), 416).layers) == 114


def test_row_gives_shapes_and_parameters_with_the_norm_folded_in():
    rows = profile(detector(), 416).layers
    assert [row.name for row in rows[:3]] == ["backbone.stem.conv", "backbone.stem.pooled.0", "backbone.stem.pooled.1"]
    stem = rows[0]
    assert (stem.input, stem.output) == ([3, 416, 416], [32, 208, 208])
    assert (stem.conv_weights, stem.floats) == (32 * 3 * 9, 32 * 3 * 9 + 4 * 32)
    prediction = rows[-1]
    assert (prediction.name, prediction.output) == ("head.predictions.2", [255, 13, 13])
    assert (prediction.conv_weights, prediction.floats) == (128 * 255, 128 * 255 + 255)


def test_convolutions_equal_an_independent_counter():
    model = detector().eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 96, 96, device="meta"))
    convolutions = sum(layer.bflops for layer in profile(model, 96).layers if layer.type.startswith("conv"))
    assert_close(convolutions, counter.get_total_flops() / 1e9, rtol=1e-9, atol=0)


def test_floats_equal_the_models_state():
    model = detector()
    state = {name: t for name, t in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert profile(model, 64).floats == sum(tensor.numel() for tensor in state.values())


def test_grouped_convolution_uneven_maxout_and_average_pooling():
    model = nn.Sequential(ConvNormAct(3, 30, 3, stride=2, groups=3), Maxout(30, 7), nn.AvgPool2d(2, stride=1))
    conv, maxout, pool = profile(model, 8).layers
    assert (conv.type, maxout.type, pool.type) == ("conv 3x3/2 g3", "maxout", "avgpool 2x2")
    assert_close(conv.bflops * 1e9, 2.0 * 9 * 30 * 4 * 4)
    assert_close(maxout.bflops * 1e9, 30.0 * 4 * 4)
    assert_close(pool.bflops * 1e9, 4.0 * 7 * 3 * 3)


def test_module_that_runs_twice_costs_twice_and_holds_its_weights_once():
    shared = nn.Conv2d(3, 3, 1, bias=False)
    first, second = profile(nn.Sequential(shared, shared), 4).layers
    assert (first.floats, second.floats) == (9, 0)
    assert first.bflops == second.bflops > 0


def test_fused_model_costs_the_same_and_holds_one_bias_per_filter():
    model = Classifier(CSPPeleeNet(), 10).eval()
    before = profile(model, 64)
    for module in model.modules():
        if isinstance(module, ConvNormAct):
            module.fuse()
    after = profile(model, 64)
    assert (after.conv_weights, after.bflops) == (before.conv_weights, before.bflops)
    filters = sum(layer.output[0] for layer in after.layers if layer.name != "classify" and layer.conv_weights)
    assert before.floats - after.floats == 3 * filters


def test_model_stays_as_it_was():
    model = CSPPeleeNet().train()
    profile(model, 64)
    assert model.training
    assert next(model.parameters()).device.type == "cpu"
    assert not any(module._forward_hooks for module in model.modules())


def test_json_holds_totals_and_layers():
    counted = profile(detector(), 64)
    read = json.loads(json.dumps(counted.as_json()))
    totals = ["conv_weights", "floats", "parameters", "bflops", "cio", "conv_cio", "memory"]
    assert list(read) == ["size", *totals, "layers"]
    assert set(read["layers"][0]) == {"name", "type", "input", "output", "share", *totals} - {"conv_cio"}
    assert_close(sum(layer["share"] for layer in read["layers"]), 1.0)
    assert read["size"] == 64
    assert isinstance(read["floats"], int)
    assert isinstance(read["bflops"], float)
    assert sum(layer["floats"] for layer in read["layers"]) == read["floats"] == counted.floats


def test_table_is_aligned_and_ends_with_the_totals():
    counted = profile(detector(), 416)
    heading, *rows, totals = counted.table().splitlines()
    assert len(rows) == len(counted.layers)
    assert {len(line) for line in (heading, *rows)} == {len(heading)}
    first = "0 backbone.stem.conv conv 3x3/2 3x416x416 32x208x208 864 992 0.0748 1.5% 1,903,616 5,408"
    assert " ".join(rows[0].split()) == first
    assert totals.startswith(
        "input 416x416: 4.2701 M conv weights, 4.3082 M floats, 4.2895 M parameters, 5.0657 BFLOPs"
    )


def test_layers_outside_conv_norm_act_are_counted_with_their_norms():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 6, 3, padding=1, groups=3, bias=False))
    norm, conv = profile(model, 8).layers
    assert (norm.type, norm.bflops, norm.floats, norm.parameters, norm.conv_weights, norm.cio) == (
        "norm",
        0,
        12,
        6,
        0,
        0,
    )
    assert (conv.type, conv.conv_weights, conv.cio) == ("conv 3x3 g3", 54, 3 * 64 + 6 * 64)


def test_a_linear_layer_costs_what_the_convolution_of_a_single_place_does():
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False), nn.BatchNorm1d(5))
    layer, norm = profile(linear, 2).layers
    (convolution,) = profile(nn.Sequential(nn.Conv2d(12, 5, 1, bias=False)), 1, channels=12).layers
    assert (layer.type, layer.input, layer.output, layer.conv_weights) == ("linear", [12], [5], 0)
    assert (norm.type, norm.bflops, norm.floats, norm.parameters, norm.cio) == ("norm", 0, 20, 10, 0)
    for quantity in ("floats", "parameters", "bflops", "cio", "memory"):
        assert getattr(layer, quantity) == getattr(convolution, quantity), quantity


def test_a_layer_called_by_name_and_a_module_of_two_inputs_are_counted():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, images):
            return self.first(input=images) + self.second(images)

    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.sum = Sum()

        def forward(self, images):
            return self.sum(images, 2 * images)

    class Sum(Net):
        def forward(self, x, y):
            return self.first(x) + self.second(y)

    for model in (Net(), Holder()):
        first, second = profile(model, 4).layers
        assert (first.input, first.floats, second.floats) == ([3, 4, 4], 16, 112)


def test_parameters_are_pytorchs():
    model = detector()
    assert profile(model, 64).parameters == sum(p.numel() for p in model.parameters())


def test_compconv_is_counted_by_its_parts():
    layer = ConvNormAct(256, 256, 3)
    layer.conv = CompConv(256, 256)
    counted = profile(layer, 8, channels=256)
    assert counted.floats == sum(p.numel() for p in layer.conv.parameters()) + 4 * 256
    assert [row.type for row in counted.layers] == ["conv 3x3", "conv 3x3", "conv 3x3", "norm"]


@pytest.mark.parametrize(("name", "cio", "conv_cio"), [("ResNeXt50", 34.4, 32.97), ("CSPResNeXt50", 32.6, 31.20)])
def test_convolutional_input_output_is_that_of_fig_8(name, cio, conv_cio):
    counted = profile(meta(lambda: Classifier(BACKBONES.build({"name": name}), 1000)), 256)
    near(counted.cio / 1e6, cio, digits=1)
    assert_close(counted.cio / 1e6, cio, rtol=0, atol=0.05)
    near(counted.conv_cio / 1e6, conv_cio, digits=2)


def dense_block(channels, growth, layers):
    """Dense layers of a single convolution, as section 3.1 of the paper counts them."""

    class Layer(nn.Module):
        def __init__(self, in_channels):
            super().__init__()
            self.conv = ConvNormAct(in_channels, growth, 3)

        def forward(self, x):
            return torch.cat([x, self.conv(x)], dim=1)

    return nn.Sequential(*(Layer(channels + i * growth) for i in range(layers)))


@pytest.mark.parametrize(("c", "d", "m"), [(64, 32, 4), (128, 16, 7), (32, 8, 1)])
def test_dense_blocks_have_the_input_output_of_section_3_1(c, d, m):
    """c*m + (m^2 + m)*d/2 elements per place, and with half of the channels ((c*m) + (m^2 + m)*d)/2.

    They count what each dense layer reads and writes, without the partial block's split and transition.
    """
    size = 8
    whole = profile(meta(dense_block, c, d, m), size, channels=c)
    assert whole.cio == size * size * (c * m + (m * m + m) * d // 2)
    partial = meta(
        CrossStagePartial, c, c // 2, c // 2, dense_block(c // 2, d, m), c // 2 + m * d, "first", split="slice"
    )
    assert profile(partial, size, channels=c).cio == size * size * (c * m + (m * m + m) * d) // 2


@pytest.mark.parametrize("size", [0, -32, 100, 417])
def test_size_off_the_stride_is_refused(size):
    with pytest.raises(UserError, match=f"input size is {size} px; it must be a positive multiple .* stride, 32"):
        profile(meta(CSPPeleeNet), size)


@pytest.mark.parametrize("stray", [nn.LayerNorm(4), nn.PReLU(3)])
def test_parameters_that_no_rule_counts_are_refused(stray):
    with pytest.raises(UserError, match=r"cannot count 1\.weight"):
        profile(nn.Sequential(nn.Conv2d(3, 3, 1), stray), 4)


def test_layer_that_never_runs_is_refused():
    model = nn.Conv2d(3, 3, 1)
    model.forgotten = nn.Conv2d(3, 3, 1)
    holder = nn.Sequential(model)
    holder.forward = lambda x: x
    with pytest.raises(UserError, match="does not run them"):
        profile(holder, 4)


def test_a_network_of_a_cfg_is_counted_like_our_own_of_the_same_layers(tmp_path):
    from detect import config, darknet
    from detect.exporters.darknet import write_darknet
    from detect.exporters.formats import Request
    from detect.weights.files import Weights

    settings = config.load(ROOT / "configs" / "yolov3_tiny.yaml", needs_data=False)
    settings.input.size = 96
    ours = config.build_model(settings, 3)
    model = Weights.of(ours, settings, [{"id": i, "name": str(i)} for i in range(3)], tmp_path)
    _, cfg, _ = write_darknet(tmp_path / "net.weights", model, Request())
    counted, expected = profile(darknet.load(cfg), 96), profile(ours, 96)
    assert (counted.floats, counted.conv_weights, counted.cio) == (expected.floats, expected.conv_weights, expected.cio)
    assert_close(counted.bflops, expected.bflops, rtol=1e-12, atol=0)


def test_connected_layers_of_a_cfg_are_counted(tmp_path):
    from detect import darknet

    path = tmp_path / "net.cfg"
    convolution = "[convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
    connected = "[connected]\nbatch_normalize=1\noutput=10\nactivation=linear\n"
    path.write_text(f"[net]\nwidth=32\nheight=32\nchannels=3\n{convolution}{connected}")
    counted = profile(darknet.load(path), 32)
    assert [layer.type for layer in counted.layers] == ["conv 3x3/2", "linear", "norm"]
    assert counted.floats == 8 * 27 + 8 + 8 * 16 * 16 * 10 + 4 * 10
    assert counted.layers[1].bflops == 2 * 2048 * 10 / 1e9
