"""The learning rate of every step, and how many steps there are."""

import math

import pytest

from detect.config.schema import TrainSettings
from detect.engine.schedule import Schedule


def schedule_of(images=100, **train):
    return Schedule(TrainSettings(**train), images)


def test_length_in_steps_and_in_epochs():
    assert schedule_of(steps=70, batch=8).total_steps == 70
    assert schedule_of(epochs=3, batch=8).total_steps == math.ceil(3 * 100 / 8)
    assert schedule_of(epochs=0.5, batch=10).total_steps == 5
    assert schedule_of(epochs=0.001, batch=10).total_steps == 1
    assert schedule_of(epochs=2, batch=64, images=8).total_steps == 1
    assert schedule_of(epochs=30, batch=6).total_steps == 500  # 30 * (100 / 6) is a little more


def test_epochs_are_whole_passes_over_the_images():
    schedule = schedule_of(epochs=4, batch=3, images=8)  # 2 2/3 steps an epoch
    assert [schedule.epoch(step) for step in range(12)] == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4]


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (1, "0.1 epochs"),
        (3, "0.3 epochs"),
        (10, "1 epoch"),
        (25, "2.5 epochs"),
        (99, "9.9 epochs"),
        (12345, "1234 epochs"),
    ],
)
def test_the_length_in_epochs_is_never_none(steps, text):
    assert schedule_of(steps=steps, batch=10).epochs_text() == text
    assert schedule_of(steps=1, batch=10, images=100_000).epochs_text() == "0.0001 epochs"


@pytest.mark.parametrize("train", [{"steps": 1000, "burn_in": 100}, {"epochs": 100, "burn_in": 10}])
def test_burn_in_rises_with_the_fourth_power_in_either_unit(train):
    schedule = schedule_of(**train, lr=0.2, batch=10)  # 10 steps an epoch
    for step in (0, 1, 49, 98):
        assert schedule.lr(step) == pytest.approx(0.2 * ((step + 1) / 100) ** 4)
    assert schedule.lr(99) == schedule.lr(100) == schedule.lr(500) == 0.2
    rates = [schedule.lr(step) for step in range(101)]
    assert rates == sorted(rates) and rates[0] > 0


def test_without_burn_in_the_peak_comes_first():
    assert schedule_of(steps=10, lr=0.2).lr(0) == 0.2


@pytest.mark.parametrize(
    "train", [{"steps": 500, "milestones": [400, 450]}, {"epochs": 50, "milestones": [40, 45]}], ids=["steps", "epochs"]
)
def test_steps_divide_by_ten_at_the_milestones(train):
    schedule = schedule_of(**train, lr=0.2, batch=10)
    assert schedule.lr(399) == 0.2
    assert schedule.lr(400) == schedule.lr(449) == pytest.approx(0.02)
    assert schedule.lr(450) == schedule.lr(499) == pytest.approx(0.002)


def test_darknets_schedule_of_the_paper():
    """configs/csppelee_efm.yaml: burn-in 1000, a tenth at 400k and 450k of 500.5k."""
    schedule = schedule_of(117_266, steps=500_500, batch=64, lr=0.001, burn_in=1000, milestones=[400_000, 450_000])
    assert schedule.lr(499) == pytest.approx(0.001 * 0.5**4)
    assert [schedule.lr(s) for s in (1000, 399_999, 400_000, 450_000)] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])


@pytest.mark.parametrize(
    "train", [{"steps": 110, "burn_in": 10}, {"epochs": 11, "burn_in": 1}], ids=["steps", "epochs"]
)
def test_cosine_falls_from_the_peak_to_the_last_share(train):
    schedule = schedule_of(**train, lr=0.2, batch=10, schedule="cosine", final_lr=0.1)
    assert schedule.total_steps == 110
    assert schedule.lr(10) == pytest.approx(0.2)
    assert schedule.lr(60) == pytest.approx(0.2 * (1 + 0.1) / 2)
    quarter = 0.2 * (0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert schedule.lr(35) == pytest.approx(quarter)
    assert 0.02 < schedule.lr(109) < 0.0205
    rates = [schedule.lr(step) for step in range(10, 110)]
    assert rates == sorted(rates, reverse=True)


def test_a_burn_in_longer_than_the_training_works():
    schedule = schedule_of(steps=5, burn_in=10, lr=1.0, schedule="cosine")
    assert [schedule.lr(step) for step in range(5)] == pytest.approx([(n / 10) ** 4 for n in range(1, 6)])


@pytest.mark.parametrize("power", [4, 1, 0.5])
def test_the_polynomial_falls_from_the_first_step_to_nearly_nothing(power):
    """Darknet's policy: lr * (1 - step / steps)^power, burn-in counted."""
    schedule = schedule_of(steps=200, schedule="poly", power=power, lr=0.1, burn_in=20)
    for step in (20, 100, 199):
        assert schedule.lr(step) == pytest.approx(0.1 * (1 - step / 200) ** power)
    assert schedule.lr(9) == pytest.approx(0.1 * (10 / 20) ** 4)
    rates = [schedule.lr(step) for step in range(20, 200)]
    assert rates == sorted(rates, reverse=True) and rates[-1] > 0


def test_the_polynomial_counts_in_epochs_too():
    schedule = schedule_of(epochs=4, batch=10, schedule="poly", lr=0.2)  # 40 steps
    assert schedule.lr(0) == 0.2 and schedule.lr(20) == pytest.approx(0.2 / 16)
