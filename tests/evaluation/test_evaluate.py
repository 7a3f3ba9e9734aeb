"""A detector evaluated on a set of images: ids, order, batches, and what the referee says of the files."""

import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detect.darknet.names import COCO as OLDER
from detect.data.dataset import Dataset
from detect.data.detection import DetectionData
from detect.errors import UserError
from detect.evaluation.coco import METRICS, evaluate_detections
from detect.evaluation.evaluate import detect_images, evaluate_dataset, match_categories, matching_notes
from detect.evaluation.submission import write_results
from detect.inference.predictor import Predictor
from detect.inference.torch_runtime import TorchRuntime
from detect.models.detector import build_detector
from detect.ops.image import write_image
from detect.ops.nms import Candidates

pytestmark = pytest.mark.usefixtures("one_thread")

CATEGORIES = [{"id": 3, "name": "red"}, {"id": 7, "name": "green"}, {"id": 90, "name": "blue"}]


def coco_files(root, count=5, categories=CATEGORIES):
    """Images 500, 501, ... listed backwards, each with two objects, of the first and another category."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    (root / "images").mkdir(parents=True)
    for number in reversed(range(count)):
        width, height = 80 + number, 64
        write_image(root / "images" / f"{number}.png", rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
        images.append({"id": 500 + number, "file_name": f"{number}.png", "width": width, "height": height})
        for category, box in ((categories[0], [4, 4, 20 + number, 30]), (categories[number % 3], [40, 10, 24, 24])):
            record = {"id": len(annotations) + 1, "image_id": 500 + number, "category_id": category["id"], "bbox": box}
            annotations.append(record | {"area": box[2] * box[3], "iscrowd": 0})
    content = {"images": images, "annotations": annotations, "categories": categories[::-1]}
    (root / "val.json").write_text(json.dumps(content))
    return Dataset.of_coco(root / "val.json", root / "images")


@pytest.fixture
def dataset(tmp_path):
    return coco_files(tmp_path / "data")


def detector(num_classes=3, seed=0):
    """The paper's detector with random weights, that sees objects of every score everywhere."""
    torch.manual_seed(seed)
    spec = {"backbone": {"name": "CSPPeleeNet"}, "neck": {"name": "EFM"}, "head": {"name": "YOLOv3"}}
    detector = build_detector(spec, num_classes)
    with torch.no_grad():
        for last in detector.head.predictions:
            last.weight.mul_(20)
            last.bias.zero_()
    return detector


def evaluated(*arguments):
    """(report, detections as COCO's results)."""
    evaluation = evaluate_dataset(*arguments)
    return evaluation.report, evaluation.detections.results()


def random_predictor(num_classes=3, size=64):
    names = [str(number) for number in range(num_classes)]
    return Predictor(TorchRuntime(detector(num_classes), names, size), min_score=0.001)


class Oracle:
    """Stands in for a predictor that finds exactly what is annotated, by the labels of `categories`."""

    def __init__(self, dataset, categories):
        label = {category["name"]: number for number, category in enumerate(categories)}
        names = [category["name"] for category in dataset.categories]
        self.records = iter(dataset.images)
        self.labels = [label.get(name, 0) for name in names]
        self.batches = []

    def detect_batch(self, images):
        self.batches.append(len(images))
        found = []
        for image, record in zip(images, self.records, strict=False):
            assert image.shape[:2] == (record.height, record.width)
            labels = np.array([self.labels[label] for label in record.labels])
            found.append(Candidates(record.boxes, np.linspace(0.9, 0.8, len(labels)), labels))
        return found


def counted_by_pycocotools(annotations, results):
    with redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(METRICS, evaluation.stats.tolist(), strict=True))


@pytest.mark.parametrize("batch", [1, 2, 5, 16])
def test_perfect_detections_get_ap_one(dataset, batch):
    oracle = Oracle(dataset, CATEGORIES)
    report, detections = evaluated(oracle, dataset, CATEGORIES, batch)
    assert report.metrics["AP"] == report.metrics["AR100"] == 1
    assert len(detections) == 10 and sum(oracle.batches) == 5 and max(oracle.batches) == min(batch, 5)
    assert report.per_class["red"]["instances"] == 7


