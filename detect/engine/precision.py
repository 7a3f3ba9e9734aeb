"""The number format of a training's forward pass."""

import torch

from detect.errors import UserError


def autocast_dtype(name: str, device: torch.device) -> torch.dtype:
    """torch dtype of the forward pass for the setting `train.precision`.  Raises UserError."""
    if device.type != "cuda":
        if name in ("bf16", "fp16"):
            raise UserError(f"train.precision: {name} needs a CUDA device; use auto or fp32 on {device.type}")
        return torch.float32
    if name == "auto":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
