"""TensorBoard reads a run's numbers, and goes on without what a stopped run wrote beyond its checkpoint."""

import builtins

import pytest

from detect.errors import UserError
from detect.report.events import Events


def read(folder):
    """{tag: [(step, value), ...]} as TensorBoard shows them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="the extra log")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, round(e.value, 6)) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_numbers_arrive(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra log")
    events = Events(tmp_path, 0)
    for step in range(1, 21):
        events.step(step, {"box": step / 10, "obj": 1.0}, 0.01)
    events.evaluated({"step": 20, "epoch": 1, "AP": 0.25})
    events.close()
    found = read(tmp_path)
    assert found["loss/box"] == [(10, 1.0), (20, 2.0)] and found["lr"] == [(10, 0.01), (20, 0.01)]
    assert found["results/AP"] == [(20, 0.25)] and "results/step" not in found


def test_a_resumed_run_hides_what_came_after_its_checkpoint(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra log")
    for start, last in ((0, 30), (15, 20)):
        events = Events(tmp_path, start)
        for step in range(start + 1, last + 1):
            events.step(step, {"box": float(start)}, 0.01)
        events.close()
    assert read(tmp_path)["loss/box"] == [(10, 0.0), (20, 15.0)]


def test_without_the_library_it_is_one_sentence(monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("torch.utils.tensorboard"):
            raise ModuleNotFoundError(name="tensorboard")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"^train\.tensorboard: this needs tensorboard, .*'csp-detect\[log\]'; or"):
        Events(tmp_path, 0)
    assert not list(tmp_path.iterdir())