def test_classes_are_matched_by_name_not_by_place(dataset):
    of_model = [
        {"id": 1, "name": "blue"},
        {"id": 2, "name": "cat"},
        {"id": 3, "name": "red"},
        {"id": 4, "name": "green"},
    ]
    report, detections = evaluated(Oracle(dataset, of_model), dataset, of_model)
    assert report.metrics["AP"] == 1
    assert {row["category_id"] for row in detections} == {3, 7, 90}


def test_detections_of_classes_that_the_data_lacks_are_left_out():
    of_model = [{"id": 1, "name": "cat"}, {"id": 2, "name": "blue"}]
    assert match_categories(of_model, CATEGORIES, "x.json") == [None, 90]


def categories(*names, first=1):
    return [{"id": i, "name": name} for i, name in enumerate(names, first)]


@pytest.mark.parametrize("swapped", [False, True])
def test_darknets_older_names_are_the_same_classes_and_that_is_said(swapped):
    old, new = categories(*OLDER, "cat", first=10), categories("cat", *OLDER.values())
    of_model, of_data = (new, old) if swapped else (old, new)
    ids = {c["name"]: c["id"] for c in of_data}
    names = {b: a for a, b in OLDER.items()} if swapped else OLDER
    expected = [ids[names.get(c["name"], c["name"])] for c in of_model]
    assert match_categories(of_model, of_data, "x.json") == expected
    (note,) = matching_notes(of_model, of_data, "x.json")
    assert len(OLDER) == 6 and all(f"{a} is {b}" in note for a, b in names.items()) and "cat" not in note


def test_a_class_that_is_there_by_its_own_name_is_not_taken_for_another():
    of_model = categories("sofa", "couch")
    assert match_categories(of_model, categories("couch", "bed"), "x.json") == [None, 1]
    assert match_categories(categories("sofa"), categories("couch", "sofa"), "x.json") == [2]
    assert not any("older" in note for note in matching_notes(of_model, categories("couch", "bed"), "x.json"))


def test_classes_of_one_side_only_are_listed_with_the_nearest_of_the_other():
    assert matching_notes(categories("cat", "dog"), categories("dog", "cat"), "x.json") == []
    assert matching_notes(categories("cat", "dog", "A"), categories("cat ", "dog", "zebra", " a"), "x.json") == [
        "x.json: the model has no class of these names, so their objects cannot be found: "
        "' a' (there is 'A'), 'cat ' (there is 'cat'), 'zebra'",
        "x.json: has no class of these names, so the model's detections of them are left out: "
        "'A' (there is ' a'), 'cat' (there is 'cat ')",
    ]
    (note,) = matching_notes(categories(*(f"{n:x}" * 9 for n in range(12)), "dog"), categories("dog"), "x.json")
    assert note.endswith("'999999999' and 2 more") and len(note) < 300


def test_data_without_any_class_of_the_model_is_refused():
    with pytest.raises(UserError, match=r"x\.json: none of its classes \(red, green, blue, \.\.\.\) is known"):
        match_categories([{"id": 1, "name": "cat"}], CATEGORIES, "x.json")


def test_data_with_two_classes_of_one_name_can_be_evaluated(tmp_path):
    twins = [{"id": 3, "name": "cell"}, {"id": 7, "name": "cell"}, {"id": 90, "name": "blue"}]
    assert match_categories(twins, coco_files(tmp_path / "twins", categories=twins).categories, "x") == [3, 7, 90]


def test_ap_is_that_of_the_written_file(dataset, tmp_path):
    found = evaluate_dataset(random_predictor(), dataset, CATEGORIES)
    write_results(tmp_path / "detections.json", found.detections)
    assert found.report == evaluate_detections(found.truth, found.detections)
    assert found.report.metrics == counted_by_pycocotools(dataset.source, tmp_path / "detections.json")


def test_batch_size_changes_nothing(dataset):
    predictor = random_predictor()
    (one, of_one), (many, of_many) = (evaluated(predictor, dataset, CATEGORIES, batch) for batch in (1, 16))
    assert of_one and of_one == of_many and one.metrics == many.metrics


