"""Every shipped configuration loads, builds, and counts what its header says."""

import re
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from detect import config
from detect.analysis.profile import profile
from detect.config.schema import ClassifierSettings

CONFIGS = Path(__file__).parents[1] / "configs"
MODELS = [path for path in sorted(CONFIGS.rglob("*.yaml")) if path.name != "coco.yaml"]
COUNTED = re.compile(r"([\d.]+) M (?:parameters|floats)(?: \((\d+) classes\))?, ([\d.]+) BFLOPs at (\d+)")
PUBLISHED = re.compile(r"Published ([\d.]+) M parameters, ([\d.]+) BFLOPs")


def header(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))


def counts(settings, num_classes):
    with torch.device("meta"):
        return profile(config.build_model(settings, num_classes), settings.input.size)


@pytest.mark.parametrize("path", [p for p in MODELS if p.parent == CONFIGS], ids=lambda path: path.stem)
def test_a_config_counts_what_its_header_says(path):
    text = header(path)
    parameters, named, bflops, size = COUNTED.search(text).groups()
    settings = config.load(path, needs_data=False, settings_type=None)
    num_classes = {"bccd": 3}.get(path.stem, int(named or 80))
    counted = counts(settings, num_classes)
    assert settings.input.size == int(size)
    assert_close(counted.floats / 1e6, float(parameters), rtol=0, atol=6e-4)
    assert_close(counted.bflops, float(bflops), rtol=0, atol=6e-4)
    assert "arXiv" in text or path.stem == "bccd" or "coco3k" in path.stem
    if isinstance(settings, ClassifierSettings) or path.stem == "bccd" or path.stem.endswith("_coco3k"):
        return
    assert re.search(r"Published AP|No published AP", text) and "Not trained on full COCO by us" in text.replace(
        "not trained", "Not trained"
    )


@pytest.mark.parametrize("path", [p for p in MODELS if p.parent != CONFIGS], ids=lambda path: path.stem)
def test_an_imagenet_config_counts_what_is_published(path):
    text = header(path)
    parameters, bflops = map(float, PUBLISHED.search(text).groups())
    settings = config.load(path, needs_data=False, settings_type=ClassifierSettings)
    counted = counts(settings, 1000)
    assert f"{settings.input.size} px" in text
    ours = counted.parameters if path.stem == "densenet201_elastic" else counted.conv_weights
    assert_close(ours / 1e6, parameters, rtol=0.015, atol=0)
    explained = "misprint" in text or "includes normalisation" in text
    assert_close(counted.bflops, bflops, rtol=0.06 if explained else 0.015, atol=0)
    assert explained == (path.stem in ("cspdensenet_ref", "densenet201_elastic"))


def test_there_is_a_config_for_every_detector_row_of_tables_2_and_4():
    from detect.analysis.paper import published

    shipped = set()
    for path in MODELS:
        settings = config.load(path, needs_data=False, settings_type=None)
        if not isinstance(settings, ClassifierSettings):
            counted = counts(settings, 80)
            shipped.add((counted.floats, round(counted.bflops, 6)))
    for row in published():
        if row.table in ("Table 2", "Table 4"):
            counted = profile(row.model(), row.size)
            assert (counted.floats, round(counted.bflops, 6)) in shipped, row.name
