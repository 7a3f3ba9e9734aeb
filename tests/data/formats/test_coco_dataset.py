"""A data set is read as it is written, or the first record that cannot be used is named in one sentence."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from detect.config.schema import DataSettings, SplitSettings
from detect.data.dataset import Dataset
from detect.data.formats.coco import Place, places
from detect.data.formats.opening import open_split
from detect.errors import UserError
from detect.ops.image import write_image
from tests.coco_mapping import mapping_of


def valid():
    """Two images of 40x30 px, three classes with gaps between their ids, three boxes."""
    return {
        "images": [
            {"id": 7, "file_name": "b.png", "width": 40, "height": 30},
            {"id": 3, "file_name": "a.png", "width": 40, "height": 30},
        ],
        "categories": [{"id": 90, "name": "cup"}, {"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 18, "bbox": [10, 5, 20, 10]},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 40, 30]},
            {"id": 3, "image_id": 3, "category_id": 90, "bbox": [1.5, 2.5, 3, 4], "iscrowd": 0},
        ],
    }


@pytest.fixture
def load(tmp_path):
    """Write a content beside two images and read it as a `Dataset`."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        write_image(folder / name, np.zeros((30, 40, 3), np.uint8))

    def load(content, **options):
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "set.json").write_text(text)
        return Dataset.of_coco(tmp_path / "set.json", folder, **options)

    return load


def error_of(function, *arguments, **options):
    with pytest.raises(UserError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_boxes_and_labels_are_read(load):
    dataset = load(valid())
    assert [image.id for image in dataset.images] == [3, 7]
    sample = dataset.sample(1)
    assert sample.image.shape == (30, 40, 3) and sample.image.dtype == np.uint8
    assert_array_equal(sample.boxes, np.array([[10, 5, 30, 15], [0, 0, 40, 30]], np.float32), strict=True)
    assert_array_equal(sample.labels, np.array([1, 0]), strict=True)
    assert sample.image_id == 7
    assert_array_equal(dataset.sample(0).boxes, np.array([[1.5, 2.5, 4.5, 6.5]], np.float32), strict=True)
    assert dataset.notes == [] and len(dataset) == 2


def test_ids_with_gaps_become_labels_and_go_back(load):
    content = valid()
    ids = [i for i in range(1, 91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]  # COCO's own
    content["categories"] = [{"id": i, "name": f"class {i}"} for i in reversed(ids)]
    content["annotations"] = [{"image_id": 3, "category_id": i, "bbox": [0, 0, 9, 9]} for i in ids]
    dataset = load(content)
    assert_array_equal(dataset.images[0].labels, np.arange(80))
    assert [dataset.categories[label]["id"] for label in dataset.images[0].labels] == ids
    assert [dataset.categories[label]["name"] for label in (0, 79)] == ["class 1", "class 90"]


def test_crowds_are_no_objects(load):
    content = valid()
    content["annotations"][0]["iscrowd"] = 1
    image = load(content).images[1]
    assert_array_equal(image.boxes[image.objects], np.array([[0, 0, 40, 30]], np.float32))


def test_an_image_without_objects_has_no_boxes(load):
    content = valid()
    content["annotations"] = []
    sample = load(content).sample(0)
    assert (sample.boxes.shape, sample.boxes.dtype) == ((0, 4), np.float32)
    assert (sample.labels.shape, sample.labels.dtype) == ((0,), np.int64)


def change(*path, to=None):
    """A function that sets (or, without `to`, removes) the value at `path` of a content."""

    def apply(content):
        for key in path[:-1]:
            content = content[key]
        if to is None:
            del content[path[-1]]
        else:
            content[path[-1]] = to

    return apply


IDS = "ids are whole numbers"
BBOX = "a bbox is [left, top, width, height] in px"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (change("images"), "has no list 'images'; a COCO file holds images, annotations and categories"),
        (change("annotations", to=5), "has no list 'annotations'"),
        (change("categories", to={}), "has no list 'categories'"),
        (change("categories", to=[]), "lists no categories"),
        (change("images", to=[]), "lists no images"),
        (change("images", 1, to=5), "images[1] is no object"),
        (change("images", 0, "file_name"), "images[0] has no 'file_name'"),
        (change("images", 0, "width"), "images[0] has no 'width'"),
        (change("annotations", 2, "bbox"), "annotations[2] has no 'bbox'"),
        (change("annotations", 2, "category_id"), "annotations[2] has no 'category_id'"),
        (change("categories", 1, "name"), "categories[1] has no 'name'"),
        (change("images", 0, "id", to="7"), f"images[0] has the id '7'; {IDS}"),
        (change("images", 0, "id", to=True), f"images[0] has the id True; {IDS}"),
        (change("annotations", 0, "image_id", to=7.0), f"annotations[0] has the image_id 7.0; {IDS}"),
        (change("annotations", 0, "category_id", to=[1]), f"annotations[0] has the category_id [1]; {IDS}"),
        (change("categories", 0, "id", to={}), f"categories[0] has the id {{}}; {IDS}"),
        (change("categories", 1, "id", to=18), "category id 18 occurs twice ('person', 'dog')"),
        (change("images", 1, "id", to=7), "image id 7 occurs twice"),
        (change("images", 0, "width", to=0), "image 7 has the size 0 x 30; give whole px from 1 on"),
        (change("images", 0, "height", to=-3), "image 7 has the size 40 x -3; give whole px from 1 on"),
        (change("images", 0, "height", to="30"), "image 7 has the size 40 x '30'; give whole px"),
        (change("annotations", 0, "image_id", to=8), "box 1 of image 8: there is no image 8 in 'images'"),
        (change("annotations", 0, "category_id", to=19), "box 1 of image 7 has category 19"),
        (change("annotations", 0, "bbox", to=[1, 2, 3]), f"box 1 of image 7 is [1, 2, 3]; {BBOX}"),
        (change("annotations", 0, "bbox", to={"x": 1}), f"box 1 of image 7 is {{'x': 1}}; {BBOX}"),
        (change("annotations", 0, "bbox", to=[1, 2, "3", 4]), f"box 1 of image 7 is [1, 2, '3', 4]; {BBOX}"),
        (change("annotations", 0, "bbox", 2, to=float("nan")), f"box 1 of image 7 is [10, 5, nan, 10]; {BBOX}"),
        (change("annotations", 0, "bbox", 2, to=float("inf")), f"box 1 of image 7 is [10, 5, inf, 10]; {BBOX}"),
        (change("annotations", 0, "bbox", 2, to=True), f"box 1 of image 7 is [10, 5, True, 10]; {BBOX}"),
        (change("annotations", 0, "bbox", 2, to=0), "box 1 of image 7 has width 0; remove it, or set data.bad_boxes"),
        (change("annotations", 0, "bbox", 3, to=-1), "box 1 of image 7 has height -1; remove it"),
        (change("annotations", 0, "bbox", 0, to=40), "box 1 of image 7 lies outside its image of 40x30 px"),
        (change("annotations", 0, "bbox", 1, to=-10), "box 1 of image 7 lies outside its image of 40x30 px"),
    ],
)
def test_every_malformed_record_is_named(load, tmp_path, spoil, expected):
    content = valid()
    spoil(content)
    assert error_of(load, content).startswith(f"{tmp_path / 'set.json'}: {expected}")


