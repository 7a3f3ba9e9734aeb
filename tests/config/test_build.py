"""Settings become models in one place, once; what is wrong is told by where it was written, a bug stays a bug."""

import json

import pytest
import torch

import detect
from detect import config
from detect.config import build
from detect.darknet import cfg as cfg_file
from detect.darknet import network as darknet_network
from detect.errors import PartError, UserError
from detect.models.necks import EFM
from detect.models.registry import NECKS
from detect.weights.files import Weights, read, write_safetensors
from tests.small_nets import conv, net, yolo

MODEL = {
    "backbone": {"name": "CSPPeleeNet"},
    "neck": {"name": "EFM", "widths": [8, 16, 16]},
    "head": {"name": "YOLOv3"},
}
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


def settings_of(**changes):
    model = {name: dict(part) for name, part in MODEL.items()}
    return config.from_dict({"model": model, "input": {"size": 64}} | changes)


@pytest.fixture
def count_calls(monkeypatch):
    """Replace a function by one that counts its calls; gives the list that they fill."""

    def count(module, name):
        calls, original = [], getattr(module, name)

        def counted(*arguments, **options):
            calls.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, counted)
        return calls

    return count


# ---- once ----------------------------------------------------------------------------------------------------------


def test_a_cfg_is_read_and_planned_once_from_file_to_detection(tmp_path, count_calls):
    text = net(64, 64) + conv(8, 3) + conv(4 * 7, 1, "linear") + yolo(classes=2)
    cfg, weights = tmp_path / "net.cfg", tmp_path / "net.weights"
    cfg.write_text(text)
    torch.manual_seed(0)
    detect.darknet.weights.write(weights, detect.darknet.load(cfg))
    reads, parses = count_calls(cfg_file, "read_text"), count_calls(cfg_file, "parse")
    plans = count_calls(darknet_network, "plan")
    detect.load(weights, cfg=cfg)(torch.zeros(64, 64, 3, dtype=torch.uint8).numpy())
    assert (reads, parses, plans) == (["read_text"], ["parse"], ["plan"])


def test_a_model_is_built_once_from_file_to_detection(tmp_path, count_calls):
    settings = settings_of()
    write_safetensors(
        tmp_path / "w.safetensors", Weights.of(config.build_model(settings, 2), settings, CATEGORIES, "w")
    )
    calls = count_calls(build, "build_detector")
    detect.load(tmp_path / "w.safetensors")
    assert calls == ["build_detector"]


def test_reading_a_file_builds_nothing(tmp_path, count_calls):
    (tmp_path / "run.yaml").write_text(json.dumps({"model": MODEL}))
    calls = count_calls(build, "build_detector")
    config.load(tmp_path / "run.yaml", ["model.neck.sam=true"])
    assert calls == []


def test_weights_to_start_or_resume_from_are_the_same_weights(tmp_path):
    """One dataclass tells predicting, resuming, exporting and starting what a file holds."""
    settings = settings_of()
    network = config.build_model(settings, 2)
    write_safetensors(tmp_path / "w.safetensors", Weights.of(network, settings, CATEGORIES, "w"))
    weights = read(tmp_path / "w.safetensors", overrides=["predict.min_score=0.5"])
    assert weights.settings.predict.min_score == 0.5 and weights.names == ("cat", "dog") and weights.training is None
    assert weights.network is weights.network
    for name, value in network.state_dict().items():
        assert torch.equal(weights.tensors[name], value)


def test_darknets_weights_are_read_for_a_size_that_fits_only(tmp_path):
    cfg, weights = tmp_path / "net.cfg", tmp_path / "net.weights"
    cfg.write_text(net(64, 64) + conv(8, 3, stride=8) + conv(4 * 7, 1, "linear") + yolo(classes=2))
    detect.darknet.weights.write(weights, detect.darknet.load(cfg))
    with pytest.raises(UserError, match=r"override input: input\.size 100 px is no multiple"):
        detect.export(weights, tmp_path / "x.safetensors", cfg=cfg, input={"size": 100})
    assert not (tmp_path / "x.safetensors").exists()


# ---- whose mistake it is -------------------------------------------------------------------------------------------


def test_a_parts_error_tells_section_and_option():
    with pytest.raises(PartError) as caught:
        detect.build(MODEL | {"neck": {"name": "EFM", "widths": [8]}})
    assert (caught.value.section, caught.value.option) == ("neck", "widths")
    with pytest.raises(PartError) as caught:
        detect.build(MODEL | {"backbone": {"name": "CSPPelee"}})
    assert (caught.value.section, caught.value.option) == ("backbone", "name")


def test_an_error_is_told_by_its_option_not_by_its_words(tmp_path):
    """`sam` occurs in no error about `widths`, and `widths` in that of another line does not mislead."""
    path = tmp_path / "run.yaml"
    path.write_text(
        "model:\n  backbone: {name: CSPPeleeNet}\n  neck:\n    name: EFM\n    sam: true\n    widths: [1]\n"
        "  head: {name: YOLOv3}\n"
    )
    with pytest.raises(UserError) as caught:
        config.check_model(config.load(path))
    assert str(caught.value).startswith(f"{path}:6: neck EFM: widths has 1 numbers")


@pytest.mark.parametrize("error", [TypeError, RuntimeError, ValueError, OverflowError])
def test_a_bug_in_a_parts_constructor_is_no_mistake_of_the_user(monkeypatch, tmp_path, error):
    class Broken(EFM):
        def __init__(self, in_channels, strides, widths=(8, 8, 8)):
            raise error("our own bug")

    monkeypatch.setitem(NECKS._classes, "Broken", Broken)
    settings = settings_of(model=MODEL | {"neck": {"name": "Broken"}})
    with pytest.raises(error, match="our own bug"):
        config.build_model(settings, 2)
    with pytest.raises(error, match="our own bug"):
        _ = Weights(tmp_path, settings, CATEGORIES, {}).network


def test_settings_know_where_each_value_was_written(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps({"model": MODEL}) + "\n")
    settings = config.load(path, ["input.size=64"])
    assert settings.origins["model.neck"].text == f"{path}:1"
    assert settings.origins["input.size"].text == "override input.size"
    assert "origins" not in config.to_dict(settings)


def test_the_schema_imports_nothing_of_ours_and_says_what_each_setting_does():
    import dataclasses

    from detect.config import schema

    sections = [
        cls for cls in vars(schema).values()
        if dataclasses.is_dataclass(cls) and cls.__name__.endswith("Settings")
    ]  # fmt: skip
    assert len(sections) >= 13
    for cls in sections:
        assert cls.__doc__ and not cls.__doc__.startswith(cls.__name__)
        for entry in dataclasses.fields(cls):
            if "Settings" in str(entry.type) or not entry.init or "help" in entry.metadata:
                continue
            pytest.fail(f"{cls.__name__}.{entry.name} has no help text")
