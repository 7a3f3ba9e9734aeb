"""The switch that replaces the 3x3 convolutions of any backbone: `conv: {name: CompConv, c0: 128}`."""

from torch import nn

import detect.models.compconv  # noqa: F401  fills CONVOLUTIONS
from detect.models.registry import BACKBONES, CONVOLUTIONS


@BACKBONES.option_of_all
def conv(backbone, spec):
    """Replace every plain 3x3 convolution of `backbone`, in place, by the convolution that `spec` names.

    Grouped and dilated convolutions stay, and so does one that reads the image: compressed, it would cost more.

    Args:
        spec: `{"name": "CompConv", option: value, ...}`.

    Raises:
        UserError, ValueError: the specification names no convolution or an unknown option.
    """
    if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
        raise ValueError(f"conv is '{spec}'; it must be a convolution with its name, like {{name: CompConv, c0: 128}}")
    for parent in list(backbone.modules()):
        for name, child in parent.named_children():
            if _is_plain_3x3(child):
                size = {"kernel_size": 3, "stride": child.stride[0]}
                channels = {"in_channels": child.in_channels, "out_channels": child.out_channels}
                setattr(parent, name, CONVOLUTIONS.build(spec, **channels, **size))


def _is_plain_3x3(module):
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == (3, 3)
        and module.stride[0] == module.stride[1]
        and module.groups == 1
        and module.dilation == (1, 1)
        and module.in_channels > 3
    )
