"""The evaluator in NumPy gives COCOeval's numbers and matches, to the last digit."""

import contextlib
import copy
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detect.data.dataset import Dataset
from detect.evaluation.coco import evaluate_detections
from detect.evaluation.detections import Detections
from detect.evaluation.fast import evaluate
from detect.evaluation.matching import AREAS, IOU_THRESHOLDS
from tests.coco_mapping import mapping_of, truth_of
from tests.evaluation.test_coco_evaluation import dataset_of, detections_of

MANY = 5  # the seed of a set with 700 detections


def random_set(seed):
    """(ground truth in COCO's form, results): ties in scores and IoUs, crowds, boxes without area, empty images."""
    random = np.random.default_rng(seed)
    on_grid, without_area = random.random() < 0.5, random.random() < 0.3
    images = [{"id": 7 * number + 3, "width": 640, "height": 480} for number in range(random.integers(1, 8))]
    categories = [{"id": 3 * number + 2, "name": f"thing {number % 3}"} for number in range(random.integers(1, 5))]

    def box():
        if on_grid:
            side = int(random.choice([8, 16, 32]))
            return [*(8.0 * random.integers(0, 4, 2)).tolist(), *(float(side) * random.integers(0, 5, 2)).tolist()]
        sizes = np.exp(random.uniform(np.log(4), np.log(300), 2)).tolist()
        return [*random.uniform(0, 60, 2).tolist(), *([0.0, 9.0] if without_area and random.random() < 0.2 else sizes)]

    def place():
        return {"image_id": random.choice(images)["id"], "category_id": random.choice(categories)["id"]}

    annotations = []
    for number in range(random.integers(0, 60)):
        bbox = box()
        area = bbox[2] * bbox[3] * float(random.choice([1, 0.5, 3]))
        shape = {"bbox": bbox, "area": area, "iscrowd": int(random.random() < 0.2)}
        annotations.append({"id": number + 1} | place() | shape)
    results = []
    for _ in range(random.choice([0, 5, 100, 700])):
        found = {"bbox": box()} | place()
        if annotations and random.random() < 0.7:
            of = random.choice(annotations)
            jitter = random.normal(0, 0.1, 4) * (random.random() < 0.7) * np.tile(of["bbox"][2:], 2)
            found = {key: of[key] for key in ("image_id", "category_id")}
            found["bbox"] = (np.array(of["bbox"]) + jitter).round(2).tolist()
        found["score"] = float(random.random().__round__(int(random.choice([1, 5]))))
        stranger = random.choice(["image_id", "category_id"])
        results.append(found | ({stranger: 100_000} if random.random() < 0.02 else {}))
    return {"images": images, "categories": categories, "annotations": annotations}, results


