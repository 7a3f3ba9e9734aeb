"""From images of any size to boxes in image px."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from detect.errors import UserError
from detect.inference.predictor import Predictor
from detect.inference.result import Result
from detect.inference.sources import Frame
from detect.models.detector import build_detector
from detect.ops.image import write_image
from detect.ops.letterbox import Letterbox

PARTS = {"backbone": {"name": "CSPPeleeNet"}, "neck": {"name": "EFM"}, "head": {"name": "YOLOv3"}}


class Known(nn.Module):
    """A stand-in for a detector: two boxes in network px, whatever it is shown; it keeps what it saw."""

    stride, num_classes = 32, 3

    def __init__(self):
        super().__init__()
        self.seen = []

    def fuse(self):
        return self

    def forward(self, images):
        self.seen.append(images)
        return images

    def decode(self, raw):
        boxes = torch.tensor([[16.0, 24.0, 48.0, 40.0], [0.0, 0.0, 64.0, 64.0]]).expand(len(raw), 2, 4)
        scores = torch.tensor([[0.1, 0.9, 0.0], [0.3, 0.0, 0.01]]).expand(len(raw), 2, 3)
        return boxes, scores


def image(width, height, level=50):
    return np.full((height, width, 3), level, dtype=np.uint8)


@pytest.fixture
def predictor():
    return Predictor(Known(), ["a", "b", "c"], 64)


def test_boxes_come_back_in_image_px(predictor):
    wide, tall = predictor.detect_batch([image(128, 64), image(32, 64)])
    np.testing.assert_allclose(wide.boxes, [[32, 16, 96, 48], [0, 0, 128, 64]])
    np.testing.assert_allclose(tall.boxes, [[0, 24, 32, 40], [0, 0, 32, 64]])
    assert wide.labels.tolist() == [1, 0] and wide.scores.tolist() == pytest.approx([0.9, 0.3])
    assert [field.dtype for field in wide] == [np.float32, np.float32, np.int64]


def test_network_sees_the_letterboxed_rgb_image_in_0_to_1(predictor):
    image = np.random.default_rng(0).integers(0, 255, (40, 100, 3), dtype=np.uint8)
    predictor.detect_batch([image])
    expected = torch.from_numpy(Letterbox(100, 40, 64).apply(image)).permute(2, 0, 1)[None] / 255
    torch.testing.assert_close(predictor.model.seen[-1], expected)


def test_low_min_score_serves_evaluation():
    low = Predictor(Known(), "abc", 64, min_score=0.001).detect_batch([image(64, 64)])[0]
    assert len(low.boxes) == 4 and (np.diff(low.scores) <= 0).all()
    assert (
        len(Predictor(Known(), "abc", 64, min_score=0.001, max_detections=2).detect_batch([image(64, 64)])[0].boxes)
        == 2
    )


def test_nms_options_reach_the_suppression():
    options = {"overlap": "diou", "threshold": -0.5, "per_class": False}
    found = Predictor(Known(), "abc", 64, nms=options).detect_batch([image(64, 64)])[0]
    assert found.labels.tolist() == [1]


def test_no_images_give_no_detections(predictor):
    assert predictor.detect_batch([]) == []


def test_the_callers_detector_is_left_alone():
    detector = build_detector(PARTS, num_classes=3).train()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    Predictor(detector, "abc", 64).detect_batch([image(64, 64)])
    assert detector.training and all(p.requires_grad for p in detector.parameters())
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_fused_copy_finds_what_the_detector_finds():
    torch.manual_seed(0)
    detector = build_detector(PARTS, num_classes=3).eval()
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    found = Predictor(detector, "abc", 64, min_score=0.0, nms={"threshold": 1.0}, max_detections=10**6).detect_batch(
        [image]
    )[0]
    with torch.no_grad():
        boxes, scores = detector.decode(detector(torch.from_numpy(image).permute(2, 0, 1)[None] / 255))
    assert len(found.scores) == scores.numel()
    expected = scores.flatten().sort(descending=True).values
    torch.testing.assert_close(torch.from_numpy(found.scores), expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(torch.from_numpy(found.boxes).sum(), boxes.clamp(0, 64).sum() * 3, rtol=1e-3, atol=1e-2)


def test_batches_keep_the_order_and_every_image(tmp_path):
    predictor = Predictor(Known(), "abc", 64, batch=4)
    results = list(predictor.predict([image(64, 32, level) for level in range(10)]))
    assert [int(result.image[0, 0, 0]) for result in results] == list(range(10))
    assert [len(images) for images in predictor.model.seen] == [1] * 10  # the CPU takes a batch one by one


def test_result_tells_counts_and_draws(predictor):
    (result,) = predictor.predict(image(128, 64))
    assert len(result) == 2 and result.counts() == {"a": 1, "b": 1} and result.source == "image0"
    drawn = result.plot()
    assert drawn.shape == (64, 128, 3) and (drawn != 50).any() and (result.image == 50).all()


def test_empty_result_is_no_trouble():
    nothing = Result(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ("a",), Frame(image(9, 9), "x")
    )
    assert len(nothing) == 0 and nothing.counts() == {} and (nothing.plot() == 50).all()


def test_video_results_carry_frame_and_time(tmp_path, predictor):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(5):
        writer.write(image(64, 48))
    writer.release()
    results = list(predictor.predict(tmp_path / "v.avi"))
    assert [(r.frame.index, round(r.frame.time, 3), r.frame.fps, r.frame.medium) for r in results] == [
        (i, i / 10, 10.0, "video") for i in range(5)
    ]


def test_missing_source_raises_at_once_and_a_broken_one_goes_to_on_error(tmp_path, predictor):
    with pytest.raises(UserError, match="no such file"):
        predictor.predict(tmp_path / "gone.jpg")
    (tmp_path / "a.jpg").write_bytes(b"broken")
    write_image(tmp_path / "b.jpg", image(64, 64))
    errors = []
    assert len(list(predictor.predict(tmp_path, errors.append))) == 1 and len(errors) == 1
    with pytest.raises(UserError, match=r"a\.jpg"):
        list(predictor.predict(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 100}, "size is 100 px; give a multiple of 32, such as 96"),
        ({"size": 0}, "give a multiple of 32, such as 32"),
        ({"size": "big"}, "such as 416"),
        ({"names": ["a"]}, "1 class names for a detector of 3 classes"),
        ({"min_score": 25}, "min_score is 25"),
        ({"batch": 0}, "batch is 0"),
        ({"max_detections": -1}, "max_detections is -1"),
        ({"nms": {"treshold": 0.5}}, "did you mean 'threshold'"),
        ({"nms": {"overlap": "soft"}}, "nms overlap is 'soft'"),
    ],
)
def test_wrong_arguments_are_one_sentence(changes, message):
    with pytest.raises(UserError, match=message):
        Predictor(Known(), **({"names": "abc", "size": 64} | changes))
