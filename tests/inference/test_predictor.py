"""From images of any size to boxes in image px."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detect.errors import UserError
from detect.inference.predictor import Predictor
from detect.inference.result import Result
from detect.inference.sources import Frame
from detect.inference.tiling import Tiling
from detect.ops.image import write_image
from detect.ops.letterbox import Letterbox
from detect.ops.nms import Candidates


class Known:
    """A stand-in for a runtime: two boxes in network px, whatever it is shown; it keeps what it saw."""

    names, size = ("a", "b", "c"), 64

    def __init__(self):
        self.seen = []

    def __call__(self, squares, min_score):
        self.seen.append(squares)
        boxes = np.array([[16, 24, 48, 40], [16, 24, 48, 40], [0, 0, 64, 64], [0, 0, 64, 64]], np.float32)
        scores, labels = np.array([0.1, 0.9, 0.3, 0.01], np.float32), np.array([0, 1, 0, 2])
        keep = scores > min_score
        return [Candidates(boxes[keep], scores[keep], labels[keep])] * len(squares)


class Movable(Known):
    device = "cpu"

    def to(self, device):
        self.device = device


def image(width, height, level=50):
    return np.full((height, width, 3), level, dtype=np.uint8)


@pytest.fixture
def predictor():
    return Predictor(Known())


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(5):
        writer.write(image(64, 48))
    writer.release()
    return path


def test_each_class_has_its_own_threshold():
    """Before the suppression: what is no detection hides none."""
    found = Predictor(Known(), min_score=[0.2, 0.95, 0.005]).detect_batch([image(64, 64)])[0]
    assert found.labels.tolist() == [0, 2] and found.scores.tolist() == pytest.approx([0.3, 0.01])
    same = Predictor(Known(), min_score=(0.25,) * 3, nms={"per_class": False}).detect_batch([image(64, 64)])[0]
    for ours, theirs in zip(
        same, Predictor(Known(), nms={"per_class": False}).detect_batch([image(64, 64)])[0], strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("scores", "words"),
    [([0.5], "has 1 numbers; give one, or one for each of 3"), ([0.1, 0.2, 1.5], "from 0 to 1"), ([], "has 0 numbers")],
)
def test_thresholds_that_are_none_are_one_sentence(scores, words):
    with pytest.raises(UserError, match=words):
        Predictor(Known(), min_score=scores)


def test_boxes_come_back_in_image_px(predictor):
    wide, tall = predictor.detect_batch([image(128, 64), image(32, 64)])
    np.testing.assert_allclose(wide.boxes, [[32, 16, 96, 48], [0, 0, 128, 64]])
    np.testing.assert_allclose(tall.boxes, [[0, 24, 32, 40], [0, 0, 32, 64]])
    assert wide.labels.tolist() == [1, 0] and wide.scores.tolist() == pytest.approx([0.9, 0.3])
    assert [field.dtype for field in wide] == [np.float32, np.float32, np.int64]


def test_the_runtime_sees_the_letterboxed_rgb_images(predictor):
    image = np.random.default_rng(0).integers(0, 255, (40, 100, 3), dtype=np.uint8)
    predictor.detect_batch([image, image[:, :40]])
    (squares,) = predictor.runtime.seen
    np.testing.assert_array_equal(squares[0], Letterbox(100, 40, 64).apply(image))
    assert squares.shape == (2, 64, 64, 3) and squares.dtype == np.uint8


def test_low_min_score_serves_evaluation():
    low = Predictor(Known(), min_score=0.001).detect_batch([image(64, 64)])[0]
    assert len(low.boxes) == 4 and (np.diff(low.scores) <= 0).all()
    assert len(Predictor(Known(), min_score=0.001, max_detections=2).detect_batch([image(64, 64)])[0].boxes) == 2


def test_nms_options_reach_nms():
    options = {"overlap": "diou", "threshold": -0.5, "per_class": False}
    found = Predictor(Known(), nms=options).detect_batch([image(64, 64)])[0]
    assert found.labels.tolist() == [1]
    np.testing.assert_allclose(found.boxes, [[16, 24, 48, 40]])
    voted = Predictor(Known(), nms=options | {"vote": True}).detect_batch([image(64, 64)])[0]
    mean = (0.9 * np.array([16, 24, 48, 40]) + 0.3 * np.array([0, 0, 64, 64])) / 1.2
    np.testing.assert_allclose(voted.boxes, [mean], rtol=1e-6)


def test_no_images_give_no_detections(predictor):
    assert predictor.detect_batch([]) == [] and predictor([]) == [] and list(predictor.stream([])) == []


def test_names_and_size_are_the_runtimes(predictor):
    assert (predictor.names, predictor.size) == (("a", "b", "c"), 64)


def test_an_image_gives_a_result_and_a_list_a_list(predictor, tmp_path):
    write_image(tmp_path / "a.png", image(128, 64))
    sources = [image(128, 64), Image.fromarray(image(128, 64)), tmp_path / "a.png", str(tmp_path / "a.png")]
    for source in sources:
        result = predictor(source)
        assert isinstance(result, Result) and result.labels.tolist() == [1, 0]
        np.testing.assert_allclose(result.boxes, [[32, 16, 96, 48], [0, 0, 128, 64]])
    names = ["image0", "image1", str(tmp_path / "a.png"), str(tmp_path / "a.png")]
    assert [result.source for result in predictor(sources)] == names
    assert [result.source for result in predictor(tuple(sources[:1]))] == ["image0"]


@pytest.mark.parametrize("source", ["v.avi", ".", "*.avi", "*.png", "webcam", "http://user:secret@camera/a?b*"])
@pytest.mark.parametrize("listed", [False, True])
def test_what_holds_many_images_is_for_stream(predictor, video, source, listed):
    write_image(video.parent / "a.png", image(8, 8))
    given = 0 if source == "webcam" else source if "://" in source else str(video.parent / source)
    with pytest.raises(UserError, match="not an image; use stream for videos, folders, patterns") as raised:
        predictor([given] if listed else given)
    assert "secret" not in str(raised.value)


def test_a_file_with_the_letters_of_a_pattern_is_an_image(predictor, tmp_path):
    write_image(tmp_path / "a[1].png", image(128, 64))
    assert predictor(tmp_path / "a[1].png").counts() == {"a": 1, "b": 1}


def test_an_unreadable_image_raises(predictor, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"broken")
    for source in (tmp_path / "a.jpg", [image(8, 8), tmp_path / "a.jpg"]):
        with pytest.raises(UserError, match=r"a\.jpg"):
            predictor(source)
    with pytest.raises(UserError, match="no such file"):
        predictor(tmp_path / "gone.jpg")


def test_to_moves_the_runtime_and_returns_the_predictor():
    predictor = Predictor(Movable())
    assert predictor.to("cuda:1") is predictor and predictor.runtime.device == "cuda:1"


def test_a_runtime_that_cannot_move_says_so(predictor):
    with pytest.raises(UserError, match=r"^Known cannot move to cuda; it runs where it was made$"):
        predictor.to("cuda")


@pytest.mark.parametrize("batch", [1, 4])
def test_batches_keep_the_order_and_every_image(batch):
    predictor = Predictor(Known(), batch=batch)
    results = list(predictor.stream([image(64, 32, level) for level in range(10)]))
    assert [int(result.image[0, 0, 0]) for result in results] == list(range(10))
    assert [len(squares) for squares in predictor.runtime.seen] == ([1] * 10 if batch == 1 else [4, 4, 2])


def test_result_tells_counts_and_draws(predictor):
    result = predictor(image(128, 64))
    assert len(result) == 2 and result.counts() == {"a": 1, "b": 1} and result.source == "image0"
    drawn = result.plot()
    assert drawn.shape == (64, 128, 3) and (drawn != 50).any() and (result.image == 50).all()


def test_empty_result_is_no_trouble():
    nothing = Result(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ("a",), Frame(image(9, 9), "x")
    )
    assert len(nothing) == 0 and nothing.counts() == {} and (nothing.plot() == 50).all()


def test_video_results_carry_frame_and_time(video, predictor):
    results = list(predictor.stream(video))
    assert [(r.frame.index, round(r.frame.time, 3), r.frame.fps, r.frame.medium) for r in results] == [
        (i, i / 10, 10.0, "video") for i in range(5)
    ]


def test_missing_source_raises_at_once_and_a_broken_one_goes_to_on_error(tmp_path, predictor):
    with pytest.raises(UserError, match="no such file"):
        predictor.stream(tmp_path / "gone.jpg")
    (tmp_path / "a.jpg").write_bytes(b"broken")
    write_image(tmp_path / "b.jpg", image(64, 64))
    errors = []
    assert len(list(predictor.stream(tmp_path, errors.append))) == 1 and len(errors) == 1
    with pytest.raises(UserError, match=r"a\.jpg"):
        list(predictor.stream(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_score": 25}, "min_score is 25"),
        ({"min_score": float("nan")}, "min_score is nan"),
        ({"batch": 0}, "batch is 0"),
        ({"max_detections": -1}, "max_detections is -1"),
        ({"nms": {"treshold": 0.5}}, "did you mean 'threshold'"),
        ({"nms": {"threshold": 7}}, "nms threshold must be"),
        ({"nms": {"overlap": "soft"}}, "nms overlap is 'soft'"),
    ],
)
def test_wrong_arguments_are_one_sentence(changes, message):
    with pytest.raises(UserError, match=message):
        Predictor(Known(), **changes)


WITHOUT_TORCH = """
import sys
import numpy as np
from detect.inference.predictor import Predictor
from detect.ops.decode import Decoder
class Stub:
    names, size = ("a",), 32
    decode = Decoder(anchors=(((8, 8),),), strides=(8,), num_classes=1, scale_x_y=(1.0,), new_coords=(False,))
    def __call__(self, squares, min_score):
        return self.decode([np.zeros((len(squares), 6, 4, 4), np.float32)], min_score)
