"""Every shipped configuration loads, builds, and counts what its header says."""

import re
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from detect import config
from detect.analysis.paper import OPERATIONS, published
from detect.analysis.profile import profile
from detect.config.schema import ClassifierSettings

CONFIGS = Path(__file__).parents[1] / "configs"
MODELS = [p for p in sorted(CONFIGS.rglob("*.yaml")) if p.name != "coco.yaml" and p.parent.name != "recipes"]
COUNTED = re.compile(r"([\d.]+) M (?:parameters|floats)(?: \((\d+) classes\))?, ([\d.]+) BFLOPs at (\d+)")
PUBLISHED = re.compile(r"Published (?:([\d.]+) M parameters, )?([\d.]+) BFLOPs")
# the detector's ablation that prints an accuracy alone: positions of PP-LCNet's blocks
ABLATION = re.compile(r"Published top-1 ([\d.]+)")
# what the tables that count other things than the paper's call parameters and operations: see detect/analysis/paper.py
CONVENTIONS = {"pplcnet": ("floats", "norms"), "vovnet": ("parameters", "convolutions")}


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
    settings = config.load(path, needs_data=False, settings_type=ClassifierSettings)
    counted = counts(settings, 1000)
    assert (
        f"{settings.input.size} px" in text
        and ("arXiv" in text or "README" in text)
        and "Not trained on ImageNet by us" in text
    )
    family = next((name for name in CONVENTIONS if path.stem.startswith(name)), "")
    if path.stem.startswith("pplcnet_050_"):
        assert ABLATION.search(text)
        return
    parameters, bflops = PUBLISHED.search(text).groups()
    convention, operations = CONVENTIONS.get(family, ("conv_weights", "darknet"))
    convention = "parameters" if path.stem == "densenet201_elastic" else convention
    if parameters is not None:
        assert_close(getattr(counted, convention) / 1e6, float(parameters), rtol=0.015, atol=0)
    explained = "0.836: a misprint" in text or "includes normalisation" in text
    assert_close(OPERATIONS[operations](counted), float(bflops), rtol=0.06 if explained else 0.016, atol=0)
    assert explained == (path.stem in ("cspdensenet_ref", "densenet201_elastic"))


def test_where_the_papers_text_and_the_cfgs_disagree_the_header_says_which_holds():
    text = header(CONFIGS / "imagenet" / "csppeleenet.yaml")
    assert "0.005 is a misprint of 0.0005" in text and "8,000,000 steps for ResNe(X)ts of 800,000" in text
    for path in MODELS:
        settings = config.load(path, needs_data=False, settings_type=None)
        if path.parent != CONFIGS and settings.train.schedule == "poly":
            assert settings.train.weight_decay == 0.0005 and settings.train.steps in (800_000, 1_600_000), path


def test_pplcnets_recipe_is_the_papers():
    settings = config.load(CONFIGS / "imagenet" / "pplcnet_100.yaml", needs_data=False, settings_type=None)
    train, view = settings.train, settings.input
    assert (train.batch, train.lr, train.schedule, train.burn_in, train.epochs) == (2048, 0.8, "cosine", 5, 360)
    assert (train.weight_decay, train.momentum, view.size, view.resize) == (3e-5, 0.9, 224, 256)
    large = config.load(CONFIGS / "imagenet" / "pplcnet_250.yaml", needs_data=False, settings_type=None)
    assert (large.train.weight_decay, large.input, large.augment) == (4e-5, view, settings.augment)


def test_there_is_a_config_for_every_row_of_the_tables():
    shipped = set()
    for path in MODELS:
        settings = config.load(path, needs_data=False, settings_type=None)
        counted = counts(settings, 1000 if isinstance(settings, ClassifierSettings) else 80)
        shipped.add((counted.floats, round(counted.bflops, 6)))
    others = {"VoVNet99"}  # of timm's code, not of its table
    for row in published():
        if row.table not in ("cfg", "README") and row.name not in others and not row.name.endswith("(timm)"):
            counted = profile(row.model(), row.size)
            assert (counted.floats, round(counted.bflops, 6)) in shipped, row.name
