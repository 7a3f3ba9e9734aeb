"""Steps of each optimizer by their equations, learning rates by part, and exact resuming with all of it."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from detect.config.schema import TrainSettings
from detect.engine.detection import DetectionTask
from detect.engine.optimizer import are_moments, make_optimizer, moments, set_lr, set_moments, trained
from detect.engine.task import Evaluated
from detect.engine.train import Trainer
from detect.errors import UserError
from detect.weights.checkpoint import read_checkpoint
from tests.engine.test_train import assert_same, settings_of, squares  # noqa: F401  squares is a fixture
from tests.engine.test_train import trained as trained_run

pytestmark = pytest.mark.usefixtures("one_thread", "small_backbone")


def network():
    torch.manual_seed(0)
    return nn.ModuleDict({"backbone": nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)), "head": nn.Conv2d(3, 2, 1)})


def stepped(model, train, steps=1):
    """What `steps` steps with learning rate 0.1 and gradients of 1, 2, ... make of the parameters."""
    optimizer = make_optimizer(model, TrainSettings(**train))
    for step in range(1, steps + 1):
        set_lr(optimizer, 0.1)
        for parameter in trained(model):
            parameter.grad = torch.full_like(parameter, float(step))
        optimizer.step()
    return dict(model.named_parameters())


def test_two_steps_of_adamw():
    """m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, both over 1 - b^t; w -= lr (m / (sqrt v + 1e-8) + decay w)."""
    before = {name: value.detach().clone() for name, value in network().named_parameters()}
    after = stepped(network(), {"optimizer": "adamw", "betas": [0.8, 0.9], "weight_decay": 0.5}, steps=2)
    m = (0.8 * 0.2 * 1 + 0.2 * 2) / (1 - 0.8**2)
    v = (0.9 * 0.1 * 1 + 0.1 * 4) / (1 - 0.9**2)
    for name, value in before.items():
        decay = 0.5 if value.ndim == 4 else 0.0
        first = value * (1 - 0.1 * decay) - 0.1 * 1.0
        assert_close(after[name].detach(), first * (1 - 0.1 * decay) - 0.1 * m / v**0.5)


def test_learning_rates_by_part():
    before = {name: value.detach().clone() for name, value in network().named_parameters()}
    scales = {"backbone.*": 0.1, "*.1.bias": 3.0}  # the last that names a parameter holds
    after = stepped(network(), {"lr_scale": scales, "weight_decay": 0.0})
    for name, value in before.items():
        scale = 3.0 if name == "backbone.1.bias" else 0.1 if name.startswith("backbone") else 1.0
        assert_close(value - after[name].detach(), torch.full_like(value, 0.1 * scale))


def test_a_module_without_wildcards_stands_for_everything_in_it():
    optimizer = make_optimizer(network(), TrainSettings(lr_scale={"backbone": 0.5}))
    groups = [(group["scale"], group["weight_decay"], len(group["params"])) for group in optimizer.param_groups]
    assert groups == [(0.5, 0.0005, 1), (1.0, 0.0005, 1), (0.5, 0.0, 3), (1.0, 0.0, 1)]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_what_is_kept_goes_on_exactly(name):
    whole, parts = network(), network()
    train = TrainSettings(optimizer=name, lr_scale={"head": 0.5})
    optimizers = [make_optimizer(model, train) for model in (whole, parts)]

    def step(model, optimizer, gradient):
        for parameter in trained(model):
            parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()

    step(whole, optimizers[0], 1.0)
    step(parts, optimizers[1], 1.0)
    kept = moments(optimizers[1], parts)
    assert are_moments(kept, trained(parts), name) and not are_moments(kept[1:], trained(parts), name)
    again = make_optimizer(parts, train)
    assert are_moments(moments(again, parts), trained(parts), name)  # empty
    set_moments(again, parts, kept)
    step(whole, optimizers[0], -3.0)
    step(parts, again, -3.0)
    assert_close(parts.state_dict(), whole.state_dict(), rtol=0, atol=0)


ALL = {"optimizer": "adamw", "lr": 0.002, "lr_scale": {"backbone.*": 0.1}, "average_last": 0.5, "patience": 9}


@pytest.mark.parametrize("changes", [{"optimizer": "adamw", "lr": 0.002}, {"lr_scale": {"head": 0.3}}, ALL])
def test_two_steps_and_two_more_equal_four(squares, tmp_path, changes):  # noqa: F811
    settings = settings_of(squares, **changes)
    whole = trained_run(settings, tmp_path / "whole")
    trained_run(settings, tmp_path / "parts", until=2)
    parts = trained_run(settings, tmp_path / "parts", resume=True)
    assert parts.step == whole.step == 4
    for name in ("last.pt", "best.pt"):
        assert_same(*(read_checkpoint(tmp_path / run / name) for run in ("whole", "parts")), name)


@pytest.mark.parametrize("until", [2, 3])
def test_the_average_over_the_last_steps_is_what_is_kept(squares, tmp_path, until):  # noqa: F811
    settings = settings_of(squares, average_last=0.5, ema=0)
    seen = []
    for steps in (3, 4):
        seen.append(trained_run(settings, tmp_path / f"until {steps}", until=steps).network.state_dict())
    trained_run(settings, tmp_path / "run", until=until)
    run = trained_run(settings, tmp_path / "run", resume=True)
    for name, value in read_checkpoint(tmp_path / "run" / "last.pt")["ema"]["model"].items():
        if value.is_floating_point():
            assert_close(value, (seen[0][name] + seen[1][name]) / 2, rtol=1e-5, atol=1e-6)
    averaged = run.learner.averaged.head.predictions[0].weight
    assert not torch.equal(averaged, run.network.head.predictions[0].weight)


def test_another_optimizer_cannot_go_on(squares, tmp_path):  # noqa: F811
    trained_run(settings_of(squares), tmp_path / "run", until=1)
    with pytest.raises(UserError, match=r"last\.pt: was written with another train\.optimizer than adamw; its weights"):
        trained_run(settings_of(squares, optimizer="adamw"), tmp_path / "run", resume=True)


@pytest.mark.parametrize(("name", "value"), [("lr_scale", {"backbon": 0.1}), ("freeze", ["backbon"])])
def test_a_part_that_is_not_there_is_named(squares, tmp_path, name, value):  # noqa: F811
    settings = settings_of(squares, **{name: value})
    settings.origins["train." + name] = settings.origins[""]._replace(text="my.yaml:7")
    message = rf"^my.yaml:7: train.{name}: 'backbon' names no part of the model; did you mean 'backbone'\?$"
    with pytest.raises(UserError, match=message):
        Trainer(DetectionTask(settings), tmp_path)


# ---- early stopping --------------------------------------------------------------------------------------------------


def with_metrics(trainer, values):
    """A trainer whose evaluations give these APs, one after the other."""
    values = iter(values)
    trainer.task.evaluated = lambda *_: Evaluated({"AP": next(values), "AP50": 0.5})
    return trainer


def test_a_training_ends_when_it_gets_no_better(squares, tmp_path):  # noqa: F811
    """8 images in batches of 4: an evaluation every second step; equals of the best are no better."""
    settings = settings_of(squares, batch=4, steps=20, patience=2)
    trainer = with_metrics(Trainer(DetectionTask(settings), tmp_path), [0.1, 0.3, 0.2, 0.3, 0.9])
    row = trainer.run()
    assert (trainer.step, row["AP"], trainer.is_finished, trainer.stopped_early) == (8, 0.3, True, True)
    assert "stops after step 8: no better AP in 2 evaluations" in (tmp_path / "log.txt").read_text()
    again = Trainer(DetectionTask(settings), tmp_path, state=read_checkpoint(tmp_path / "last.pt"))
    again.run()
    assert again.step == 8
    longer = settings_of(squares, batch=4, steps=20, patience=3)
    going_on = Trainer(DetectionTask(longer), tmp_path, state=read_checkpoint(tmp_path / "last.pt"))
    assert not going_on.is_finished
    assert with_metrics(going_on, [0.4, 0.1, 0.1, 0.1]).run()["step"] == 16


def test_patience_counts_over_a_stop(squares, tmp_path):  # noqa: F811
    settings, values = settings_of(squares, batch=4, steps=20, patience=2), [0.1, 0.3, 0.2, 0.3, 0.9]
    with_metrics(Trainer(DetectionTask(settings), tmp_path), values).run(until=6)
    resumed = Trainer(DetectionTask(settings), tmp_path, state=read_checkpoint(tmp_path / "last.pt"))
    with_metrics(resumed, values[3:]).run()
    assert resumed.step == 8 and resumed.is_finished


def test_patience_needs_something_to_evaluate_on(squares, tmp_path):  # noqa: F811
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images").symlink_to(squares / "images")
    (tmp_path / "annotations" / "train.json").symlink_to(squares / "annotations" / "train.json")
    with pytest.raises(UserError, match=r"train\.patience: the data has no split 'val' to evaluate on"):
        Trainer(DetectionTask(settings_of(tmp_path, patience=2)), tmp_path)
