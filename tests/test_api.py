"""The two ways in for programs: `load` a detector and predict, `build` one."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

import detect
from detect import config
from detect.files import made_folder
from detect.inference.thresholds import Thresholds
from detect.inference.tiling import Tiling
from detect.ops.image import write_image
from detect.weights.checkpoint import write_checkpoint
from detect.weights.files import Weights, write_safetensors
from tests.data.exports import write

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[1]
MODEL = {"backbone": {"name": "CSPPeleeNet"}, "neck": {"name": "EFM"}, "head": {"name": "YOLOv3"}}
CATEGORIES = [{"id": 3, "name": "red"}, {"id": 7, "name": "green"}, {"id": 90, "name": "blue"}]
NAMES = ("red", "green", "blue")


@pytest.fixture(scope="module")
def loaded():
    """A detector with random weights that sees objects of every score everywhere."""
    torch.manual_seed(0)
    detector = detect.build(MODEL, num_classes=3).eval()
    with torch.no_grad():
        for last in detector.head.predictions:
            last.weight.mul_(20)
            last.bias.zero_()
    settings = config.from_dict({"model": {name: dict(part) for name, part in MODEL.items()}, "input": {"size": 64}})
    return Weights.of(detector, settings, CATEGORIES, Path("random"))


@pytest.fixture(scope="module")
def weights(loaded, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    write_safetensors(path, loaded)
    return path


@pytest.fixture(scope="module")
def model(weights):
    return detect.load(weights, min_score=0.1)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def assert_same(first, second):
    for name in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_result_is_as_documented(model, image):
    result = model(image)
    count = len(result)
    assert isinstance(result, detect.Result) and 0 < count <= 100
    assert result.boxes.dtype == np.float32 and result.boxes.shape == (count, 4)
    assert result.scores.dtype == np.float32 and result.scores.shape == (count,)
    assert result.labels.dtype == np.int64 and result.labels.shape == (count,)
    assert result.names == NAMES and set(result.labels.tolist()) <= {0, 1, 2}
    assert result.scores.min() > 0.1 and result.scores.max() <= 1
    assert all(first >= second for first, second in pairwise(result.scores))
    assert result.image is image or np.array_equal(result.image, image)
    assert (result.frame.medium, result.frame.index, result.frame.time) == ("image", 0, None)
    assert sum(result.counts().values()) == count


@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (64, 64), (7, 200), (1, 1)])
def test_boxes_lie_inside_the_image(model, shape):
    result = model(np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8))
    left, top, right, bottom = result.boxes.T
    assert (left >= 0).all() and (top >= 0).all() and (right <= shape[1]).all() and (bottom <= shape[0]).all()
    assert (left <= right).all() and (top <= bottom).all()


def test_drawing_leaves_the_image_as_it_is(model, image):
    before = image.copy()
    result = model(image)
    drawn = result.plot()
    assert drawn.dtype == np.uint8 and drawn.shape == image.shape and not np.array_equal(drawn, image)
    np.testing.assert_array_equal(image, before)


def test_every_kind_of_source_gives_the_same(model, image, tmp_path):
    path = tmp_path / "image.png"
    write_image(path, image)
    sources = (image, Image.fromarray(image), path, str(path), tmp_path, f"{tmp_path}/*.png", [path], [image])
    expected = model(image)
    for source in sources:
        (result,) = model.stream(source)
        assert_same(result, expected)


def test_a_list_gives_its_results_in_order(model, image, tmp_path):
    write_image(tmp_path / "a.png", image[:, ::-1])
    results = model([image, tmp_path / "a.png", Image.fromarray(image)])
    assert [result.source for result in results] == ["image0", str(tmp_path / "a.png"), "image2"]
    assert_same(results[0], results[2])


def test_a_video_gives_its_frames(model, tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(3):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    results = list(model.stream(path))
    assert [(result.frame.index, result.frame.medium, result.image.shape) for result in results] == [
        (number, "video", (48, 64, 3)) for number in range(3)
    ]
    assert results[1].frame.time == pytest.approx(0.1)


def test_loading_twice_gives_the_same(model, weights, image):
    first, second = model(image), detect.load(weights, min_score=0.1)(image)
    assert_same(first, second)


def test_a_checkpoint_and_a_run_folder_load_too(model, loaded, image, tmp_path):
    state = {"config": config.to_dict(loaded.settings), "categories": CATEGORIES, "model": loaded.network.state_dict()}
    write_checkpoint(tmp_path / "best.pt", state)
    expected = model(image)
    for source in (tmp_path / "best.pt", tmp_path):
        assert_same(detect.load(source, min_score=0.1)(image), expected)


def test_thresholds_that_are_kept_are_taken_for_auto(loaded, weights, image, tmp_path):
    thresholds = Thresholds((0.1, 0.9, 0.35), 0.5, "9 images of val.json")
    state = {"config": config.to_dict(loaded.settings), "categories": CATEGORIES, "model": loaded.network.state_dict()}
    write_checkpoint(tmp_path / "best.pt", state | {"thresholds": thresholds.to_dict()})
    write_safetensors(tmp_path / "kept.safetensors", dataclasses.replace(loaded, thresholds=thresholds))
    whole = detect.load(weights, min_score=0.1, per_class=True, max_detections=10_000)(image)
    expected = [i for i, (_, score, name) in enumerate(whole) if score > thresholds.scores[NAMES.index(name)]]
    assert 0 < len(expected) < len(whole)
    for path in (tmp_path / "best.pt", tmp_path / "kept.safetensors"):
        model = detect.load(path, min_score="auto", per_class=True, max_detections=10_000)
        assert model.min_score == thresholds.scores
        np.testing.assert_array_equal(model(image).boxes, whole.boxes[expected])
        assert detect.load(path).min_score == 0.25


def test_auto_without_thresholds_is_one_sentence(weights):
    with pytest.raises(detect.UserError, match=r"^auto: these weights keep no thresholds; evaluate them .* or give a"):
        detect.load(weights, min_score="auto")


def test_arguments_of_load_are_heard(weights, image):
    assert detect.load(weights).min_score == 0.25
    assert detect.load(weights).size == 64
    model = detect.load(weights, size=96, min_score=0.3, nms="diou", nms_threshold=0.2, batch=2, device="cpu")
    assert (model.size, model.min_score, model.batch, model.runtime.device.type) == (96, 0.3, 2, "cpu")
    assert model.nms["overlap"] == "diou" and model.nms["threshold"] == 0.2
    assert detect.load(weights, tile=640).tiling == Tiling(640, 0.2)
    few, many = (detect.load(weights, min_score=0.1, nms_threshold=t)(image) for t in (0.1, 0.9))
    assert len(few) < len(many)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size": 65}, "multiple of 32"),
        ({"size": -32}, "multiple of 32"),
        ({"size": 64.0}, "multiple of 32"),
        ({"min_score": 1.5}, "min_score"),
        ({"min_score": float("nan")}, "min_score"),
        ({"batch": 0}, "batch"),
        ({"device": "gpu"}, "gpu"),
        ({"nms": "soft"}, "soft"),
        ({"min_score": "low"}, "min_score"),
        ({"tile": 8}, "8: a tile's side is a whole number of px from 32 on"),
        ({"tile": 64, "overlap": 0.9}, "from 0 to below 0.9"),
        ({"nms_threshold": None}, "threshold"),
        ({"nms_vote": 1}, "nms vote must be true or false"),
        ({"batch": True}, "batch"),
        ({"max_detections": 0}, "max_detections"),
        ({"nms_treshold": 0.5}, "did you mean 'nms_threshold'"),
    ],
)
def test_a_wrong_argument_is_one_sentence(weights, arguments, words):
    with pytest.raises(detect.UserError, match=words):
        detect.load(weights, **arguments)


@pytest.mark.parametrize("arguments", [{"size": 0}, {"nms_threshold": 7}, {"nms_threshold": float("nan")}])
def test_a_number_out_of_range_is_refused(weights, arguments):
    with pytest.raises(detect.UserError):
        detect.load(weights, **arguments)


@pytest.mark.parametrize(
    "source",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8), None, 3.5, "", "none.jpg"],
)
def test_a_wrong_source_is_one_sentence(model, source):
    with pytest.raises(detect.UserError):
        list(model.stream(source))


def test_errors_of_files_can_be_collected(model, image, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    errors = []
    results = list(model.stream([tmp_path / "broken.png", image, tmp_path / "none.png"], errors.append))
    assert len(results) == 1 and len(errors) == 2
    assert all(isinstance(error, detect.UserError) for error in errors)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(detect.UserError, match=r"none\.safetensors"):
        detect.load(tmp_path / "none.safetensors")


def test_build_of_a_mapping_and_of_a_file_agree():
    torch.manual_seed(0)
    of_file = detect.build(str(ROOT / "configs" / "csppelee_efm.yaml"))
    assert isinstance(of_file, detect.Detector) and of_file.num_classes == 80
    torch.manual_seed(0)
    of_mapping = detect.build(
        {
            "backbone": {"name": "CSPPeleeNet", "partial_ratio": 0.5, "fusion": "both", "activation": "leaky_relu"},
            "neck": {"name": "EFM", "widths": [64, 128, 256], "sam": True},
            "head": {"name": "YOLOv3", "anchors": "coco9"},
        }
    )
    first, second = of_file.state_dict(), of_mapping.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert_close(value, second[name], rtol=0, atol=0)


def test_build_leaves_the_mapping_as_it_is():
    model = {name: dict(part) for name, part in MODEL.items()}
    raw = detect.build(model, num_classes=2).eval()(torch.zeros(1, 3, 64, 64))
    assert [tuple(level.shape) for level in raw] == [(1, 21, 8, 8), (1, 21, 4, 4), (1, 21, 2, 2)]
    assert model == MODEL


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (MODEL | {"neck": {"name": "EMF"}}, "did you mean 'EFM'"),
        (MODEL | {"neck": {"name": "EFM", "width": 3}}, "width"),
        (MODEL | {"neck": {"name": "EFM", "widths": "x"}}, "the model: model.neck.widths must be a list, not 'x'"),
        (MODEL | {"backbone": {"name": "CSPPeleeNet", "partial_ratio": "x"}}, "partial_ratio must be a number"),
        ({"backbone": {"name": "CSPPeleeNet"}}, "neck"),
        ("none.yaml", r"none\.yaml"),
    ],
)
def test_a_wrong_model_is_one_sentence(source, words):
    with pytest.raises(detect.UserError, match=words):
        detect.build(source)


def test_build_takes_tuples_for_lists():
    parts = MODEL | {"neck": {"name": "EFM", "widths": (8, 16, 16)}}
    assert detect.build(parts, num_classes=2).num_classes == 2


def test_arguments_that_would_change_nothing_are_refused(weights):
    with pytest.raises(detect.UserError, match="min_score is the same for every evaluation"):
        detect.evaluate(weights, min_score=0.5)
    with pytest.raises(detect.UserError, match="resamples is -1; give a whole number from 0"):
        detect.evaluate(weights, resamples=-1)
    with pytest.raises(detect.UserError, match="out is for new runs"):
        detect.train(resume="runs/x-1", out="runs")


def test_a_data_set_is_written_anew_and_divided(tmp_path):
    for n in range(10):
        noise = np.random.default_rng(n).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        write(tmp_path / "mine" / "labels" / f"{n}.txt", "0 .5 .5 .2 .2\n")
        write_image(made_folder(tmp_path / "mine" / "images") / f"{n}.png", noise)
    write(tmp_path / "mine" / "classes.txt", "cup\n")
    told = detect.convert(tmp_path / "mine", "coco", tmp_path / "coco")
    assert (told["images"], told["boxes"], told["splits"]) == (10, 10, {"train": 10})
    told = detect.split(tmp_path / "coco", str(tmp_path / "divided"), val=0.5)
    assert told["format"] == "coco" and told["splits"].keys() == {"train", "val"} and told["near_duplicates"] == 0
    with pytest.raises(detect.UserError, match="is there already"):
        detect.convert(tmp_path / "mine", "voc", tmp_path / "coco")
    with pytest.raises(detect.UserError, match="did you mean 'yolo'"):
        detect.convert(tmp_path / "mine", "yol", tmp_path / "other")


def test_a_model_says_what_it_is(model):
    assert repr(model) == "<Predictor of 3 classes at 64 px, PyTorch on cpu>"
