"""Whatever value of its type an option is given: a part, or an error that names the option. Never another exception.

The configuration's checker sees to the types: an option is of the type of its default; a number or a word may also be
a list; a default of None takes anything.
"""

import pytest
import torch
from torch import nn

from detect.errors import PartError
from detect.models import detector  # noqa: F401  fills the registries
from detect.models.registry import BACKBONES, CONVOLUTIONS, HEADS, NECKS

PYRAMID = {"in_channels": (16, 32, 64, 128), "strides": (4, 8, 16, 32)}
WIRING = {
    "backbone": {},
    "neck": PYRAMID,
    "head": {"in_channels": (32, 64, 64), "strides": (8, 16, 32), "num_classes": 3},
    "convolution": {"in_channels": 256, "out_channels": 96, "kernel_size": 3, "stride": 2},
}
HUGE = 2**63 - 1  # the largest number that a configuration may hold
WHOLE = [-HUGE, -3, -1, 0, 1, 2, 3, 7, 4096, 4097, 10**9, HUGE]
REAL = [-1e308, -1.0, -1e-308, 0.0, 1e-308, 1e-9, 0.1, 0.5, 1 - 1e-9, 1.0, 2.0, 20.0, 21.0, 1e9, 1e308]
WORDS = [
    "", " ", "x", "None", "relu ", "Leaky_ReLU", "__class__", "../x", "hf-hub:a/b", "a" * 500, "%s{0}", "é",
    "coco6_tiny", "lcnet_050", "lcnet_050.no_such_tag", "lcnet_051", "swin_tiny_patch4_window7_224",
]  # fmt: skip
NESTED = [
    [], [[]], [[[]]], [None], ["relu"], [["a", "b"]], [{}], [True], [0], [[0, 0]], [[1, 2]], [[-1, 2]] * 3,
    [[1e308, 1]] * 3, [[1, 2, 3]] * 3, [[10, 13]] * 2, [[10, 13]] * 3, [[10, 13]] * 8, [[10, 13]] * 9,
    [[10, 13]] * 1000, [[[10, 13]]] * 2, [[[10, 13]]] * 3, [[[10, 13]], [[1, 2], [3, 4]], []],
    [[[[10, 13]]]] * 3, [[10, 13], [[10, 13]]],
]  # fmt: skip
LISTS_OF_WHOLE = [
    [], [64], [0], [8, 16], [8, 16, 32], [8, 16, 32, 64], [8] * 5, [8] * 1000, [2, 2, 2], [3, 3, 3], [2, 3], [1, 1],
    [0, 0, 0], [-1, 8, 8], [8, -HUGE], [8, HUGE], [10**9] * 3, [4096] * 4, [4097, 8], [64, 2], [2, 4096, 2],
]  # fmt: skip
LISTS_OF_REAL = [
    [],
    [0.5],
    [1.0] * 2,
    [1.0] * 3,
    [1.05, 1.1, 1.2],
    [0.0] * 3,
    [-1.0, 1.0, 1.0],
    [1e308] * 3,
    [1.0] * 99,
]
VALUES = {
    bool: [False, True], int: WHOLE, float: REAL + LISTS_OF_REAL, str: WORDS + NESTED, tuple: LISTS_OF_WHOLE,
}  # fmt: skip
ANYTHING = [
    True, False, 0, 1, HUGE, 0.5, "", "CompConv", [], ["CompConv"], [{"name": "CompConv"}], {}, {"name": None},
    {"name": ["CompConv"]}, {"name": ""}, {"name": "CompCov"}, {"name": "CompConv"}, {"c0": 4}, {"name": {}},
    {"name": "CompConv", "in_channels": 3}, {"name": "CompConv", "c_0": 3}, {"name": "CompConv", "stride": 2},
    *({"name": "CompConv", "c0": value} for value in [*WHOLE, 0.5, 1e308, "", "4", None, True, [], [4], {}]),
]  # fmt: skip
OPTIONS = [
    (registry, name, option)
    for registry in (BACKBONES, NECKS, HEADS, CONVOLUTIONS)
    for name in registry.names()
    for option in registry.options(name)
    if option != "conv"
]


@pytest.fixture(autouse=True)
def weights_without_values(monkeypatch):
    """What a constructor draws takes half of its time and decides nothing here."""
    for name in ("kaiming_normal_", "kaiming_uniform_", "uniform_", "ones_", "zeros_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


def check(registry, name, option, value):
    """Build a part on the meta device, where nothing takes memory; whether it could be."""
    if name == "Timm":
        pytest.importorskip("timm", reason="needs the extra timm")
    try:
        with torch.device("meta"):
            part = registry.build({"name": name, option: value}, **WIRING[registry.role])
    except PartError as error:
        assert (error.section, error.option) == (registry.role, option), value
        assert str(error) == error.sentence and "\n" not in error.sentence
        return False
    assert isinstance(part, nn.Module)
    return True


@pytest.mark.parametrize(("registry", "name", "option"), OPTIONS)
def test_any_value_gives_a_part_or_an_error_that_names_the_option(registry, name, option):
    for value in VALUES[type(registry.default(name, option))]:
        check(registry, name, option, value)


def test_any_value_of_the_switch_gives_a_part_or_an_error_that_names_it():
    built = [value for value in ANYTHING if check(BACKBONES, "VGG16", "conv", value)]
    assert all(type(value) is dict and value["name"] == "CompConv" for value in built)
    assert [value["c0"] for value in built if "c0" in value] == [1, 2, 3, 7, 4096, 4097, 10**9, HUGE, True]


@pytest.mark.parametrize("name", BACKBONES.names())
def test_a_mistake_in_the_switch_is_named_with_every_backbone(name):
    assert not check(BACKBONES, name, "conv", {"name": "CompConv", "c_0": 128})  # PPLCNet has nothing to replace


@pytest.mark.parametrize("name", NECKS.names())
def test_a_neck_of_a_billion_channels_is_refused(name):
    assert not check(NECKS, name, "widths", [10**9] * 2)
    assert check(NECKS, name, "widths", [4096] * 2)
