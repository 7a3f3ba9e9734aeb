"""The project's AP is pycocotools' AP, digit by digit, also where pycocotools itself stumbles."""

import contextlib
import copy
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detect.data.dataset import Dataset
from detect.errors import UserError
from detect.evaluation.coco import METRICS, evaluate_detections, per_class_table
from detect.evaluation.detections import Detections

CATEGORY_IDS = (1, 3, 18, 90)  # with gaps, as COCO's; nothing of 90 is annotated


def dataset_of(count=20, seed=0):
    """A file in COCO's format with `count` images, three to seven objects each, every eighth a crowd."""
    random = np.random.default_rng(seed)
    images, annotations = [], []
    for image_id in range(100, 100 + count):
        images.append({"id": image_id, "file_name": f"{image_id}.jpg", "width": 640, "height": 480})
        for _ in range(random.integers(3, 8)):
            size = np.exp(random.uniform(np.log(12), np.log(300), 2))
            left_top = random.uniform(0, [640, 480] - size)
            number = len(annotations) + 1
            annotation = {"id": number, "image_id": image_id, "category_id": int(random.choice(CATEGORY_IDS[:3]))}
            annotation |= {"bbox": [*left_top.tolist(), *size.tolist()], "area": float(size.prod())}
            annotations.append(annotation | {"iscrowd": int(number % 8 == 0)})
    categories = [{"id": number, "name": f"thing {number}"} for number in CATEGORY_IDS]
    return {"images": images, "annotations": annotations, "categories": categories}


def detections_of(dataset, seed=1):
    """Imperfect detections: jittered boxes, some labels wrong, some objects missed, some boxes of nothing."""
    random = np.random.default_rng(seed)
    detections = []
    for annotation in dataset["annotations"]:
        for _ in range(random.integers(0, 4)):
            box = np.array(annotation["bbox"]) + random.normal(0, 0.06, 4) * np.tile(annotation["bbox"][2:], 2)
            right = random.random() < 0.8
            category_id = annotation["category_id"] if right else int(random.choice(CATEGORY_IDS))
            detections.append(result(annotation, box.tolist(), float(random.random()), category_id))
    return detections


def result(annotation, box=None, score=1.0, category_id=None):
    return {
        "image_id": annotation["image_id"],
        "category_id": category_id or annotation["category_id"],
        "bbox": box or annotation["bbox"],
        "score": score,
    }


def perfect(dataset):
    return [result(annotation) for annotation in dataset["annotations"] if not annotation["iscrowd"]]


