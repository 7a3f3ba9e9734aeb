"""The page says what was evaluated, needs nothing from elsewhere, and holds no stranger's code."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from detect.data.dataset import Dataset
from detect.errors import UserError
from detect.evaluation.coco import METRICS
from detect.evaluation.detections import Detections
from detect.evaluation.fast import evaluate
from detect.ops.image import write_image
from detect.report.mosaics import GAP, TILE, val_drawings
from detect.report.page import Subject, report_path, write_report
from detect.report.thresholds import best_thresholds
from tests.report.made import Made, made_evaluation, random_evaluation

ADDRESSES = re.compile(r"""(?:src|href|url|action|data|poster|srcset)\s*[=(]\s*["']?([^"'\s>)]*)""")
VOID = {"meta", "br", "img", "link", "input"}


class Strict(HTMLParser):
    """Raises where an element is not closed in its place."""

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())


def page_of(evaluation, tmp_path, records=None, title="best.pt on val"):
    count = len(evaluation.truth.image_ids)
    records = Made([(640, 480, [])] * count, ["a"]).images if records is None else records
    write_report(tmp_path / "report.html", Subject(title, {"weights": "best.pt"}, evaluation, records))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    parser = Strict()
    parser.feed(text)
    assert not parser.open and parser.tags.count("script") == 1
    return text


@pytest.fixture
def photos(tmp_path):
    """A set of two photos; of the cat and the dog the cat is found, and a bird that is not there."""
    root = tmp_path / "set"
    root.mkdir()
    images = [{"id": n, "file_name": f"{n}&<b>.png", "width": 200, "height": 150} for n in (5, 9)]
    for row in images:
        write_image(root / row["file_name"], np.full((150, 200, 3), 90, dtype=np.uint8))
    annotations = [
        {"id": 1, "image_id": 5, "category_id": 1, "bbox": [20, 20, 60, 60], "area": 3600, "iscrowd": 0},
        {"id": 2, "image_id": 9, "category_id": 2, "bbox": [100, 50, 80, 40], "area": 3200, "iscrowd": 0},
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(("cat", "dog", "bird"), 1)]

    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "val.json").write_text(json.dumps(content))
    data = Dataset.of_coco(root / "val.json", root)
    found = [
        {"image_id": 5, "category_id": 1, "bbox": [21, 20, 60, 60], "score": 0.9},
        {"image_id": 9, "category_id": 2, "bbox": [0, 0, 30, 30], "score": 0.6},
        {"image_id": 9, "category_id": 3, "bbox": [5, 100, 30, 30], "score": 0.01},
    ]
    return data, evaluate(data.ground_truth(), Detections.of(found))


def test_the_page_says_the_numbers_of_the_evaluation(tmp_path):
    evaluation = random_evaluation(0)
    text = page_of(evaluation, tmp_path)
    for name in METRICS:
        value = evaluation.report.metrics[name]
        assert f"{name}<b>{'–' if value < 0 else f'{value:.3f}'}</b>" in text
    for name, values in evaluation.report.per_class.items():
        row = re.search(rf"<tr><td>{name}</td>.*?</tr>", text)[0]
        assert f"<td>{values['instances']}</td>" in row
        assert all(f'data-value="{values[column]}"' in row for column in ("AP", "AP50", "AR100"))
    for kind in ("localisation", "classification", "both", "duplicate", "background", "missed"):
        assert f"<tr><td>{kind}<small>" in text


def test_nothing_is_fetched_from_elsewhere(photos, tmp_path):
    data, evaluation = photos
    text = page_of(evaluation, tmp_path, data.images)
    assert "://" not in text and "@import" not in text
    addresses = ADDRESSES.findall(text)
    assert addresses and all(address.startswith(("#", "data:image/jpeg;base64,")) for address in addresses)


def test_the_worst_image_comes_with_its_boxes_and_its_name(photos, tmp_path):
    data, evaluation = photos
    text = page_of(evaluation, tmp_path, data.images)
    figures = re.findall(r"<figure>.*?</figure>", text, re.DOTALL)
    assert len(figures) == 1  # the other has no error
    assert "9&amp;&lt;b&gt;.png" in figures[0] and "1 missed" in figures[0]
    assert '<rect class="missed" x="100.0" y="50.0" width="80.0" height="40.0"><title>dog, missed' in figures[0]


