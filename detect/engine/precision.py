"""The number format of a training's forward pass."""

import torch

from detect.errors import UserError


def autocast_dtype(name: str, device: torch.device) -> torch.dtype:
    """torch dtype of the forward pass for the setting `train.precision`.  Raises UserError."""
    if name == "fp16" and device.type != "cuda":
        raise UserError(f"train.precision: fp16 needs a CUDA device; use auto, bf16 or fp32 on {device.type}")
    if name == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
