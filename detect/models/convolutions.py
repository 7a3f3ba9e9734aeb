"""The switch that replaces the 3x3 convolutions of any backbone or neck: `conv: {name: CompConv, c0: 128}`."""

import torch
from torch import nn

import detect.models.compconv  # noqa: F401  fills CONVOLUTIONS
from detect.errors import OptionError
from detect.models.registry import BACKBONES, CONVOLUTIONS, NECKS


@NECKS.option_of_all
@BACKBONES.option_of_all
def conv(part: nn.Module, spec: object) -> None:
    """Replace every plain 3x3 convolution of `part`, in place, by the convolution that `spec` names.

    Grouped and dilated convolutions stay, and so does one that reads the image: compressed, it would cost more.

    Args:
        spec: `{"name": "CompConv", option: value, ...}`.

    Raises:
        OptionError, PartError: the specification names no convolution, an option of it is unknown or does not fit, or
            the part has no convolution to replace.
    """
    if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
        raise OptionError(
            "conv", f"conv is '{spec}'; it must be a convolution with its name, like {{name: CompConv, c0: 128}}"
        )
    with torch.device("meta"):  # a mistake is one even where the part has nothing to replace
        CONVOLUTIONS.build(spec, in_channels=4, out_channels=4, kernel_size=3, stride=1)
    found = [
        (parent, name, child)
        for parent in part.modules()
        for name, child in parent.named_children()
        if _is_plain_3x3(child)
    ]
    if not found:
        sentence = f"it has no plain 3x3 convolution that a {spec['name']} could replace; remove conv"
        raise OptionError("conv", sentence)
    for parent, name, child in found:
        size = {"kernel_size": 3, "stride": child.stride[0]}
        channels = {"in_channels": child.in_channels, "out_channels": child.out_channels}
        setattr(parent, name, CONVOLUTIONS.build(spec, **channels, **size))


def _is_plain_3x3(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == (3, 3)
        and module.stride[0] == module.stride[1]
        and module.groups == 1
        and module.dilation == (1, 1)
        and module.in_channels > 3
    )