def test_names_of_strangers_are_text(tmp_path):
    names = ("<script>alert(1)</script>", "a\"b'&", "\x1b[31m$title ${body}")
    box = [10, 10, 50, 50]
    objects = [(0, name, box) for name in names]
    found = [(0, names[0], box, 0.9), (0, names[1], [12, 10, 50, 50], 0.8), (0, names[0], [200, 200, 50, 50], 0.7)]
    text = page_of(made_evaluation(objects, found, names), tmp_path, title="<i>x</i>")
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text and "\x1b" not in text
    assert "<h1>&lt;i&gt;x&lt;/i&gt;</h1>" in text and "$title" in text


@pytest.mark.parametrize("classes", [1, 13, 80])
def test_any_number_of_classes(classes, tmp_path):
    names = tuple(f"c{number}" for number in range(classes))
    objects = [(0, name, [5 * k, 10, 50, 50]) for k, name in enumerate(names)]
    found = [(0, names[k * 7 % classes], box, 0.9 - k / 100) for k, (_, _, box) in enumerate(objects)]
    text = page_of(made_evaluation(objects, found, names), tmp_path)
    assert text.count("<polyline") >= 3


@pytest.mark.parametrize(
    ("objects", "found"),
    [([], []), ([(0, "cat", [1, 1, 9, 9])], []), ([], [(0, "cat", [1, 1, 9, 9], 0.5)]),
     ([(0, "cat", [1, 1, 99, 99], True)], [(0, "cat", [1, 1, 9, 9], 0.5)])],
    ids=["nothing", "no detections", "no objects", "a crowd"],
)  # fmt: skip
def test_what_lacks_objects_or_detections_has_a_page_too(objects, found, tmp_path):
    assert "AP<b>" in page_of(made_evaluation(objects, found), tmp_path)


def test_an_image_that_is_gone_is_named(photos, tmp_path):
    data, evaluation = photos
    data.images[1].path.unlink()
    assert "no such file" in page_of(evaluation, tmp_path, data.images)


def test_a_place_is_a_file_or_a_folder(tmp_path):
    assert report_path(tmp_path / "a" / "b.html") == tmp_path / "a" / "b.html"
    assert report_path(tmp_path / "c") == tmp_path / "c" / "report.html"
    assert (tmp_path / "a").is_dir() and (tmp_path / "c").is_dir()


def test_a_place_that_cannot_be_made_is_named_as_that_of_the_page(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: cannot be made") as raised:
        report_path(tmp_path / "file" / "page.html")
    assert raised.value.argument == "report"


def test_thresholds_are_those_of_the_models_labels(photos):
    data, evaluation = photos
    model = [{"id": 0, "name": "bird"}, {"id": 1, "name": "unicorn"}, {"id": 2, "name": "cat"}]
    kept = best_thresholds(evaluation, model, data)
    assert kept.data == "2 images of val.json" and kept.iou == 0.5
    assert kept.scores == (pytest.approx(0.75),) * 3  # few objects: half-way from 0.9 to 0.6 for all
    nothing = evaluate(evaluation.truth, evaluation.detections[np.zeros(3, dtype=bool)])
    assert best_thresholds(nothing, model, data) is None


def test_what_should_be_found_lies_beside_what_was(photos):
    data, evaluation = photos
    draws = val_drawings(data, evaluation.detections, {1: 0.5, 2: 0.7})
    labels, predictions = (draws[name]() for name in ("val_labels.jpg", "val_predictions.jpg"))
    assert labels.shape == predictions.shape == (TILE, 2 * TILE + GAP, 3)
    second = predictions[:, TILE + GAP :]
    assert (second.reshape(-1, 3) == 90).all(axis=1).mean() > 0.7 and len(np.unique(second)) < 10  # below its threshold
    assert len(np.unique(labels[:, TILE + GAP :])) > 10  # the dog and its name
