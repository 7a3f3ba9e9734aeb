"""Any convolutional model of the library timm as a backbone (extra `timm`)."""

import re

import torch
from torch import nn

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
        ValueError: timm is not installed, has no such model or cannot fetch its weights, or the model has no maps at
            these strides.
    """

    strides = STRIDES

    def __init__(self, in_channels=3, model="mobilenetv3_large_100", pretrained=False):
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise ValueError("timm is not installed; pip install 'csp-detect[timm]'") from error
        if not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)?", model):  # 'hf-hub:...' would name a stranger's code and place
            raise ValueError(f"'{model}' is no name of timm's list of models")
        on_meta = torch.empty(0).device.type == "meta"
        try:
            self.net = timm.create_model(
                model, pretrained=pretrained and not on_meta, features_only=True, in_chans=in_channels
            )
        except OSError as error:
            raise ValueError(
                f"timm cannot fetch the weights of {model}; go online once, or set pretrained: false"
            ) from error
        found = self.net.feature_info.reduction()
        if not set(STRIDES) <= set(found):
            raise ValueError(f"{model} has maps at the strides {found}; a backbone needs {list(STRIDES)}")
        self.indices = [len(found) - 1 - found[::-1].index(stride) for stride in STRIDES]
        self.channels = tuple(self.net.feature_info.channels()[i] for i in self.indices)
        about = getattr(self.net, "default_cfg", {})
        self.mean, self.std = about.get("mean", (0.0,) * in_channels), about.get("std", (1.0,) * in_channels)

    def forward(self, images):
        mean, std = (images.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        maps = self.net((images - mean) / std)
        return [maps[i] for i in self.indices]