def by_pycocotools(annotations_file, detections, image_ids=None):
    """(COCOeval, what its summarize prints), the way pycocotools' demo does it."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO(str(annotations_file))
        evaluation = COCOeval(ground_truth, ground_truth.loadRes(copy.deepcopy(detections)), "bbox")
        if image_ids is not None:
            evaluation.params.imgIds = image_ids
        evaluation.evaluate()
        evaluation.accumulate()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        evaluation.summarize()
    return evaluation, printed.getvalue()


def load(annotations_file):
    dataset = Dataset.of_coco(annotations_file, annotations_file.parent, bad_boxes="drop")
    return dataset.ground_truth()


def evaluated(truth, results):
    return evaluate_detections(truth, Detections.of(results))


@pytest.fixture
def dataset():
    return dataset_of()


@pytest.fixture
def annotations_file(tmp_path, dataset):
    path = tmp_path / "val.json"
    path.write_text(json.dumps(dataset))
    return path


@pytest.mark.parametrize("image_ids", [None, [103, 100, 117]])
def test_equals_a_direct_run_of_pycocotools(annotations_file, dataset, image_ids, capsys):
    detections = detections_of(dataset)
    expected, printed = by_pycocotools(annotations_file, detections, image_ids)
    truth = load(annotations_file)
    report = evaluated(truth if image_ids is None else truth.of_images(image_ids), detections)
    assert capsys.readouterr().out == ""
    assert report.lines + "\n" == printed
    assert len(report.lines.split("\n")) == 12
    assert tuple(report.metrics) == METRICS
    assert list(report.metrics.values()) == expected.stats.tolist()
    assert 0.05 < report.metrics["AP"] < 0.95  # a claim about something in between


def test_perfect_detections_give_1_and_crowds_are_no_misses(dataset, ground_truth_from):
    metrics = evaluated(ground_truth_from(dataset), perfect(dataset)).metrics
    assert metrics["AP"] == pytest.approx(1)
    assert metrics["AR100"] == 1


def test_detections_within_a_crowd_are_no_mistakes(dataset, ground_truth_from):
    crowd = next(annotation for annotation in dataset["annotations"] if annotation["iscrowd"])
    left, top, width, height = crowd["bbox"]
    inside = [result(crowd, [left + width / 4, top + height / 4, width / 2, height / 2])] * 5
    report = evaluated(ground_truth_from(dataset), inside + perfect(dataset))
    assert report.metrics["AP"] == pytest.approx(1)
    elsewhere = [result(crowd, [0, 0, 3, 3])] * 5
    assert evaluated(ground_truth_from(dataset), elsewhere + perfect(dataset)).metrics["AP"] < 1


def test_no_detections_give_0_and_nothing_annotated_gives_minus_1(dataset, ground_truth_from):
    report = evaluated(ground_truth_from(dataset), [])
    assert report.metrics["AP"] == report.metrics["AR100"] == 0
    assert len(report.lines.split("\n")) == 12
    nothing = ground_truth_from(dataset | {"annotations": []})
    assert set(evaluated(nothing, perfect(dataset)).metrics.values()) == {-1}
    assert set(evaluated(nothing, []).metrics.values()) == {-1}
    assert set(evaluated(ground_truth_from(dataset).of_images([]), []).metrics.values()) == {-1}


def test_detections_of_unknown_images_have_no_say(dataset, ground_truth_from):
    strangers = [detection | {"image_id": detection["image_id"] + 9000} for detection in perfect(dataset)]
    ground_truth = ground_truth_from(dataset)
    assert evaluated(ground_truth, strangers).metrics["AP"] == 0
    assert evaluated(ground_truth, strangers + perfect(dataset)).metrics["AP"] == pytest.approx(1)
    everywhere = ground_truth.of_images([*ground_truth.image_ids.tolist(), strangers[0]["image_id"]])
    assert evaluated(everywhere, strangers + perfect(dataset)).metrics["AP"] == pytest.approx(1)


def test_annotation_id_0_counts_as_found(dataset, ground_truth_from):
    """COCOeval takes id 0 for "not found": tools that number from 0 would lose an object."""
    dataset["annotations"][0]["id"] = 0
    assert evaluated(ground_truth_from(dataset), perfect(dataset)).metrics["AP"] == pytest.approx(1)


def test_area_and_iscrowd_may_be_missing(dataset, ground_truth_from):
    dataset["annotations"] = [annotation for annotation in dataset["annotations"] if not annotation["iscrowd"]]
    expected = evaluated(ground_truth_from(dataset), detections_of(dataset))
    bare = copy.deepcopy(dataset)
    for annotation in bare["annotations"]:
        del annotation["area"], annotation["iscrowd"]
    assert evaluated(ground_truth_from(bare), detections_of(dataset)) == expected


def test_boxes_without_extent_count_as_pycocotools_does(annotations_file, dataset):
    for index, size in enumerate(([0, 5], [5, 0], [-4, 6], [0, 0])):
        dataset["annotations"][index]["bbox"][2:] = size
    annotations_file.write_text(json.dumps(dataset))
    expected, _ = by_pycocotools(annotations_file, detections_of(dataset_of()))
    report = evaluated(load(annotations_file), detections_of(dataset_of()))
    assert list(report.metrics.values()) == expected.stats.tolist()


def test_mean_of_the_classes_is_the_summary(dataset, ground_truth_from):
    report = evaluated(ground_truth_from(dataset), detections_of(dataset))
    classes = list(report.per_class.values())
    assert list(report.per_class) == [f"thing {number}" for number in CATEGORY_IDS]
    for key in ("AP", "AP50", "AR100"):
        annotated = [values[key] for values in classes if values["instances"]]
        assert np.mean(annotated) == pytest.approx(report.metrics[key], abs=1e-12)
    assert sum(values["instances"] for values in classes) == len(perfect(dataset))
    assert report.per_class["thing 90"] == {"AP": -1, "AP50": -1, "AR100": -1, "instances": 0}


def test_each_class_equals_a_run_on_it_alone(dataset, ground_truth_from):
    ground_truth, detections = ground_truth_from(dataset), detections_of(dataset)
    report = evaluated(ground_truth, detections)
    alone = dataset | {"annotations": [a for a in dataset["annotations"] if a["category_id"] == 3]}
    metrics = evaluated(ground_truth_from(alone), detections).metrics
    assert report.per_class["thing 3"]["AP"] == pytest.approx(metrics["AP"], abs=1e-12)
    assert report.per_class["thing 3"]["AP50"] == pytest.approx(metrics["AP50"], abs=1e-12)


def test_classes_of_one_name_stay_apart(dataset, ground_truth_from):
    dataset["categories"][1]["name"] = "thing 1"
    report = evaluated(ground_truth_from(dataset), perfect(dataset))
    assert list(report.per_class) == ["thing 1 (id 1)", "thing 1 (id 3)", "thing 18", "thing 90"]


def test_per_class_table_is_aligned_and_harmless(dataset, ground_truth_from):
    dataset["categories"][1]["name"] = "\x1b[2Jbad\n" + "x" * 500
    table = per_class_table(evaluated(ground_truth_from(dataset), perfect(dataset)))
    lines = table.split("\n")
    assert lines[0].split() == ["class", "instances", "AP", "AP50", "AR100"]
    assert len(lines) == 1 + len(CATEGORY_IDS)
    assert len({len(line) for line in lines}) == 1
    assert "\x1b" not in table
    assert lines[1].endswith("1.000  1.000  1.000")
    assert lines[-1].split() == ["thing", "90", "0", "-", "-", "-"]


def test_detections_that_are_no_numbers_are_refused(dataset, ground_truth_from):
    detections = perfect(dataset)
    detections[4]["score"] = float("nan")
    with pytest.raises(UserError, match=rf"1 of {len(detections)} .*image {detections[4]['image_id']}; .*NaN"):
        evaluated(ground_truth_from(dataset), detections)


def test_importing_needs_no_torch():
    modules = "detect.evaluation.coco, detect.evaluation.diagnosis, detect.evaluation.submission"
    subprocess.run([sys.executable, "-c", f"import sys, {modules}; assert 'torch' not in sys.modules"], check=True)


def test_real_annotations_as_detections_give_1(shared, capsys):
    path = shared / "data/coco3k/annotations/val.json"
    ground_truth = load(path)
    detections = perfect(json.loads(path.read_text()))
    report = evaluated(ground_truth, detections)
    assert capsys.readouterr().out == ""
    assert report.metrics["AP"] > 0.99
    assert report.lines + "\n" == by_pycocotools(path, detections)[1]
