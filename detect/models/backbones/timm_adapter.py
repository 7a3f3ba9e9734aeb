"""Any convolutional model of the library timm as a backbone (extra `timm`)."""

import re

import torch
from torch import Tensor, nn

from detect.errors import OptionError
from detect.models.registry import BACKBONES

STRIDES = (4, 8, 16, 32)


@BACKBONES.register
class Timm(nn.Module):
    """Images -> pyramid C2..C5 of the timm model `model`, at strides 4, 8, 16, 32.

    The model gets its images normalised as it was trained on them. Pretrained weights are fetched by timm when a
    detector is built to be trained or a training is resumed, never when a configuration is checked or a checkpoint is
    loaded (both build on the meta device).

    Args:
        model: a name of timm's list, like `mobilenetv3_large_100`.
        pretrained: start from timm's weights.

    Raises:
        OptionError: timm is not installed, has no such model or cannot fetch its weights, or the model has no maps
            [B, C, H, W] at these strides.
    """

    strides = STRIDES

    def __init__(self, model: str = "mobilenetv3_large_100", pretrained: bool = False) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise OptionError(None, "timm is not installed; pip install 'csp-detect[timm]'") from error
        # 'hf-hub:...' would name a stranger's code and place
        if not isinstance(model, str) or not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)?", model):
            raise OptionError("model", f"'{model}' is no name of timm's list of models")
        on_meta = torch.empty(0).device.type == "meta"
        try:
            self.net = timm.create_model(model, pretrained=pretrained and not on_meta, features_only=True)
        except OSError as error:
            sentence = f"timm cannot fetch the weights of {model}; go online once, or set pretrained: false"
            raise OptionError("pretrained", sentence) from error
        except RuntimeError as error:  # how timm refuses a name
            raise OptionError("model", str(error).splitlines()[0]) from error
        found = self.net.feature_info.reduction()
        if not set(STRIDES) <= set(found):
            raise OptionError("model", f"{model} has maps at the strides {found}; a backbone needs {list(STRIDES)}")
        if getattr(self.net, "output_fmt", "NCHW") != "NCHW":
            raise OptionError("model", f"{model} has maps [B, H, W, C]; a backbone needs [B, C, H, W]")
        self.indices = [len(found) - 1 - found[::-1].index(stride) for stride in STRIDES]
        self.channels = tuple(self.net.feature_info.channels()[i] for i in self.indices)
        about = getattr(self.net, "default_cfg", {})
        self.mean, self.std = about.get("mean", (0.0,) * 3), about.get("std", (1.0,) * 3)

    def forward(self, images: Tensor) -> list[Tensor]:
        mean, std = (images.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        maps = self.net((images - mean) / std)
        return [maps[i] for i in self.indices]
