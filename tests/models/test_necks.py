"""Every neck accepts every backbone, with 2 to 4 scales and channels that do not divide evenly.

Golden numbers: tests/golden/necks.json, recorded anew with RECORD_GOLDEN=1 when a change of the output is wanted.
"""

import pytest
import torch
from torch.testing import assert_close

from detect.errors import UserError
from detect.models.detector import build_detector
from detect.models.heads import YOLOv3
from detect.models.layers import SAM
from detect.models.registry import BACKBONES, NECKS
from tests.models.seeded import check_golden, randomise_norms, statistics

WIDTHS = {2: (128, 256), 3: (64, 128, 256), 4: (32, 64, 128, 256)}
OPTIONS = {
    "FPN": ({}, {"spp": True}, {"lateral": True}),
    "TinyFPN": ({},),
    "PRN": ({},),
    "GFM": ({}, {"sam": True}),
    "CEM": ({}, {"sam": True}),
    "EFM": ({}, {"sam": True}, {"spp": True}),
    "PANet": ({}, {"sam": True}, {"spp": False}),
}
ODD_CHANNELS, STRIDES = (17, 35, 101, 333), (4, 8, 16, 32)
CASES = [(neck, options, scales) for neck in OPTIONS for options in OPTIONS[neck] for scales in WIDTHS]
# with every backbone: all options at three scales, the plain neck at two and four
PAIRS = [(neck, options, scales) for neck, options, scales in CASES if scales == 3 or not options]


def pyramid_of(channels, height=64, width=96, requires_grad=False):
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(2, c, height // s, width // s, generator=generator).requires_grad_(requires_grad)
        for c, s in zip(channels, STRIDES, strict=True)
    ]


def seeded_neck(name, channels=ODD_CHANNELS, **options):
    torch.manual_seed(0)
    neck = NECKS.build({"name": name, **options}, in_channels=channels, strides=STRIDES)
    randomise_norms(neck)
    return neck.eval()


def test_every_neck_is_covered():
    assert set(OPTIONS) == set(NECKS.names())


@pytest.mark.parametrize("backbone", [name for name in BACKBONES.names() if name != "Timm"])
def test_every_backbone_goes_with_every_neck(backbone):
    with torch.device("meta"):
        backbone = BACKBONES.build({"name": backbone}).eval()
        pyramid = backbone(torch.empty(1, 3, 96, 160))
        for name, options, scales in PAIRS:
            spec = {"name": name, "widths": WIDTHS[scales], **options}
            neck = NECKS.build(spec, in_channels=backbone.channels, strides=backbone.strides).eval()
            head = YOLOv3(neck.channels, neck.strides, 3, anchors=[[[16, 16]]] * scales)
            raw = head(neck(pyramid))
            assert [tuple(x.shape) for x in raw] == [(1, 8, 96 // s, 160 // s) for s in STRIDES[-scales:]]


@pytest.mark.parametrize(("backbone", "neck"), [
    ("PPLCNet", "EFM"), ("PPLCNet", "PANet"), ("VoVNetV2-19SlimDW", "GFM"), ("CSPDenseNetbRef", "CEM"),
    ("CSPPeleeNet", "PRN"), ("DarknetTiny", "TinyFPN"), ("ResNet10", "FPN"), ("CSPResNet10", "EFM"),
])  # fmt: skip
def test_pairs_give_raw_maps_and_gradients(backbone, neck):
    torch.manual_seed(0)
    widths = {"widths": [128, 128, 256]}
    parts = {"backbone": {"name": backbone}, "neck": {"name": neck, **widths}, "head": {"name": "YOLOv3"}}
    model = build_detector(parts, num_classes=3)
    raw = model(torch.rand(2, 3, 64, 96))
    assert [tuple(x.shape) for x in raw] == [(2, 24, 64 // s, 96 // s) for s in (8, 16, 32)]
    sum(x.square().mean() for x in raw).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("name", "options", "scales"), CASES)
def test_uneven_channels_give_the_maps_a_neck_shows(name, options, scales):
    neck = seeded_neck(name, widths=WIDTHS[scales], **options)
    with torch.no_grad():
        fused = neck(pyramid_of(ODD_CHANNELS))
    assert neck.strides == STRIDES[-scales:]
    assert [tuple(x.shape) for x in fused] == [
        (2, c, 64 // s, 96 // s) for c, s in zip(neck.channels, neck.strides, strict=True)
    ]
    assert all(x.isfinite().all() for x in fused)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_maps_equal_the_recorded_ones(name):
    found = {}
    for options in OPTIONS[name]:
        neck = seeded_neck(name, **options)
        with torch.no_grad():
            fused = neck(pyramid_of(ODD_CHANNELS))
        label = " ".join([name, *options])
        found |= {f"{label} P{stride}": statistics(x) for stride, x in zip(neck.strides, fused, strict=True)}
    check_golden("necks", found)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_channels_last_and_export_give_the_same_maps(name):
    neck, pyramid = seeded_neck(name), pyramid_of(ODD_CHANNELS)
    program = torch.export.export(neck, (pyramid,), strict=False).module()
    with torch.no_grad():
        expected = neck(pyramid)
        exported = program(pyramid)
        last = neck.to(memory_format=torch.channels_last)
        found = last([x.contiguous(memory_format=torch.channels_last) for x in pyramid])
    for x, y, z in zip(expected, found, exported, strict=True):
        tolerance = 1e-4 * x.abs().max().item()
        assert_close(y, x, rtol=1e-3, atol=tolerance)
        assert_close(z, x, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "reaches_back"),  # the levels C3, C4, C5 that the finest and the coarsest of three scales depend on
    [
        ("FPN", ("C3 C4 C5", "C5")),
        ("TinyFPN", ("C3 C4 C5", "C5")),
        ("PRN", ("C3 C4 C5", "C5")),
        ("PANet", ("C3 C4 C5", "C3 C4 C5")),
        ("GFM", ("C2 C3 C4 C5", "C2 C3 C4 C5")),
        ("CEM", ("C4 C5", "C4 C5")),
        ("EFM", ("C2 C3 C4 C5", "C2 C3 C4 C5")),
    ],
)
def test_scales_see_the_levels_that_figure_6_connects(name, reaches_back):
    neck = seeded_neck(name, widths=WIDTHS[3])
    pyramid = pyramid_of(ODD_CHANNELS, requires_grad=True)
    fused = neck(pyramid)
    for x, expected in zip((fused[0], fused[-1]), reaches_back, strict=True):
        gradients = torch.autograd.grad(x.sum(), pyramid, retain_graph=True, allow_unused=True)
        seen = [f"C{i + 2}" for i, g in enumerate(gradients) if g is not None and g.abs().sum() > 0]
        assert " ".join(seen) == expected


def test_panets_attention_sits_at_the_entrance_of_each_prediction_branch():
    neck = seeded_neck("PANet", sam=True)
    entrances = [neck.fuse_up[-1][0], *(fuse[0] for fuse in neck.fuse_down)]
    assert all(isinstance(module, SAM) for module in entrances)
    assert [module.attention.conv.in_channels for module in entrances] == [256, 512, 1024]
    assert sum(isinstance(module, SAM) for module in neck.modules()) == 3


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_a_wrong_number_of_widths_is_refused(name):
    with pytest.raises(UserError, match=f"neck {name}: widths has 5 numbers; {name} takes one for each of its 2 to 4"):
        seeded_neck(name, widths=(8, 16, 32, 64, 128))
