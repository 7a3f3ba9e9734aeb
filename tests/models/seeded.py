"""Models with numbers as after training, and golden numbers of their maps."""

import json
import os
from pathlib import Path

from torch import nn
from torch.testing import assert_close

GOLDEN = Path(__file__).parents[1] / "golden"


def randomise_norms(model):
    """Scales and statistics as uneven as after training."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)


def statistics(x):
    """Mean, spread and extremes of a map."""
    return {"mean": x.mean().item(), "std": x.std().item(), "min": x.min().item(), "max": x.max().item()}


def check_golden(name, found):
    """Compare `found`, statistics by key, with tests/golden/NAME.json; with RECORD_GOLDEN set, record them there."""
    path = GOLDEN / f"{name}.json"
    golden = json.loads(path.read_text()) if path.exists() else {}
    if os.environ.get("RECORD_GOLDEN"):
        golden |= {key: {k: float(f"{x:.6g}") for k, x in values.items()} for key, values in found.items()}
        path.write_text(json.dumps(golden, indent=2, sort_keys=True) + "\n")
    for key, values in found.items():
        # convolutions sum in another order on another CPU: relative to the map's own range
        tolerance = 1e-4 * max(abs(golden[key]["min"]), abs(golden[key]["max"]))
        assert_close(values, golden[key], rtol=1e-4, atol=tolerance, msg=lambda m, key=key: f"{key}: {m}")
