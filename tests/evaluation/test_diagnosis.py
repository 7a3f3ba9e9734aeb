"""Each usual reason for an AP of 0 is named, and nothing is blamed that is not there."""

import numpy as np
import pytest

from detect.evaluation.detections import Detections
from detect.evaluation.diagnosis import diagnose
from detect.evaluation.fast import evaluate
from detect.ops.letterbox import Letterbox
from tests.coco_mapping import truth_of

CATEGORY_IDS = np.array([2, 3, 5, 7, 11, 13, 17, 44, 90])


@pytest.fixture(scope="module")
def content():
    """A set in COCO's form: 30 images of several shapes, four to nine random objects each, one crowd in all."""
    random = np.random.default_rng(0)
    images, annotations = [], []
    for image_id in range(1000, 1030):
        width, height = random.integers(300, 700, 2).tolist()
        images.append({"id": image_id, "file_name": f"{image_id}.jpg", "width": width, "height": height})
        for _ in range(random.integers(4, 10)):
            size = random.uniform(0.08, 0.4, 2) * [width, height]
            box = [*random.uniform(0, [width, height] - size), *size]
            annotation = {"id": len(annotations) + 1, "image_id": image_id, "bbox": [float(number) for number in box]}
            annotations.append(
                annotation
                | {"category_id": int(random.choice(CATEGORY_IDS)), "area": float(np.prod(size)), "iscrowd": 0}
            )
    annotations[0]["iscrowd"] = 1
    categories = [{"id": number, "name": f"class {number}"} for number in CATEGORY_IDS.tolist()]
    return {"images": images, "annotations": annotations, "categories": categories}


def diagnosed(content, results):
    return diagnose(truth_of(content), Detections.of(results))


def average_precision(content, results):
    return evaluate(truth_of(content), Detections.of(results)).report.metrics["AP"]


@pytest.fixture
def good(content):
    """A decent detector's results: every object with a slightly wrong box, and five boxes of nothing per image."""
    random = np.random.default_rng(1)
    detections = [
        {
            "image_id": annotation["image_id"],
            "category_id": annotation["category_id"],
            "bbox": (
                np.array(annotation["bbox"]) + random.uniform(-0.05, 0.05, 4) * np.tile(annotation["bbox"][2:], 2)
            ).tolist(),
            "score": float(random.uniform(0.5, 1)),
        }
        for annotation in content["annotations"]
    ]
    return detections + boxes_of_nothing(content, 5, random)


def boxes_of_nothing(content, count, random):
    return [
        {
            "image_id": image["id"],
            "category_id": int(random.choice(CATEGORY_IDS)),
            "bbox": [*(random.uniform(0, 0.9, 2) * size).tolist(), *(random.uniform(0.02, 0.1, 2) * size).tolist()],
            "score": float(random.uniform(0, 0.3)),
        }
        for image in content["images"]
        for size in [np.array([image["width"], image["height"]])]
        for _ in range(count)
    ]


def rewritten(content, detections, write):
    """`detections` with each box as `write(x, y, w, h, image)` writes it."""
    images = {image["id"]: image for image in content["images"]}
    return [
        detection | {"bbox": [float(n) for n in write(*detection["bbox"], images[detection["image_id"]])]}
        for detection in detections
    ]


def in_letterbox(x, y, w, h, image):
    left, top, right, bottom = (
        Letterbox(image["width"], image["height"], 416).apply_boxes([[x, y, x + w, y + h]])[0].tolist()
    )
    return left, top, right - left, bottom - top


def in_letterbox_as_corners(x, y, w, h, image):
    left, top, width, height = in_letterbox(x, y, w, h, image)
    return left, top, left + width, top + height


def resized(x, y, w, h, image):
    scale_x, scale_y = 608 / image["width"], 608 / image["height"]
    return x * scale_x, y * scale_y, w * scale_x, h * scale_y


def at_top_left(x, y, w, h, image):
    scale = 640 / max(image["width"], image["height"])
    return x * scale, y * scale, w * scale, h * scale


def normalised(x, y, w, h, image):
    return x / image["width"], y / image["height"], w / image["width"], h / image["height"]


def normalised_centre(x, y, w, h, image):
    return normalised(x + w / 2, y + h / 2, w, h, image)


def normalised_tensorflow(x, y, w, h, image):
    left, top, width, height = normalised(x, y, w, h, image)
    return top, left, top + height, left + width