def test_batch_size_changes_nothing_on_real_photos(shared, tmp_path):
    folder = shared / "data" / "coco3k"
    content = json.loads((folder / "annotations" / "val.json").read_text())
    content["images"] = content["images"][:24]
    ids = {image["id"] for image in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in ids]
    (tmp_path / "val.json").write_text(json.dumps(content))
    dataset = Dataset.of_coco(tmp_path / "val.json", folder / "images", bad_boxes="drop")
    predictor = random_predictor(len(dataset.categories), 96)
    (one, of_one), (many, of_many) = (evaluated(predictor, dataset, dataset.categories, batch) for batch in (1, 16))
    assert len(of_one) == 2400 and of_one == of_many and one.metrics == many.metrics


def test_evaluating_twice_says_the_same(dataset):
    predictor = random_predictor()
    first, second = (evaluated(predictor, dataset, CATEGORIES) for _ in range(2))
    assert first == second


def test_a_missing_image_is_named(dataset):
    dataset.images[3].path.unlink()
    with pytest.raises(UserError, match=r"3\.png: no such file"):
        evaluated(Oracle(dataset, CATEGORIES), dataset, CATEGORIES)


def test_a_corrupt_image_is_named(dataset):
    dataset.images[1].path.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"1\.png: not a readable image"):
        evaluated(Oracle(dataset, CATEGORIES), dataset, CATEGORIES)


def test_an_image_of_another_size_than_recorded_is_refused(dataset):
    write_image(dataset.images[2].path, np.zeros((32, 41, 3), np.uint8))
    with pytest.raises(UserError, match=r"41x32"):
        evaluated(random_predictor(), dataset, CATEGORIES)


def test_no_images_give_no_detections():
    assert len(detect_images(random_predictor(), [], [3, 7, 90])) == 0


class Handmade(DetectionData):
    """A data set of no file's format."""

    def __init__(self, of):
        self.source, self.images, self.categories, self.notes = "by hand", of.images, of.categories, []
        self.truth = of.ground_truth()

    def ground_truth(self):
        return self.truth


def test_any_data_set_with_a_ground_truth_is_evaluated(dataset):
    predictor = random_predictor()
    assert evaluated(predictor, Handmade(dataset), CATEGORIES) == evaluated(predictor, dataset, CATEGORIES)
    with pytest.raises(UserError, match=r"^by hand: none of its classes"):
        evaluated(predictor, Handmade(dataset), [{"id": 1, "name": "cat"}])


def test_the_ground_truth_is_there_before_anything_is_detected(dataset):
    handmade = Handmade(dataset)
    del handmade.truth
    oracle = Oracle(dataset, CATEGORIES)
    with pytest.raises(AttributeError, match="truth"):
        evaluated(oracle, handmade, CATEGORIES)
    assert oracle.batches == []


def test_the_annotations_are_read_once(dataset):
    dataset.source.unlink()
    report, _ = evaluated(Oracle(dataset, CATEGORIES), dataset, CATEGORIES)
    assert report.metrics["AP"] == 1


def test_broken_weights_are_said_instead_of_finding_nothing(dataset):
    """Boxes that are no numbers, with scores that are."""
    predictor = random_predictor()
    with torch.no_grad():
        for last in predictor.runtime.network.head.predictions:
            last.bias.view(-1, 8)[:, :4] = float("nan")  # x, y, w, h of each anchor; then objectness and three classes
    with pytest.raises(UserError, match=r"no finite number; .* look for NaN in training"):
        evaluated(predictor, dataset, CATEGORIES)


def test_names_that_differ_by_the_thousand_are_counted_and_few_of_them_compared(monkeypatch):
    compared = []
    monkeypatch.setattr(
        "detect.evaluation.evaluate.difflib.get_close_matches", lambda name, *_, **__: compared.append(name) or []
    )
    ours = [{"id": i, "name": f"number {i}"} for i in range(65_536)]
    theirs = [{"id": i, "name": f"number {i}{'x' * (i > 0)}"} for i in range(65_536)]
    first, second = matching_notes(ours, theirs, "val.json")
    assert len(compared) == 4
    assert first.endswith(" and 65525 more") and second.endswith(" and 65525 more")
