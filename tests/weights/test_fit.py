"""Tensors fit a network by names, shapes and kinds of numbers, or what is wrong is named."""

import pytest
import torch
from torch import nn

from detect.weights.fit import misfit


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def test_a_state_fits_in_any_number_of_bits():
    state = network().state_dict()
    assert misfit(state, network()) == misfit(dict(state), network().to(torch.device("meta"))) == ""
    assert misfit({n: t.half() if t.is_floating_point() else t for n, t in state.items()}, network()) == ""


SHAPE = (4, 3, 1, 1)


@pytest.mark.parametrize(
    ("name", "wrong", "problem"),
    [
        ("0.weight", torch.zeros(4, 3), "has the shape [4, 3], not [4, 3, 1, 1]"),
        ("0.weight", torch.zeros(()), "has the shape [], not"),
        ("0.weight", torch.zeros((1,) * 20), "has the shape [1, 1, 1, 1, 1, 1, 1, 1], not"),
        ("0.weight", torch.zeros(SHAPE, dtype=torch.complex64), "holds complex64 numbers"),
        ("0.weight", torch.zeros(SHAPE, dtype=torch.int8), "holds int8 numbers"),
        ("0.weight", torch.zeros(SHAPE, dtype=torch.float8_e4m3fn), "holds float8_e4m3fn numbers"),
        ("0.weight", torch.zeros(SHAPE, device="meta"), "holds float32 numbers"),
        ("0.weight", torch.zeros(SHAPE).to_sparse(), "holds float32 numbers"),
        ("0.weight", [0.0], "is no tensor"),
        ("1.num_batches_tracked", torch.zeros(0, dtype=torch.int64), "has the shape [0], not []"),
        ("1.num_batches_tracked", torch.tensor(1.0), "holds float32 numbers"),
        ("2.weight", torch.zeros(1), "is not part of it"),
    ],
)
def test_what_does_not_fit_is_named(name, wrong, problem):
    assert misfit(network().state_dict() | {name: wrong}, network()).startswith(f"'{name}' {problem}")


def test_what_is_missing_or_no_state_is_named():
    state = dict(network().state_dict())
    del state["0.bias"]
    assert misfit(state, network()) == "'0.bias' is missing"
    assert misfit(5, network()) == "it has no tensors by name"
