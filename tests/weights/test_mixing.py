"""Files of weights of one model are averaged number by number; others are refused."""

import dataclasses

import pytest
import torch
from torch.testing import assert_close

import detect
from detect.errors import UserError
from detect.inference.thresholds import Thresholds
from detect.weights.files import Weights, read, write_safetensors
from detect.weights.mixing import mixed
from tests.small_detector import seeing_everything

CATEGORIES = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


def weights_of(backbone, seed, categories=CATEGORIES, size=64):
    network, settings = seeing_everything(backbone, size, len(categories))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape, generator=generator))
            else:
                tensor.fill_(seed)  # batches that a norm has seen
    return Weights.of(network, settings, categories, f"{seed}.pt")


@pytest.fixture(scope="module")
def trained(small_backbone):
    thresholds = Thresholds((0.3, 0.4), 0.5, "9 images of val.json")
    return dataclasses.replace(weights_of(small_backbone, 1), thresholds=thresholds, training={"step": 3})


@pytest.fixture
def others(small_backbone, tmp_path):
    paths = [tmp_path / f"{seed}.safetensors" for seed in (2, 3)]
    for seed, path in zip((2, 3), paths, strict=True):
        write_safetensors(path, weights_of(small_backbone, seed))
    return paths


def test_each_number_is_the_mean_by_the_shares(trained, others):
    found = mixed(trained, {others[0]: 0.5, str(others[1]): 0.125})
    second, third = (read(path).tensors for path in others)
    for name, tensor in trained.tensors.items():
        expected = 0.375 * tensor + 0.5 * second[name] + 0.125 * third[name]
        assert_close(found.tensors[name], expected if tensor.is_floating_point() else tensor)
        assert_close(found.network.state_dict()[name], found.tensors[name])
    assert (found.categories, found.thresholds, found.training) == (trained.categories, None, None)


def test_nothing_is_left_of_weights_that_others_make_up(trained, others):
    found = mixed(trained, {others[0]: 1})
    name = next(name for name, tensor in trained.tensors.items() if tensor.is_floating_point())
    assert_close(found.tensors[name], read(others[0]).tensors[name])


@pytest.mark.parametrize("shares", [(0, 0.5), (-0.1, 0.5), (0.6, 0.5), (1.1, 0.1), (float("nan"), 0.5)])
def test_what_are_no_shares_is_refused(trained, others, shares):
    with pytest.raises(UserError, match="give numbers above 0, together at most 1"):
        mixed(trained, dict(zip(others, shares, strict=True)))


def test_another_model_or_other_classes_are_refused(trained, small_backbone, tmp_path):
    wrong = [{"id": 1, "name": "a"}, {"id": 2, "name": "c"}]
    write_safetensors(tmp_path / "classes.safetensors", weights_of(small_backbone, 2, wrong))
    with pytest.raises(UserError, match=r"classes\.safetensors: has other classes than 1\.pt"):
        mixed(trained, {tmp_path / "classes.safetensors": 0.5})
    more = [*CATEGORIES, {"id": 3, "name": "c"}]
    write_safetensors(tmp_path / "more.safetensors", weights_of(small_backbone, 2, more))
    with pytest.raises(UserError, match=r"more\.safetensors: is no training of the model in 1\.pt: .* has the shape"):
        mixed(trained, {tmp_path / "more.safetensors": 0.5})
    with pytest.raises(UserError, match="no such file"):
        mixed(trained, {tmp_path / "none.safetensors": 0.5})


def test_an_export_writes_the_mean(trained, others, tmp_path):
    write_safetensors(tmp_path / "trained.safetensors", trained)
    out = tmp_path / "mixed.safetensors"
    detect.export(tmp_path / "trained.safetensors", out, mix={others[0]: 0.75})
    for name, tensor in mixed(trained, {others[0]: 0.75}).tensors.items():
        assert_close(read(out).tensors[name], tensor)