@pytest.mark.parametrize(
    ("write", "named"),
    [
        (normalised, "normalised to 0..1 instead of px:"),
        (normalised_centre, "normalised to 0..1 instead of px, written as [centre x, centre y, width, height]:"),
        (normalised_tensorflow, "normalised to 0..1 instead of px, written as x and y swapped corners"),
        (lambda x, y, w, h, image: (x, y, x + w, y + h), "written as corners [left, top, right, bottom]:"),
        (lambda x, y, w, h, image: (x + w / 2, y + h / 2, w, h), "written as [centre x, centre y, width, height]:"),
        (lambda x, y, w, h, image: (y, x, h, w), "written as x and y swapped [top, left, height, width]:"),
        (lambda x, y, w, h, image: (y, x, y + h, x + w), "written as x and y swapped corners"),
        (in_letterbox, "px of a 416 px letterbox (image centred):"),
        (in_letterbox_as_corners, "px of a 416 px letterbox (image centred), written as corners"),
        (at_top_left, "px of a 640 px letterbox (image at the top left):"),
        (resized, "px of a plain resize to 608 x 608:"),
    ],
)
def test_wrong_frame_is_named(content, good, write, named):
    sentences = diagnosed(content, rewritten(content, good, write))
    assert len(sentences) == 2
    assert sentences[0].startswith(f"Boxes look like {named}")
    assert "original image" in sentences[0]
    assert sentences[1].startswith("Best IoU of each of ")


def test_no_detections_at_all(content):
    (sentence,) = diagnosed(content, [])
    assert "no detections at all" in sentence


def test_unknown_image_ids_are_counted_with_examples(content, good):
    shifted = [detection | {"image_id": detection["image_id"] - 1000} for detection in good]
    assert average_precision(content, shifted) == 0
    sentences = diagnosed(content, shifted)
    assert sentences[0].startswith("30 of 30 image ids of the detections do not occur")
    assert "detections have e.g. 0, annotations 1000" in sentences[0]
    assert "No image has both" in sentences[1]


def test_few_images_with_detections_are_noticed(content, good):
    sentences = diagnosed(content, [detection for detection in good if detection["image_id"] < 1003])
    assert sentences[0].startswith("Only 3 of 30 images with objects have detections")


def test_labels_instead_of_category_ids_are_named(content, good):
    contiguous = {category_id: label for label, category_id in enumerate(CATEGORY_IDS.tolist())}
    labels = [detection | {"category_id": contiguous[detection["category_id"]]} for detection in good]
    assert average_precision(content, labels) < 0.01
    unknown, mistake, _ = diagnosed(content, labels)
    assert unknown.startswith("5 of 9 category ids of the detections do not occur in the annotations (0, 1, 4, 6, 8)")
    assert "labels 0..8: write the ids of the annotation file (2, 3, 5, 7, 11, ...)" in unknown
    assert mistake.startswith("Boxes fit but labels do not")
    assert "they look like the model's labels 0..8 instead of the file's ids" in mistake


def test_shuffled_and_shifted_labels_are_told_apart(content, good):
    shifted = [detection | {"category_id": detection["category_id"] - 1} for detection in good]
    assert "; they look one too small:" in diagnosed(content, shifted)[1]
    next_one = dict(zip(CATEGORY_IDS.tolist(), np.roll(CATEGORY_IDS, 1).tolist(), strict=True))
    shuffled = [detection | {"category_id": next_one[detection["category_id"]]} for detection in good]
    sentences = diagnosed(content, shuffled)
    assert sentences[0].startswith("Boxes fit but labels do not")
    assert "they look" not in sentences[0]


@pytest.mark.parametrize("write", [lambda x, y, w, h, image: (x, y, w, h), normalised])
def test_untrained_model_is_not_blamed_on_the_frame(content, write):
    nothing = boxes_of_nothing(content, 60, np.random.default_rng(2))
    sentences = diagnosed(content, rewritten(content, nothing, write))
    assert "nowhere near objects: the model seems untrained (mean best IoU 0." in sentences[0]


def test_roughly_placed_boxes_are_called_so(content, good):
    rough = rewritten(content, good, lambda x, y, w, h, image: (x - 0.3 * w, y + 0.25 * h, w, h))
    assert "only roughly around objects" in diagnosed(content, rough)[0]


def test_wrong_scores_are_what_is_left(content, good):
    crowd_out = [detection | {"score": 1 - detection["score"]} for detection in good]
    crowd_out += [
        detection | {"score": 0.9 + detection["score"] / 10}
        for detection in boxes_of_nothing(content, 90, np.random.default_rng(3))
    ]
    assert diagnosed(content, crowd_out)[0].startswith("Boxes and labels lie near objects, yet AP is 0.0")


def test_good_detections_are_not_blamed(content, good):
    sentences = diagnosed(content, good)
    assert sentences[0].startswith("Nothing stands out")
    assert sentences[1].endswith("0.75 to 1: 100%.")