@pytest.mark.parametrize("bbox", [[10, 5, 10**400, 9], [10, 5, 1e-7, 9], [40 - 1e-9, 5, 9, 9]])
def test_boxes_that_float32_cannot_hold_are_named(load, bbox):
    content = valid()
    content["annotations"][0]["bbox"] = bbox
    assert "box 1 of image 7" in error_of(load, content)


def test_a_misspelt_field_is_shown_the_nearest(load):
    content = valid()
    content["images"][0]["filename"] = content["images"][0].pop("file_name")
    assert error_of(load, content).endswith("images[0] has no 'file_name'; did you mean 'filename'?")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ":1:1: not JSON"), ("[1, 2", ":1:6: not JSON"), ("[]", ": is no COCO file"), ("7", ": is no COCO file")],
)
def test_what_is_no_coco_file_is_refused(load, tmp_path, text, expected):
    assert error_of(load, text).startswith(f"{tmp_path / 'set.json'}{expected}")


def test_bad_boxes_are_dropped_and_counted_if_told(load, tmp_path):
    content = valid()
    content["annotations"][0]["bbox"] = [10, 5, 0, 10]
    content["annotations"][2]["bbox"] = [50, 2, 3, 4]
    assert "box 1 of image 7 has width 0 (and 1 more like it)" in error_of(load, content)
    dataset = load(content, bad_boxes="drop")
    note = f"{tmp_path / 'set.json'}: dropped 2 bad boxes, the first: box 1 of image 7 has width 0"
    assert dataset.notes == [note]
    assert [len(image.boxes) for image in dataset.images] == [0, 1]
    assert [len(image.labels) for image in dataset.images] == [0, 1]


def test_boxes_beyond_the_border_are_cut(load):
    content = valid()
    content["annotations"][0]["bbox"] = [30, 20, 20, 20]
    content["annotations"][1]["bbox"] = [-0.5, -0.5, 41, 31]  # rounding is no news
    dataset = load(content)
    assert_array_equal(dataset.images[1].boxes, np.array([[30, 20, 40, 30], [0, 0, 40, 30]], np.float32))
    assert dataset.notes == []  # the doctor tells it


