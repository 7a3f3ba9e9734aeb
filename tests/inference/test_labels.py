"""What a detector finds in photos becomes a label file that our own reader takes, and that nobody loses work to."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from detect.data.check_files import check_files
from detect.data.dataset import Dataset
from detect.errors import UserError
from detect.inference.labels import label_files
from detect.ops.image import write_image
from tests.coco_mapping import mapping_of
from tests.inference.stand_in import StandIn

CATEGORIES = [{"id": 3, "name": "person"}, {"id": 17, "name": "dog"}]
BOXES = np.array([[10.126, 4, 30, 24.5], [0, 0, 80, 60], [5, 5, 5.4, 40]], np.float32)  # the last is 0.4 px wide


class Finder(StandIn):
    """Finds the same in every image, nothing in one whose first px is black."""

    def found(self, image):
        count = 3 if image[0, 0].any() else 0
        return BOXES[:count], np.array([0.71239, 0.25, 0.1])[:count], np.array([1, 0, 1])[:count]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, grey in (("b.jpg", 100), ("a.png", 0), ("more/c.jpg", 100)):
        write_image(folder / name, np.full((60, 80, 3), grey, np.uint8))
    return folder


def label(source, out, predictor=None, **options):
    told = []
    summary = label_files(predictor or Finder(), CATEGORIES, source, out, log=told.append, **options)
    return summary, told


def test_several_sources_are_named_from_their_common_folder(photos, tmp_path):
    sources = [photos / "b.jpg", str(photos / "more"), photos / "b.jpg", photos / "none.jpg"]
    summary, _ = label(sources, tmp_path / "labels.json")
    content = json.loads((tmp_path / "labels.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["b.jpg", "more/c.jpg"]
    assert summary["folder"] == str(photos) and "none.jpg: no such file" in summary["errors"][0]
    with pytest.raises(UserError, match="none of the photos given is there"):
        label([photos / "no.jpg", photos / "none.jpg"], tmp_path / "labels.json")


def test_images_that_reach_the_limit_are_counted(photos, tmp_path):
    finder = Finder()
    finder.max_detections = 3
    assert label(photos, tmp_path / "labels.json", finder)[0]["limited"] == 1


def test_labels_are_coco_json_with_scores(photos, tmp_path):
    summary, told = label(photos, tmp_path / "labels.json")
    content = json.loads((tmp_path / "labels.json").read_text())
    assert content["categories"] == CATEGORIES
    assert content["images"] == [
        {"id": 1, "file_name": "a.png", "width": 80, "height": 60},
        {"id": 2, "file_name": "b.jpg", "width": 80, "height": 60},
    ]
    assert content["annotations"] == [
        {"id": 1, "image_id": 2, "category_id": 17, "bbox": [10.13, 4.0, 19.87, 20.5], "area": 407.34,
         "iscrowd": 0, "score": 0.7124},
        {"id": 2, "image_id": 2, "category_id": 3, "bbox": [0.0, 0.0, 80.0, 60.0], "area": 4800.0,
         "iscrowd": 0, "score": 0.25},
    ]  # fmt: skip
    assert summary == {
        "file": str(tmp_path / "labels.json"), "folder": str(photos), "images": 2, "boxes": 2,
        "counts": {"person": 1, "dog": 1}, "limited": 0, "errors": [],
    }  # fmt: skip
    assert told.pop(0) == f"{photos}: left out are 1 folder (more)"
    assert told == [f"[1/2] {photos}/a.png 80x60: nothing found", f"[2/2] {photos}/b.jpg 80x60: 1 person, 2 dog"]


def test_our_own_data_set_reads_them_with_the_photos(photos, tmp_path):
    label(photos, tmp_path / "labels.json")
    dataset = Dataset.of_coco(tmp_path / "labels.json", photos)
    check_files(dataset.source, dataset.images)
    assert dataset.categories == CATEGORIES
    (note,) = dataset.notes
    assert "of 2 boxes with a score, 1 are learned" in note
    np.testing.assert_allclose(dataset.sample(1).boxes, [[10.13, 4, 30, 24.5], [0, 0, 80, 60]], atol=1e-5)
    assert dataset.images[1].labels.tolist() == [1, 0] and len(dataset.images[0].boxes) == 0
    assert len(mapping_of(dataset.ground_truth())["annotations"]) == 2


def test_an_image_turned_by_exif_is_labelled_upright(photos, tmp_path):
    from PIL import Image

    image = Image.new("RGB", (80, 60), "grey")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(photos / "b.jpg", exif=exif)
    label(photos / "b.jpg", tmp_path / "labels.json")
    assert Dataset.of_coco(tmp_path / "labels.json", photos, bad_boxes="drop").sample(0).image.shape == (80, 60, 3)


@pytest.mark.parametrize(
    ("source", "folder", "names"),
    [
        ("photos", "photos", ["a.png", "b.jpg"]),
        ("photos/b.jpg", "photos", ["b.jpg"]),
        ("photos/*.jpg", "photos", ["b.jpg"]),
        ("photos/**/*.jpg", "photos", ["b.jpg", "more/c.jpg"]),
        ("phot*/more/*", ".", ["photos/more/c.jpg"]),
        ("./photos/more", "photos/more", ["c.jpg"]),
    ],
)
def test_names_are_relative_to_the_folder(photos, tmp_path, monkeypatch, source, folder, names):
    monkeypatch.chdir(tmp_path)
    summary, _ = label(source, "labels.json")
    content = json.loads(Path("labels.json").read_text())
    assert [image["file_name"] for image in content["images"]] == names
    assert summary["folder"] == folder
    check_files(Path("labels.json"), Dataset.of_coco("labels.json", summary["folder"]).images)


def test_what_cannot_be_labelled_is_one_sentence_each_and_the_others_are_labelled(photos, tmp_path):
    (photos / "broken.jpg").write_bytes((photos / "b.jpg").read_bytes()[:-40])
    (photos / "clip.mp4").touch()
    (photos / "d\n.jpg").write_bytes((photos / "b.jpg").read_bytes())
    warned = []
    summary, _ = label(photos / "*", tmp_path / "labels.json", warn=warned.append)
    assert [sentence.split(": ")[1] for sentence in summary["errors"]] == [
        "is no image; videos cannot be labelled, save their frames as images",
        "such a file name cannot stand in a label file; rename it",
        "not a readable image (image file is truncated); remove it or save it again",
    ]
    assert warned == [f"error: {sentence}" for sentence in summary["errors"]]
    assert summary["images"] == 2 and len(Dataset.of_coco(tmp_path / "labels.json", photos)) == 2


def test_links_that_lead_out_of_the_folder_are_left_out_and_those_within_are_labelled(photos, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (photos / "b.jpg").rename(tmp_path / "elsewhere" / "b.jpg")
    (photos / "b.jpg").symlink_to(tmp_path / "elsewhere" / "b.jpg")
    (photos / "c.jpg").symlink_to(photos / "more" / "c.jpg")
    (photos / "out").symlink_to(tmp_path / "elsewhere")
    (photos / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "link").symlink_to(photos)
    for source, count in ((photos, 2), (tmp_path / "link", 2), (photos / "**" / "*", 3)):  # loop.jpg is one, too
        summary, _ = label(source, tmp_path / "labels.json")
        folder = summary["folder"]
        sentences = [f"{folder}/b.jpg: is a link to a file outside {folder}; copy the file there"]
        assert summary["errors"][:1] == sentences and len(summary["errors"]) == count
        dataset = Dataset.of_coco(tmp_path / "labels.json", folder)
        check_files(dataset.source, dataset.images)
        assert {"a.png", "c.jpg"} <= {image.path.name for image in dataset.images}
    with pytest.raises(UserError, match=r"b\.jpg: is a link to a file outside .*photos; copy the file there"):
        label(photos / "b.jpg", tmp_path / "labels.json")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("clip.mp4", "clip.mp4: is no image; videos cannot be labelled, save their frames as images"),
        ("0", "webcam0: only image files can be labelled; give a folder, an image or a pattern"),
        ("rtsp://me:secret@door/1", "rtsp://door/1: only image files can be labelled"),
        (np.zeros((8, 8, 3), np.uint8), "give a folder, an image or a pattern"),
        ("none", "none: no such file or folder"),
        ("broken.jpg", "broken.jpg: none of its 1 images can be read; nothing was written"),
    ],
)
def test_a_source_without_photos_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, source, sentence):
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").touch()
    Path("broken.jpg").write_bytes(b"none")
    with pytest.raises(UserError, match=sentence):
        label(source, tmp_path / "labels.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.jpg", "clip.mp4"]


# ---- nobody's work is lost -----------------------------------------------------------------------------------------


def test_labels_as_they_were_left_are_replaced(photos, tmp_path):
    out = tmp_path / "new" / "labels.json"
    label(photos, out)
    write_image(photos / "e.jpg", np.full((60, 80, 3), 100, np.uint8))
    label(photos, out)
    assert len(json.loads(out.read_text())["images"]) == 3


def corrected(text):
    return text.replace('"category_id": 17', '"category_id": 3')


def with_note(text):
    return text.replace('"info": {', '"info": {"note": "a.png to be asked about", ')


def with_other_description(text):
    return text.replace("checked by nobody", "checked by me")


@pytest.mark.parametrize(
    "change",
    [corrected, with_note, with_other_description, lambda _: '{"images": [], "annotations": []}', lambda _: "my notes"],
)
def test_any_other_file_is_kept_unless_it_is_asked_for(photos, tmp_path, change):
    out = tmp_path / "labels.json"
    label(photos, out)
    text = change(out.read_text())
    out.write_text(text)
    with pytest.raises(
        UserError, match=r"labels\.json: is there already with other content than detect label left"
    ) as caught:
        label(photos, out)
    assert caught.value.argument == "out" and out.read_text() == text
    label(photos, out, overwrite=True)
    assert len(json.loads(out.read_text())["images"]) == 2


def test_a_file_of_the_same_content_is_replaced_though_it_is_laid_out_anew(photos, tmp_path):
    out = tmp_path / "labels.json"
    label(photos, out)
    text = out.read_text()
    out.write_text(json.dumps(json.loads(text), indent=2))
    label(photos, out)
    assert out.read_text() == text


def test_a_photo_is_never_the_output(photos):
    with pytest.raises(UserError, match=r"b\.jpg: must end in \.json"):
        label(photos, photos / "b.jpg", overwrite=True)
    assert cv2.imread(str(photos / "b.jpg")) is not None


def test_ctrl_c_leaves_the_labels_found_so_far(photos, tmp_path):
    write_image(photos / "e.jpg", np.full((60, 80, 3), 100, np.uint8))
    lines = []
    with pytest.raises(KeyboardInterrupt):
        label_files(Finder(interrupt_at=2), CATEGORIES, photos, tmp_path / "labels.json", log=lines.append)
    assert lines[-1] == f"interrupted after 2 of 3 images; their labels are in {tmp_path / 'labels.json'}"
    assert len(Dataset.of_coco(tmp_path / "labels.json", photos)) == 2
