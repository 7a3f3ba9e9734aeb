"""Frozen parts neither learn nor adapt their statistics; everything else does."""

import pytest
import torch
from torch import nn

from detect.engine.freeze import freeze
from detect.errors import UserError


class TwoParts(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 2, 1))

    def forward(self, images):
        return self.head(self.backbone(images))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TwoParts().train()


def changed_by_a_step(model):
    """Names of the entries of the state that one step of SGD changes."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.rand(2, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_a_module_stands_for_everything_in_it(model):
    freeze(model, ["backbone"])
    assert {name.split(".")[0] for name in changed_by_a_step(model)} == {"head"}
    assert not model.backbone[1].training
    assert model.head[1].training


def test_wildcards_and_parameters_can_be_named(model):
    freeze(model, ["*.1", "head.3.bias"])  # both norms
    changed = changed_by_a_step(model)
    assert changed == {"backbone.0.weight", "backbone.0.bias", "head.0.weight", "head.0.bias", "head.3.weight"}


def test_nothing_named_nothing_frozen(model):
    freeze(model, [])
    assert all(module.training for module in model.modules())
    assert "backbone.1.running_mean" in changed_by_a_step(model)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["backbon"], "train.freeze: 'backbon' names no part of the model; did you mean 'backbone'\\?"),
        (["backbone", "neck.*"], "'neck.\\*' names no part of the model"),
        (["head", "back*"], "train.freeze: head, back\\* leaves nothing to train"),
    ],
)
def test_a_name_that_fits_nothing_or_everything_is_one_sentence(model, patterns, message):
    with pytest.raises(UserError, match=message):
        freeze(model, patterns)
