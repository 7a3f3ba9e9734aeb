"""What the pages for people say in Python runs, and docs/configuration.md is what the schema says."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import detect
from detect import config
from detect.config import document
from detect.data.augment.pipeline import parts_of
from detect.doctor.document import table
from detect.models.registry import NECKS
from detect.weights import zoo

ROOT = Path(__file__).parents[1]
PAGES = {"README.md", "docs/python.md", "docs/own_parts.md"}
TINY = """
base: csppelee_efm.yaml
input: {size: 64, train_sizes: null}
train: {steps: 2, batch: 2, accumulate: 1, workers: 0, burn_in: 0, milestones: []}
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """The working folder, with all that the pages' examples read, one thread, and parts that are forgotten again."""
    folder, threads = tmp_path_factory.mktemp("pages"), torch.get_num_threads()
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "photo.jpg"), image)
    video = cv2.VideoWriter(str(folder / "video.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (96, 64))
    for _ in range(3):
        video.write(image)
    video.release()
    for split in ("train", "val"):
        write_split(folder / "mine", split, image if split == "train" else image[:, ::-1])
    (folder / "weights").symlink_to(ROOT / "weights")
    shutil.copytree(ROOT / "configs" / "recipes", folder / "configs" / "recipes")
    shutil.copy(ROOT / "configs" / "csppelee_efm.yaml", folder / "configs")
    (folder / "configs" / "bccd.yaml").write_text(TINY)
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(NECKS, "_classes", dict(NECKS._classes))
        yield folder
    torch.set_num_threads(threads)


def write_split(folder, split, image):
    """Four images with a box each, and their annotations."""
    images = [{"id": k, "file_name": f"{split}{k}.jpg", "width": 96, "height": 64} for k in range(1, 5)]
    boxes = [{"id": k, "image_id": k, "category_id": 1, "bbox": [10, 10, 40, 30]} for k in range(1, 5)]
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cell"}]}
    (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))
    for record in images:
        cv2.imwrite(str(folder / "images" / record["file_name"]), image)


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def python_of(page):
    """A page's Python blocks as one text, whose line numbers are the page's."""
    inside, lines = False, []
    for line in text_of(page).splitlines():
        fence = line.startswith("```")
        inside = line == "```python" or (inside and not fence)
        lines.append(line if inside and not fence else "")
    return "\n".join(lines)


def run(page):
    """Run a page's Python blocks one after the other; returns the names they leave."""
    names = {"__name__": page}
    exec(compile(python_of(page), str(ROOT / page), "exec"), names)
    return names


@pytest.fixture(scope="module")
def python_page(workplace):
    """(text of docs/python.md, the names that its blocks leave)"""
    return text_of("docs/python.md"), run("docs/python.md")


def test_the_readme_detects(workplace):
    names = run("README.md")
    assert names["result"].frame.index == 2 and (workplace / "found.jpg").is_file()


def test_the_page_on_python_detects_trains_evaluates_and_exports(workplace, python_page):
    _, names = python_page
    assert isinstance(names["model"], detect.Predictor) and names["model"].names == ("cell",)
    assert isinstance(names["result"], detect.Result) and [len(r.image) for r in names["results"]] == [64, 64, 64]
    assert names["trained"]["steps"] == 2 and Path(names["trained"]["run"], "best.pt").is_file()
    assert names["report"]["per_class"].keys() == {"cell"} and names["report"]["images"] == 4
    assert (workplace / "mine.safetensors").stat().st_size == names["exported"]["bytes"]
    assert len(names["raw"]) == 3 and names["broken"] == []
    assert names["labelled"]["images"] == 8 and (workplace / "proposed.json").is_file()


def test_the_page_on_python_says_what_is_returned(python_page):
    """Keys of what train, evaluate, export and label return, and of a result as plain values."""
    text, names = python_page
    for returned in (
        *(names[n] for n in ("checked", "trained", "report", "exported", "labelled")),
        names["result"].to_dict(),
    ):
        assert not [key for key in returned if f"`{key}`" not in text]


def test_names_on_the_page_on_python_are_there(python_page):
    text, names = python_page
    named = set(re.findall(r"(?<![\w/])(detect|model|result)\.(\w+)", text))
    assert {("detect", "load"), ("model", "to"), ("result", "to_supervision")} <= named
    assert not [f"{owner}.{name}" for owner, name in named if not hasattr(names[owner], name)]


def test_a_part_of_ones_own_is_built(workplace):
    names = run("docs/own_parts.md")
    assert [tuple(level.shape) for level in names["raw"]] == [(1, 24, side, side) for side in (52, 26, 13)]


def test_every_page_with_python_is_run():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "data/README.md", ROOT / "weights/README.md"]
    assert {str(page.relative_to(ROOT)) for page in pages if "```python" in page.read_text(encoding="utf-8")} == PAGES


def test_the_page_of_settings_is_what_the_schema_says():
    written_anew_by = "python tools/settings.py > docs/configuration.md"
    assert text_of("docs/configuration.md") == document.page(), written_anew_by


def test_the_page_on_checks_lists_all_that_is_found():
    _, _, listed = text_of("docs/check.md").partition("\n| id | severity |")
    assert f"| id | severity |{listed}".rstrip("\n") == table(), "python tools/check.py --list prints the table"


@pytest.mark.parametrize("page", ["docs/configuration.md", "docs/parts.md"])
def test_examples_of_configurations_are_valid(page, workplace):
    (example,) = re.findall(r"^```yaml\n(.*?)^```", text_of(page), flags=re.MULTILINE | re.DOTALL)
    path = workplace / "configs" / f"{Path(page).stem}.yaml"
    path.write_text(example)
    settings = config.load(path, ["train.steps=10"] if page == "docs/parts.md" else [])
    config.check_model(settings)


def test_the_lists_of_augmentations_on_their_page_are_valid_and_the_short_form_is_what_it_says(workplace):
    examples = re.findall(r"^```yaml\n(.*?)^```", text_of("docs/augmentation.md"), flags=re.MULTILINE | re.DOTALL)
    path = workplace / "configs" / "augmented.yaml"
    base = "base: csppelee_efm.yaml\n"
    by_name, short, as_list = (
        config.load(path, needs_data=False).augment for example in examples if path.write_text(base + example)
    )
    assert [part["name"] for part in by_name[:3]] == ["Mosaic", "RandomAffine", "MixUp"]
    assert list(parts_of(short)) == as_list


def test_the_page_on_weights_lists_what_is_known_by_name():
    text = text_of("docs/weights.md")
    rows = dict(re.findall(r"^\| `([\w.-]+)` \| (.*) \|$", text, flags=re.MULTILINE))
    assert list(rows) == zoo.known_names()
    for row in zoo.rows():
        assert rows[row["name"]].startswith(f"{row['bytes'] / 1e6:.1f} | {row['size']} | {row['ap']} | ")
    for entry in zoo.CLASSICS:
        for remote in (entry.weights, entry.cfg):
            host, owner, project = remote.url.removeprefix("https://").split("/")[:3]
            assert (f"github.com/{owner}/{project}" if "github" in host else host) in rows[entry.name]


def test_every_setting_is_on_the_page_with_its_section():
    keys = {f"{row['section']}.{row['key']}" for row in document.as_rows() if row["settings"] == "Settings"}
    assert {"train.lr", "data.splits.NAME.images", "predict.nms"} <= keys
    assert not [row for row in document.as_rows() if not row["help"]]