predictor = Predictor(Stub(), min_score=0.2)
image = np.zeros((48, 64, 3), np.uint8)
assert len(predictor(image)) == 16 and len(list(predictor.stream([image, image]))) == 2
heavy = ("torch", "torchvision", "detect.models", "detect.data", "detect.weights")
print([name for name in sys.modules if any(name == h or name.startswith(h + ".") for h in heavy)])
"""


def test_running_a_runtime_needs_no_torch():
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], cwd=root, capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


class Busy(Known):
    """Computes four calls at once, each as long as it likes; what it finds hangs on the image."""

    calls = 4

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, squares, min_score):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        level = int(squares[0, 32, 32, 0])
        time.sleep(level % 7 / 500)
        with self.lock:
            self.now -= 1
        boxes = np.array([[0, 0, level / 4 + 1, 60]], np.float32)
        return [Candidates(boxes, np.array([level / 300 + 0.1], np.float32), np.array([level % 3]))] * len(squares)


def frames(count, medium="video"):
    return (Frame(image(64, 64, level % 250), "v", level, medium=medium) for level in range(count))


@pytest.mark.parametrize("batch", [1, 3])
def test_what_is_computed_at_once_comes_in_order_and_is_the_same(batch):
    at_once = Predictor(Busy(), batch=batch)
    one_by_one = Predictor(Busy(), batch=1)
    found = list(at_once.predict_frames(frames(100)))
    assert [result.frame.index for result in found] == list(range(100))
    if batch == 1:
        for result in found:
            np.testing.assert_array_equal(result.boxes, one_by_one.detect_batch([result.image])[0].boxes)
            assert result.labels.tolist() == [result.frame.index % 3]
    assert 2 <= at_once.runtime.most <= 4


def test_an_image_of_too_many_tiles_goes_to_on_error_and_the_others_go_on():
    shapes = [(64, 64), (40_000, 64), (64, 96)]
    images = [Frame(np.zeros((*shape, 3), np.uint8), f"{place}.png") for place, shape in enumerate(shapes)]
    tiling, errors = Predictor(Busy(), tiling=Tiling(32)), []
    found = list(tiling.predict_frames(images, errors.append))
    assert [result.source for result in found] == ["0.png", "2.png"]
    assert [str(error) for error in errors] == [
        "1.png: an image of 64x40000 px makes 4,800 tiles of 32 px, and 1,000 are the limit; take larger tiles or "
        "less overlap"
    ]
    with pytest.raises(UserError, match=r"^1\.png: an image of 64x40000 px"):
        list(tiling.predict_frames(images))


def test_a_live_frame_is_waited_for_before_the_next_is_asked_for():
    predictor, asked = Predictor(Busy()), []

    def noted():
        for frame in frames(5, "live"):
            asked.append(frame.index)
            yield frame

    for result in predictor.predict_frames(noted()):
        assert asked == list(range(result.frame.index + 1))
    assert predictor.runtime.most == 1


def test_an_error_in_a_thread_comes_at_its_frame():
    class Broken(Busy):
        def __call__(self, squares, min_score):
            if squares[0, 32, 32, 0] == 7:
                raise UserError("the seventh")
            return super().__call__(squares, min_score)

    seen = []
    with pytest.raises(UserError, match="the seventh"):
        for result in Predictor(Broken()).predict_frames(frames(30)):
            seen.append(result.frame.index)
    assert seen == list(range(7))
