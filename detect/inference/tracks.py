"""Things that keep their number from frame to frame: ByteTrack of the library `trackers`."""

from dataclasses import replace
from typing import Any

import numpy as np

from detect.inference.result import Result

KEPT = 1.0  # seconds that something may be hidden and still be the same
USUAL_FPS = 30.0
SURER = 0.1  # than the least score: what begins a track; less sure detections only go on with one


class Tracker:
    """Follows what is detected in one source, classes aside: one that a detector takes for another keeps its number.

    A track begins where something is detected in two frames in a row with a score of `SURER` above the least.

    Args:
        min_score: of the detections.
        fps: of the frames, if it is known.

    Raises:
        ImportError: the library is not installed.
    """

    def __init__(self, min_score: float, fps: float | None = None) -> None:
        sure = min(min_score + SURER, 1.0)
        self._tracker = load_tracker()(
            lost_track_buffer=round(KEPT * 30),  # it counts in 30ths of a second
            frame_rate=fps or USUAL_FPS,
            track_activation_threshold=sure,
            high_conf_det_threshold=sure,
            minimum_consecutive_frames=2,
            minimum_iou_threshold=0.1,
        )

    def follow(self, result: Result) -> Result:
        """The result with its `tracks`; those of one source must come in order."""
        import supervision

        found = supervision.Detections(
            xyxy=result.boxes, confidence=result.scores, data={"place": np.arange(len(result))}
        )
        followed = self._tracker.update(found, timestamp=result.frame.time)
        tracks = np.zeros(len(result), np.int64)
        if len(followed):
            tracks[followed.data["place"]] = followed.tracker_id + 1  # its own begin at 0, and -1 is none yet
        return replace(result, tracks=tracks)


def load_tracker() -> Any:
    """The library's class.  Raises ImportError: it is not installed."""
    from trackers import ByteTrackTracker

    return ByteTrackTracker
