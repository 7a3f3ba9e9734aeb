"""A backbone as a classifier."""

import pytest
import torch
from torch.testing import assert_close

from detect.models.backbones import CSPPeleeNet
from detect.models.classifier import Classifier


@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 96)])
def test_images_give_one_logit_per_class(height, width):
    model = Classifier(CSPPeleeNet(), 7).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 3, height, width)).shape == (2, 7)
    assert model.stride == 32


def test_logits_are_a_linear_map_of_the_mean_of_the_coarsest_level():
    torch.manual_seed(0)
    model = Classifier(CSPPeleeNet(), 5).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        mean = model.backbone(images)[-1].mean((2, 3))
        expected = mean @ model.classify.weight[:, :, 0, 0].T + model.classify.bias
        assert_close(model(images), expected)


def test_every_parameter_learns():
    torch.manual_seed(0)
    model = Classifier(CSPPeleeNet(), 5)
    torch.nn.functional.cross_entropy(model(torch.rand(2, 3, 64, 64)), torch.tensor([1, 3])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
