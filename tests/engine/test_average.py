"""The average follows the model by its formula and can be kept and restored."""

import torch
from torch import nn
from torch.testing import assert_close

from detect.engine.average import WeightAverage


def small_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def disturbed(model, seed):
    """Give the model other weights and running statistics, as a training step does."""
    generator = torch.Generator().manual_seed(seed)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator))
        else:
            value += 1
    return model


def test_average_follows_its_formula():
    model = small_model()
    expected = {name: value.double() for name, value in model.state_dict().items()}
    ema = WeightAverage(model, decay=0.4, start=8)
    for update in range(1, 9):
        disturbed(model, update)
        ema.update(model, update)
        decay = min(0.4, (1 + update) / (10 + update))
        for name, value in model.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value.double()
    assert (1 + 8) / (10 + 8) > 0.4 > (1 + 1) / (10 + 1)  # both sides of the minimum were at work
    for name, value in ema.average.state_dict().items():
        if value.is_floating_point():
            assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)
        else:
            assert_close(value, model.state_dict()[name])
    assert "1.running_mean" in expected and ema.updates == 8


def test_average_shares_nothing_with_the_model_and_does_not_learn():
    model = small_model().train()
    ema = WeightAverage(model, decay=0.9, start=9)
    before = {name: value.clone() for name, value in ema.average.state_dict().items()}
    disturbed(model, 1)
    assert_close(dict(ema.average.state_dict()), before, rtol=0, atol=0)
    assert not ema.average.training and model.training
    assert not any(p.requires_grad for p in ema.average.parameters())
    assert all(p.requires_grad for p in model.parameters())


def test_a_restored_average_goes_on_exactly():
    model = small_model()
    ema = WeightAverage(model, decay=0.99, start=3)
    for seed in range(3):
        ema.update(disturbed(model, seed), seed + 1)
    kept = {"model": {n: v.clone() for n, v in ema.state_dict()["model"].items()}, "updates": ema.updates}
    other = WeightAverage(small_model(), decay=0.99, start=3)
    other.load_state_dict(kept)
    disturbed(model, 7)
    ema.update(model, 4)
    other.update(model, 4)
    assert other.updates == ema.updates == 4
    assert_close(dict(other.average.state_dict()), dict(ema.average.state_dict()), rtol=0, atol=0)


def test_the_last_steps_are_averaged_equally():
    """Steps 4, 5 and 6 of six; before them it is the moving average, after the first of them the network itself."""
    model = small_model()
    average = WeightAverage(model, decay=0.9, start=3)
    seen = []
    for step in range(1, 7):
        average.update(disturbed(model, step), step)
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        if step == 4:
            assert_close(dict(average.average.state_dict()), seen[-1], rtol=0, atol=0)
    for name, value in average.average.state_dict().items():
        if value.is_floating_point():
            assert_close(value, torch.stack([one[name] for one in seen[3:]]).mean(0))


def test_without_decay_it_is_the_network_until_then():
    model = small_model()
    average = WeightAverage(model, decay=0, start=2)
    for step in (1, 2):
        average.update(disturbed(model, step), step)
    assert_close(dict(average.average.state_dict()), dict(model.state_dict()), rtol=0, atol=0)