def referee(mapping, results):
    """COCOeval, accumulated."""
    images = {image["id"] for image in mapping["images"]}
    found = [result for result in results if result["image_id"] in images]
    areas = ({"id": i, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0} for i, row in enumerate(found, 1))
    truth, detections = COCO(), COCO()
    truth.dataset = copy.deepcopy(mapping)
    detections.dataset = mapping | {"annotations": [row | rest for row, rest in zip(found, areas, strict=True)]}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        detections.createIndex()
        evaluation = COCOeval(truth, detections, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def compare(mapping, results):
    """Assert that every array and number is COCOeval's; return our evaluation."""
    expected = referee(mapping, results)
    found = evaluate(truth_of(mapping), Detections.of(results))
    np.testing.assert_array_equal(found.curves.precision, expected.eval["precision"][..., 2])
    np.testing.assert_array_equal(found.curves.scores, expected.eval["scores"][..., 2])
    np.testing.assert_array_equal(found.curves.recall, expected.eval["recall"])
    assert found.report == evaluate_detections(found.truth, found.detections)
    return found, expected


def assert_same_matches(found, expected):
    """Assert that every detection found what COCOeval says, in every area range."""
    matches, images = found.matches, len(found.truth.image_ids)
    known = np.flatnonzero(matches.images >= 0)  # COCOeval has numbered those from 1
    for area in range(len(AREAS)):
        objects, finders, ignored = matches.objects(area), matches.detections(area), matches.is_ignored(area)
        numbers = np.where(finders < 0, 0, np.searchsorted(known, finders) + 1)
        seen = 0
        for place, row in enumerate(expected.evalImgs):
            if row is None or place // images % len(AREAS) != area:
                continue
            detections, things = known[np.array(row["dtIds"], int) - 1], np.array(row["gtIds"], int) - 1
            np.testing.assert_array_equal(objects[:, detections] + 1, row["dtMatches"])
            np.testing.assert_array_equal(ignored[:, detections], row["dtIgnore"])
            np.testing.assert_array_equal(numbers[:, things], row["gtMatches"])
            seen += len(detections)
        assert seen == len(matches.counted)


@pytest.mark.parametrize("seed", range(40))
def test_equals_cocoeval_on_random_sets(seed):
    assert_same_matches(*compare(*random_set(seed)))


@pytest.mark.parametrize("seed", range(3))
def test_equals_cocoeval_on_imperfect_detections(seed):
    mapping = dataset_of(40, seed)
    found, _ = compare(mapping, detections_of(mapping, seed))
    assert 0.05 < found.report.metrics["AP"] < 0.95 and all(value > -1 for value in found.report.metrics.values())


def test_many_pairs_are_looked_at_in_parts(monkeypatch):
    mapping, results = random_set(MANY)
    assert len(results) == 700
    monkeypatch.setattr("detect.evaluation.matching.PAIRS_AT_ONCE", 16)
    assert_same_matches(*compare(mapping, results))


def test_equals_cocoeval_without_images_classes_objects_or_detections():
    mapping, results = random_set(MANY)
    for key in mapping:
        rest = {name: [] for name in mapping if key in ("images", "categories") and name in (key, "annotations")}
        compare(mapping | (rest or {"annotations": []}), results)
    compare(mapping, [])


@pytest.mark.parametrize("more", [-20, 2**31, 2**62])
def test_ids_of_any_size(more):
    mapping, results = copy.deepcopy(random_set(MANY))
    for rows, key in ((mapping["images"], "id"), (mapping["annotations"], "image_id"), (results, "image_id")):
        for row in rows:
            row[key] += more
    for rows, key in ((mapping["categories"], "id"), (mapping["annotations"], "category_id"), (results, "category_id")):
        for row in rows:
            row[key] += abs(more)
    assert_same_matches(*compare(mapping, results))


@pytest.mark.parametrize(
    "changed",
    [
        lambda row, number: {"iscrowd": 1},
        lambda row, number: {"iscrowd": int(row["category_id"] == 2)},  # all of one class
        lambda row, number: {"area": (0, 32**2, 96**2, np.nextafter(32**2, 0), 1e10, 1e11)[number % 6]},  # the ends
        lambda row, number: {"bbox": [row["bbox"][0], row["bbox"][1], -9.0, -9.0]},
    ],
)
def test_equals_cocoeval_on_odd_objects(changed):
    mapping, results = random_set(MANY)
    rows = [row | changed(row, number) for number, row in enumerate(mapping["annotations"])]
    found, expected = compare(mapping | {"annotations": rows}, results)
    assert_same_matches(found, expected)
    for label, count in enumerate(found.truth.instances):
        assert count or found.report.per_class[found.truth.names[label]]["AP"] == -1


def test_some_images_of_a_set():
    mapping = dataset_of()
    results, image_ids = detections_of(mapping), [103, 100, 117, 5]
    found = evaluate(truth_of(mapping).of_images(image_ids), Detections.of(results))
    chosen = {key: [row for row in mapping[key] if row.get("image_id", row["id"]) in image_ids] for key in mapping}
    assert found.report == compare(chosen | {"categories": mapping["categories"]}, results)[0].report
    assert found.report.metrics != compare(mapping, results)[0].report.metrics


def by_hand():
    """One image: objects 0 and 1 overlap, 2 is a crowd elsewhere; 3 is of another class, which nothing finds."""
    boxes = [[0, 0, 100, 100], [0, 10, 100, 100], [200, 0, 200, 200], [0, 0, 20, 20]]
    rows = zip(boxes, [1, 1, 1, 2], [0, 0, 1, 0], strict=True)
    annotations = [
        {"id": number, "image_id": 5, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}
        for number, (box, category, crowd) in enumerate(rows, 1)
    ]
    images = [{"id": 5, "width": 400, "height": 200}]
    return {"images": images, "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]} | {
        "annotations": annotations
    }


def test_who_found_whom():
    found = [
        ([0, 0, 100, 100], 0.9),  # object 0, which it is
        ([0, 0, 100, 100], 0.8),  # object 1 below an IoU of 9/11, as 0 is taken
        ([210, 10, 50, 50], 0.7),  # within the crowd
        ([210, 10, 50, 50], 0.6),  # too
        ([0, 150, 10, 10], 0.5),  # nothing
    ]
    results = [{"image_id": 5, "category_id": 1, "bbox": box, "score": score} for box, score in found]
    evaluation = evaluate(truth_of(by_hand()), Detections.of([*results, results[0] | {"image_id": 6}]))
    matches = evaluation.matches
    low, high = np.searchsorted(IOU_THRESHOLDS, [0.75, 0.85])
    objects, finders = matches.objects(), matches.detections()
    assert objects[low].tolist() == [0, 1, 2, 2, -1, -1] and objects[high].tolist() == [0, -1, 2, 2, -1, -1]
    assert finders[low].tolist() == [0, 1, 3, -1] and finders[high].tolist() == [0, -1, 3, -1]
    assert matches.is_ignored()[low].tolist() == [False, False, True, True, False, True]
    assert matches.counted.tolist() == [0, 1, 2, 3, 4] and matches.ranks.tolist() == [0, 1, 2, 3, 4]
    assert matches.counts().tolist() == [2, 1] and matches.of_class(1) == slice(5, 5)
    assert evaluation.report.per_class["a"] == {"AP": pytest.approx((7 * 1 + 3 * 51 / 101) / 10), "AP50": 1.0} | {
        "AR100": pytest.approx((7 * 1 + 3 * 0.5) / 10),
        "instances": 2,
    }


def test_of_two_equal_objects_the_later_is_found_first():
    mapping = by_hand()
    mapping["annotations"][1]["bbox"] = mapping["annotations"][0]["bbox"]
    results = [{"image_id": 5, "category_id": 1, "bbox": [0, 0, 100, 100], "score": score} for score in (0.9, 0.9)]
    assert evaluate(truth_of(mapping), Detections.of(results)).matches.objects()[0].tolist() == [1, 0]


def test_real_annotations_as_detections(shared):
    folder = shared / "data" / "coco3k"
    data = Dataset.of_coco(folder / "annotations" / "val.json", folder / "images", bad_boxes="drop")
    mapping = mapping_of(data.ground_truth())
    random = np.random.default_rng(0)
    results = [
        {key: row[key] for key in ("image_id", "category_id")}
        | {"bbox": (np.array(row["bbox"]) * random.normal(1, 0.1, 4)).tolist(), "score": float(random.random())}
        for row in mapping["annotations"]
    ]
    found, _ = compare(mapping, results)
    assert 0.1 < found.report.metrics["AP"] < 0.9
