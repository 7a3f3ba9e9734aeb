"""From images to detections in image px, with PyTorch: the shared core of prediction and evaluation."""

import copy
from contextlib import closing

import numpy as np
import torch

from detect.errors import UserError, nearest
from detect.inference.result import Result
from detect.inference.sources import find_items, raise_error, read_frames
from detect.ops.letterbox import Letterbox
from detect.ops.nms import OVERLAPS, Detections, detections_from

NMS_OPTIONS = ("overlap", "threshold", "beta", "per_class")


class Predictor:
    """Runs a detector over images of any size.

    Args:
        detector: a `detect.models.detector.Detector`; it stays as it is, a copy is fused and put in eval mode.
        names: the K class names.
        size: side of the network's square input in px, a multiple of `detector.stride`.
        min_score: detections at or below it are left out (0.001 for evaluation).
        nms: keyword arguments for `detections_from`: overlap, threshold, beta, per_class.
        max_detections: per image.
        device: where the detector runs.
        batch: images that are read and go through the detector together (on the CPU one after the other, so that
            the results do not depend on it); live sources always go one by one.

    Raises:
        UserError: an argument is out of its range.
    """

    def __init__(self, detector, names, size, min_score=0.25, nms=None, max_detections=100, device="cpu", batch=1):
        self.names = tuple(str(name) for name in names)
        self.size = size
        self.min_score = min_score
        self.max_detections = max_detections
        self.batch = batch
        self.nms = dict(nms or {})
        self._check(detector)
        self.device = torch.device(device)
        model = copy.deepcopy(detector).eval().fuse()
        self.model = model.requires_grad_(False).to(self.device, memory_format=torch.channels_last)

    def predict(self, source, on_error=None):
        """An iterator over the `Result` of every image of `source` (see `sources.find_items`), in order.

        A file that cannot be read, or breaks off, is given to `on_error` as a `UserError` and the others go on; without
        `on_error` it raises. A `source` that is not there raises at once.
        """
        on_error = on_error or raise_error
        return self.predict_items(find_items(source, on_error), on_error)

    def predict_items(self, items, on_error=raise_error):
        """`predict` for sources that `find_items` has found."""
        with closing(read_frames(items, on_error)) as frames:
            waiting = []
            for frame in frames:
                waiting.append(frame)
                if len(waiting) >= self.batch or frame.medium == "live":
                    yield from self._results(waiting)
                    waiting = []
            yield from self._results(waiting)

    @torch.inference_mode()
    def detect_batch(self, images):
        """Images, uint8 RGB [h_i, w_i, 3] of any sizes -> their `Detections` as NumPy arrays, boxes in image px."""
        if not images:
            return []
        frames = [Letterbox(image.shape[1], image.shape[0], self.size) for image in images]
        squares = np.stack([frame.apply(image) for frame, image in zip(frames, images, strict=True)])
        inputs = torch.from_numpy(squares).to(self.device).permute(0, 3, 1, 2)  # [B, 3, size, size], channels last
        # The CPU's convolutions round differently for other batch sizes: one by one, a batch changes no result there.
        at_once = 1 if self.device.type == "cpu" else len(images)
        decoded = [self.model.decode(self.model(part.float() / 255)) for part in inputs.split(at_once)]
        boxes, scores = (torch.cat(parts) for parts in zip(*decoded, strict=True))
        found = []
        for frame, boxes_of_one, scores_of_one in zip(frames, boxes, scores, strict=True):
            kept = detections_from(boxes_of_one, scores_of_one, self.min_score, limit=self.max_detections, **self.nms)
            boxes_of_one, scores_of_one, labels = (field.cpu().numpy() for field in kept)
            found.append(Detections(frame.undo(boxes_of_one), scores_of_one.astype(np.float32), labels))
        return found

    def _results(self, frames):
        for frame, found in zip(frames, self.detect_batch([frame.image for frame in frames]), strict=True):
            yield Result(*found, self.names, frame)

    def _check(self, detector):
        stride = detector.stride
        if not isinstance(self.size, int) or self.size <= 0 or self.size % stride:
            raise UserError(f"size is {self.size} px; give a multiple of {stride}, such as {_near(self.size, stride)}")
        if len(self.names) != detector.num_classes:
            raise UserError(
                f"there are {len(self.names)} class names for a detector of {detector.num_classes} classes; "
                "give the names it was trained with"
            )
        if not 0 <= self.min_score <= 1:
            raise UserError(f"min_score is {self.min_score}; give a number from 0 to 1")
        for name in ("max_detections", "batch"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; give a whole number from 1")
        for option in self.nms:
            if option not in NMS_OPTIONS:
                raise UserError(f"nms has no option '{option}'{nearest(option, NMS_OPTIONS)}")
        if not -1 <= self.nms.get("threshold", 0) <= 1 or not self.nms.get("beta", 1) > 0:  # DIoU begins at -1
            raise UserError("nms threshold must be a number from -1 to 1 and nms beta above 0")
        overlap = self.nms.get("overlap", OVERLAPS[0])
        if overlap not in OVERLAPS:
            raise UserError(f"nms overlap is '{overlap}'{nearest(overlap, OVERLAPS)}")


def _near(size, stride):
    """The positive multiple of `stride` nearest to `size`, if that is a number at all."""
    return max(round(size / stride), 1) * stride if isinstance(size, (int, float)) else 13 * stride