def test_another_spelling_of_a_file_name_is_found_and_noted(load, tmp_path):
    content = valid()
    content["images"][0]["file_name"] = "B.PNG"
    dataset = load(content)
    assert dataset.images[1].path == tmp_path / "images" / "b.png"
    assert dataset.notes[0].endswith("the first: 'B.PNG' is there as 'b.png'")


@pytest.mark.parametrize("name", ["../secret.png", "sub/../../secret.png", "{root}/secret.png", "link.png", "up/x.png"])
def test_file_names_that_lead_out_are_refused(load, tmp_path, name):
    write_image(tmp_path / "secret.png", np.zeros((30, 40, 3), np.uint8))
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "images" / "up").symlink_to(tmp_path)
    content = valid()
    content["images"][0]["file_name"] = name.format(root=tmp_path)
    assert f"does not name a file within {tmp_path / 'images'}" in error_of(load, content)


def test_file_names_in_subfolders_are_fine(load, tmp_path):
    (tmp_path / "images" / "sub").mkdir()
    write_image(tmp_path / "images" / "sub" / "c.png", np.full((30, 40, 3), 9, np.uint8))
    content = valid()
    content["images"][0]["file_name"] = "sub/c.png"
    assert load(content).sample(1).image[0, 0, 0] == 9


def test_impossible_file_names_are_a_sentence(load):
    content = valid()
    content["images"][0]["file_name"] = "a\0.png"
    error_of(load, content)


def test_missing_files_are_named(load, tmp_path):
    load(valid())
    message = error_of(Dataset.of_coco, tmp_path / "sett.json", tmp_path / "images")
    assert (
        message.startswith(f"{tmp_path / 'sett.json'}: no such file or folder (tried {tmp_path / 'sett.json'})")
        and "'set.json'" in message
    )
    assert "image'" not in error_of(Dataset.of_coco, tmp_path / "set.json", tmp_path / "image")
    (tmp_path / "images" / "a.png").unlink()
    assert str(tmp_path / "images" / "a.png") in error_of(load(valid()).sample, 0)


def test_a_size_that_does_not_agree_is_named(load, tmp_path):
    content = valid()
    content["images"][0].update(width=30, height=40)
    content["annotations"] = []
    expected = (
        f"{tmp_path / 'images' / 'b.png'}: is 40x30 px upright, but its annotation says 30x40; "
        "correct the record of image 7 and its boxes, or, if EXIF turns the image, save it without"
    )
    assert error_of(load(content).sample, 1) == expected


def test_the_size_is_that_of_the_image_turned_upright(load, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "b.png", exif=exif)
    assert "is 30x40 px upright" in error_of(load(valid()).sample, 1)


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/val.json", "images/val"),
        ("annotations/val.json", "images"),
    ],
)
def test_the_usual_layouts_are_found(tmp_path, annotations, images):
    (tmp_path / images).mkdir(parents=True)
    (tmp_path / annotations).parent.mkdir()
    (tmp_path / annotations).touch()
    data = DataSettings(root=str(tmp_path))
    assert places(data) == {"val": Place(tmp_path / annotations, tmp_path / images)}
    message = error_of(open_split, data, "train")
    assert message == f"{tmp_path}: no split 'train' (coco); there is val; name others in data.splits"


def test_other_layouts_are_named_by_the_user(tmp_path):
    data = DataSettings(root=str(tmp_path), splits={"val": SplitSettings(images="p", annotations="a.json")})
    assert places(data) == {"val": Place(tmp_path / "a.json", tmp_path / "p")}
    missing = DataSettings(root=str(tmp_path / "nowhere"))
    assert error_of(open_split, missing, "val").startswith(f"data.root: no such file or folder {tmp_path / 'nowhere'}")


def test_coco3k_is_read(shared):
    data = DataSettings(root=str(shared / "data" / "coco3k"))
    train = Dataset.of_split(data, "train")
    assert (len(train), len(train.categories)) == (2572, 80)
    labels = np.concatenate([image.labels for image in train.images])
    assert_array_equal(np.unique(labels), np.arange(80))
    for image in train.images:
        assert (image.boxes[:, 2:] > image.boxes[:, :2]).all()
        assert (image.boxes >= 0).all() and (image.boxes <= [image.width, image.height] * 2).all()
    sample = train.sample(0)
    assert sample.image.shape[:2] == (train.images[0].height, train.images[0].width)


