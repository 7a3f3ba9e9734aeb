"""Every backbone keeps the contract: a pyramid of the channels and strides it shows, in any mode and memory format.

The golden numbers lie in tests/golden, one file for each module of detect/models/backbones. When a change of a model's
output is wanted, record them anew and commit the files with the reason::

    RECORD_GOLDEN=1 python -m pytest tests/models/test_backbones.py
"""

import copy
import inspect

import pytest
import torch
from torch.testing import assert_close

from detect.errors import PartError
from detect.models.classifier import Classifier
from detect.models.registry import BACKBONES
from tests.models.seeded import check_golden, randomise_norms, statistics

# small enough to run in numbers; the larger sisters are built from the same tables and counted by tests/analysis
LARGE = {"VoVNet57", "VoVNet99", "VoVNetV2-57", "VoVNetV2-99", "CSPDarknet53", "CSPDenseNet201"}
SPECIFICATIONS = {name: {"name": name} for name in BACKBONES.names() if name not in {"Timm", *LARGE}}
SPECIFICATIONS |= {
    "CSPResNet50-elastic": {"name": "CSPResNet50", "elastic": True},
    "CSPDarknet53-elastic": {"name": "CSPDarknet53", "elastic": True},
    "CSPDenseNet201-elastic": {"name": "CSPDenseNet201", "elastic": True},
    "PeleeNet-SE-mish": {"name": "PeleeNet", "squeeze_excite": True, "activation": "mish"},
    "PPLCNet-plain": {"name": "PPLCNet", "scale": 0.25, "h_swish": False, "large_kernel": [],
                      "squeeze_excite": [], "wide_classifier": False},
    "VoVNetV2-39-timm": {"name": "VoVNetV2-39", "attention": "last"},
    "ResNet10-CompConv": {"name": "ResNet10", "conv": {"name": "CompConv", "c0": 64}},
}  # fmt: skip


@pytest.fixture(scope="module", params=SPECIFICATIONS)
def named(request):
    """(name, seeded backbone in eval mode)"""
    torch.manual_seed(0)
    backbone = BACKBONES.build(SPECIFICATIONS[request.param])
    randomise_norms(backbone)
    return request.param, backbone.eval()


def images(height=64, width=64, batch=1):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def family(backbone):
    return inspect.getmodule(type(backbone)).__name__.rpartition(".")[2]


def test_pyramid_has_the_channels_and_strides_it_shows(named):
    _, backbone = named
    assert backbone.strides == (4, 8, 16, 32)
    with torch.no_grad():
        pyramid = backbone(images(64, 96, batch=2))
    assert [tuple(x.shape) for x in pyramid] == [
        (2, c, 64 // s, 96 // s) for c, s in zip(backbone.channels, backbone.strides, strict=True)
    ]


def test_maps_equal_the_recorded_ones(named):
    name, backbone = named
    with torch.no_grad():
        pyramid = backbone(images())
    levels = dict(zip(("C2", "C3", "C4", "C5"), pyramid, strict=True))
    check_golden(family(backbone), {f"{name} {level}": statistics(x) for level, x in levels.items()})


def test_channels_last_gives_the_same_maps(named):
    _, backbone = named
    with torch.no_grad():
        expected = backbone(images(32, 64))
        last = copy.deepcopy(backbone).to(memory_format=torch.channels_last)
        found = last(images(32, 64).contiguous(memory_format=torch.channels_last))
    for x, y in zip(found, expected, strict=True):
        assert_close(x, y, rtol=1e-3, atol=1e-4 * y.abs().max().item())


def test_torch_export_gives_the_same_maps(named):
    _, backbone = named
    program = torch.export.export(backbone, (images(),), strict=False).module()
    with torch.no_grad():
        for x, y in zip(program(images()), backbone(images()), strict=True):
            assert_close(x, y, rtol=1e-4, atol=1e-4 * y.abs().max().item())


def test_every_parameter_learns_and_training_normalises_by_the_batch(named):
    _, backbone = named
    model = Classifier(copy.deepcopy(backbone), 3).train()
    logits = model(images(batch=2) * 2)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    silent = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()
    ]
    assert not [name for name in silent if "squeeze" not in name]  # a ReLU may silence the few units of a squeeze
    moved = [
        norm for norm in model.backbone.modules() if isinstance(norm, torch.nn.BatchNorm2d) and norm.num_batches_tracked
    ]
    assert len(moved) == sum(isinstance(module, torch.nn.BatchNorm2d) for module in backbone.modules())


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"name": "VoVNet39", "attention": "last"}, "attention is eSE's, which only V2 has; remove it"),
        ({"name": "VoVNetV2-39", "attention": "some"}, "attention is 'some'; it must be 'every' or 'last'"),
        ({"name": "PPLCNet", "large_kernel": [7, 14]}, r"large_kernel is \[7, 14\]; it must be a list of blocks"),
        ({"name": "PPLCNet", "squeeze_excite": True}, "squeeze_excite is True; it must be a list of blocks, from 1"),
    ],
)
def test_an_option_that_would_change_nothing_or_fits_nothing_is_refused(spec, sentence):
    with pytest.raises(PartError, match=sentence):
        BACKBONES.build(spec)


@pytest.mark.parametrize(("option", "kernel_size"), [("large_kernel", 5), ("squeeze_excite", 3)])
def test_positions_of_pplcnets_ablations_are_numbers_of_blocks(option, kernel_size):
    off = {"large_kernel": [], "squeeze_excite": []}
    backbone = BACKBONES.build({"name": "PPLCNet", "scale": 0.25, **off, option: [1, 7, 13]})
    blocks = [block for stage in backbone.stages for block in stage]
    changed = [
        number
        for number, (depthwise, attention, _) in enumerate(blocks, start=1)
        if depthwise.conv.kernel_size == (5, 5) or not isinstance(attention, torch.nn.Identity)
    ]
    assert len(blocks) == 13 and changed == [1, 7, 13]
    assert blocks[0][0].conv.kernel_size == (kernel_size, kernel_size)


def test_every_backbone_is_covered():
    assert {spec["name"] for spec in SPECIFICATIONS.values()} | LARGE | {"Timm"} == set(BACKBONES.names())
