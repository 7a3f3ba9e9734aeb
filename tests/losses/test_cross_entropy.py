"""The losses of a probability, number by number."""

import math

import pytest
import torch
from torch.testing import assert_close
from torchvision.ops import sigmoid_focal_loss

from detect.errors import PartError
from detect.losses.cross_entropy import CROSS_ENTROPIES

LOG_HALF, LOG_3_4, LOG_1_4 = math.log(0.5), math.log(0.75), math.log(0.25)
HALF, THREE_QUARTERS = 0.0, math.log(3.0)  # logits of p = 1/2 and 3/4


@pytest.mark.parametrize(
    ("spec", "logit", "target", "cost"),
    [
        ({"name": "bce"}, HALF, 1.0, -LOG_HALF),
        ({"name": "bce"}, THREE_QUARTERS, 0.4, -0.4 * LOG_3_4 - 0.6 * LOG_1_4),
        ({"name": "focal"}, THREE_QUARTERS, 1.0, -0.25 * 0.25**2 * LOG_3_4),
        ({"name": "focal"}, THREE_QUARTERS, 0.0, -0.75 * 0.75**2 * LOG_1_4),
        ({"name": "focal", "gamma": 1, "alpha": 0.5}, THREE_QUARTERS, 1.0, -0.5 * 0.25 * LOG_3_4),
        ({"name": "quality_focal"}, THREE_QUARTERS, 0.25, -(0.5**2) * (0.25 * LOG_3_4 + 0.75 * LOG_1_4)),
        ({"name": "quality_focal"}, THREE_QUARTERS, 0.75, 0.0),
        ({"name": "quality_focal", "beta": 1}, THREE_QUARTERS, 0.0, -0.75 * LOG_1_4),
        ({"name": "varifocal"}, THREE_QUARTERS, 0.4, -0.4 * (0.4 * LOG_3_4 + 0.6 * LOG_1_4)),
        ({"name": "varifocal"}, THREE_QUARTERS, 0.0, -0.75 * 0.75**2 * LOG_1_4),
        ({"name": "varifocal", "alpha": 0.5, "gamma": 1}, HALF, 0.0, -0.5 * 0.5 * LOG_HALF),
    ],
)
def test_each_costs_what_its_equation_says(spec, logit, target, cost):
    loss = CROSS_ENTROPIES.build(spec)
    assert loss(torch.tensor([logit]), torch.tensor([target])).item() == pytest.approx(cost, abs=1e-6)


def test_focal_equals_torchvisions_between_0_and_1_too():
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(99, generator=generator), torch.rand(99, generator=generator)
    assert_close(CROSS_ENTROPIES.build({"name": "focal"})(logits, targets), sigmoid_focal_loss(logits, targets))


@pytest.mark.parametrize("spec", [
    *({"name": name} for name in CROSS_ENTROPIES.names()),
    {"name": "focal", "gamma": 0.5}, {"name": "quality_focal", "beta": 0.5}, {"name": "varifocal", "gamma": 0.5},
])  # fmt: skip
def test_wild_logits_stay_finite(spec):
    logits = torch.tensor([-100.0, -100.0, 100.0, 100.0, 0.0], requires_grad=True)
    cost = CROSS_ENTROPIES.build(spec)(logits, torch.tensor([0.0, 1.0, 0.0, 1.0, 0.3]))
    cost.sum().backward()
    assert cost.isfinite().all() and (cost >= 0).all() and logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"name": "focall"}, "unknown loss 'focall'; did you mean 'focal'?"),
        ({"name": "bce", "gamma": 2}, "bce has no option 'gamma'"),
        ({"name": "focal", "gamma": -1}, "gamma must be at least 0, not -1"),
        ({"name": "varifocal", "alpha": 2}, "alpha must be from 0 to 1, not 2"),
    ],
)
def test_what_does_not_fit_is_named(spec, sentence):
    with pytest.raises(PartError) as caught:
        CROSS_ENTROPIES.build(spec)
    assert sentence in str(caught.value)