def test_the_ground_truth_is_the_file_with_what_may_be_missing(load):
    content = valid()
    content["annotations"][1].update(id=1, area=77.5)  # an id twice
    content["annotations"][2].update(iscrowd=1, bbox=[-9, -9, 100, 100])
    content["annotations"] += [
        {"id": 0, "image_id": 3, "category_id": 90, "bbox": [50, 2, 3, 4]},
        {"image_id": 7, "category_id": 1, "bbox": [35, 25, 20, -2.5], "iscrowd": None},
    ]
    dataset = load(content, bad_boxes="drop")
    truth = mapping_of(dataset.ground_truth())
    assert truth["annotations"] == [
        {"id": 1, "image_id": 7, "category_id": 18, "bbox": [10, 5, 20, 10], "area": 200, "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 40, 30], "area": 77.5, "iscrowd": 0},
        {"id": 3, "image_id": 3, "category_id": 90, "bbox": [-9, -9, 100, 100], "area": 10000, "iscrowd": 1},
        {"id": 4, "image_id": 3, "category_id": 90, "bbox": [50, 2, 3, 4], "area": 12, "iscrowd": 0},
        {"id": 5, "image_id": 7, "category_id": 1, "bbox": [35, 25, 20, -2.5], "area": -50, "iscrowd": 0},
    ]
    assert truth["images"] == [{"id": 3, "width": 40, "height": 30}, {"id": 7, "width": 40, "height": 30}]
    assert truth["categories"] == [
        {"id": 1, "name": "person"},
        {"id": 18, "name": "dog"},
        {"id": 90, "name": "cup"},
    ]
    assert [len(image.objects) for image in dataset.images] == [0, 2]
    assert truth == json.loads(json.dumps(truth)) == mapping_of(dataset.ground_truth())


def test_a_set_without_boxes_has_a_ground_truth(load):
    content = valid()
    content["annotations"] = []
    assert mapping_of(load(content).ground_truth())["annotations"] == []


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", b"[" * 100_000, b"9" * 10_000])
def test_what_is_no_text_of_json_is_named(load, tmp_path, text):
    load(valid())
    (tmp_path / "set.json").write_bytes(text)
    assert error_of(Dataset.of_coco, tmp_path / "set.json", tmp_path / "images").startswith(
        f"{tmp_path / 'set.json'}: "
    )


# ---- boxes with a score, and crowds --------------------------------------------------------------------------------


def scored(*scores):
    """`valid()` with boxes of these scores in image 7, side by side; None: no score."""
    content = valid()
    content["annotations"] = [
        {"id": i, "image_id": 7, "category_id": 1, "bbox": [3 * i, 5, 2, 10]}
        | ({} if score is None else {"score": score})
        for i, score in enumerate(scores)
    ]
    return content


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, {0: 1, 1: 1, 2: 1, 3: 0, 4: 0}),
        ({"weighted": True}, {0: 1, 1: 0.9, 2: 0.5, 3: 0, 4: 0}),
        ({"learn": 0.9, "ignore": 0.45}, {0: 1, 1: 1, 2: 0, 3: 0}),
        ({"learn": 0.1, "ignore": 0.1}, {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1}),
    ],
)
def test_scores_decide_what_is_learned_ignored_or_left_out(load, options, weights):
    dataset = load(scored(None, 0.9, 0.5, 0.49, 0.2, 0.19, 0), **options)
    image = dataset.images[1]
    found = dict(zip((image.boxes[:, 0] / 3).astype(int).tolist(), image.weights, strict=True))
    assert found == pytest.approx(weights)
    assert image.objects.tolist() == [i for i, number in enumerate(found) if weights[number]]


def test_what_became_of_scores_is_counted(load):
    (note,) = load(scored(None, 0.9, 0.5, 0.49, 0.2, 0.19, 0)).notes
    assert (
        "of 6 boxes with a score, 2 are learned (from 0.5 on), 2 are ignore regions (from 0.2 on), 2 are left" in note
    )


def test_evaluation_ignores_what_training_ignores(load):
    annotations = mapping_of(load(scored(None, 0.9, 0.5, 0.49, 0.2, 0.19, 0)).ground_truth())["annotations"]
    assert [(a["bbox"][0] / 3, a["iscrowd"]) for a in annotations] == [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1)]


@pytest.mark.parametrize("score", ["0.5", True, -0.1, 1.1, [1], float("nan"), 10**400])
def test_a_score_that_is_none_is_named(load, score):
    assert "box 1 of image 7 has the score" in error_of(load, scored(None, score))


def test_crowds_are_ignore_regions_whatever_their_box(load):
    content = valid()
    for box in ([10, 5, 20, 10], [0, 0, 0, 0], [-50, -50, 10, 10], [-5, -5, 400, 400]):
        content["annotations"].append({"id": 9, "image_id": 3, "category_id": 18, "bbox": box, "iscrowd": 1})
    dataset = load(content)
    image = dataset.images[0]
    assert image.boxes[image.weights == 0].tolist() == [[10, 5, 30, 15], [0, 0, 40, 30]]
    assert image.objects.tolist() == [0] and image.labels[0] == 2
    assert any(note.endswith("4 crowds are ignore regions") for note in dataset.notes)
