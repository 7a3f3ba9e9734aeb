"""The source that is watched: read without end, detected in, and its newest frame handed to whoever looks."""

import json
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from detect.errors import UserError
from detect.files import printable
from detect.inference.live import Watching
from detect.inference.reading import read_frames
from detect.inference.result import Result
from detect.inference.sources import Frame, Item
from detect.ops.nms import Candidates
from detect.ops.preview import jpeg, shrunk
from detect.serve.engine import Busy, Found, SharedEngine
from detect.serve.history import History

LONGEST_SIDE = 1280  # px of what viewers get
SILENT = 10.0  # s without a frame after which a source is called lost
MEASURED = 30  # frames that speed and delay are a mean of
PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)  # s before a lost source is tried again, the last of them for ever


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame with what was found in it; all detections that the engine gives, also the unlikely ones."""

    result: Result
    number: int  # of the frames detected in so far
    when: float  # Unix time it was done, s

    @cached_property
    def jpeg(self) -> bytes:
        """The frame without boxes, small enough to be sent."""
        return encoded(self.result.image)

    @cached_property
    def message(self) -> bytes:
        """What a viewer gets: the length of a JSON text in four bytes, the text, and the JPEG.

        The text's `detections` are [left, top, right, bottom, score, label] in px of the frame, best first.
        """
        height, width = self.result.image.shape[:2]
        rows = zip(self.result.boxes.tolist(), self.result.scores.tolist(), self.result.labels.tolist(), strict=True)
        text = json.dumps(
            {
                "number": self.number,
                "time": self.when,
                "width": width,
                "height": height,
                "detections": [[*(round(x, 1) for x in box), round(score, 4), label] for box, score, label in rows],
            }
        ).encode()
        return struct.pack(">I", len(text)) + text + self.jpeg


class Watch:
    """Detects in a source in a thread of its own, for as long as it takes: a file is played again and again, at its own
    speed, a live source is tried again when it is lost.

    Args:
        item: the source, from `detect.inference.sources.find_items`.
        engine: shared with others.
        min_score: what counts in `history`; viewers get all that the engine finds.
        publish: called with each `Shot`, in the thread.
        has_viewers: whether somebody looks, so that it is worth the work to encode a frame.
        log: called with a sentence when the source is lost, and when it is back.
    """

    def __init__(
        self,
        item: Item,
        engine: SharedEngine,
        min_score: float,
        publish: Callable[[Shot], object],
        has_viewers: Callable[[], bool],
        log: Callable[[str], object],
    ) -> None:
        self.item, self.history = item, History()
        self._state = "starting"
        self.frames = self.dropped = 0
        self.latest: Shot | None = None
        self._engine, self._min_score = engine, min_score
        self._publish, self._has_viewers, self._log = publish, has_viewers, log
        self._done: deque[float] = deque(maxlen=MEASURED)  # when the last frames were done
        self._delays: deque[float] = deque(maxlen=MEASURED)  # s from their arrival to then
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {item.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a silent source may hold it longer, it ends with the process."""
        self._stop.set()
        self._thread.join(timeout=2)

    @property
    def state(self) -> str:
        """ "starting", then "running", "lost" and "running" again."""
        silent = self._done and time.monotonic() - self._done[-1] > SILENT
        return "lost" if silent else self._state

    @property
    def fps(self) -> float:
        """Frames that are detected in a second, of late."""
        times = list(self._done)
        if len(times) < 2 or time.monotonic() - times[-1] > 5:
            return 0.0
        return (len(times) - 1) / max(times[-1] - times[0], 1e-6)

    @property
    def latency(self) -> float:
        """Mean s between a frame's arrival and its detections, of late."""
        delays = list(self._delays)
        return sum(delays) / len(delays) if delays else 0.0

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            before = self.frames
            try:
                self._play()
                if self.frames == before and not self._stop.is_set():
                    raise UserError(f"{printable(self.item.name)}: gives no images")
            except Exception as error:  # whatever it is, the camera may be back later
                failures = 0 if self.frames > before else failures + 1
                if self._state != "lost" and not self._stop.is_set():
                    self._log(f"{error if isinstance(error, UserError) else printable(repr(error))}; trying again")
                self._state = "lost"
                self._stop.wait(PAUSES[min(failures, len(PAUSES) - 1)])

    def _play(self) -> None:
        """Detect in the source until it ends.  Raises UserError: it is lost, or the detector's weights are broken."""
        dropped = 0
        with closing(read_frames([self.item], watching=Watching(reconnects=0), stop=self._stop)) as frames:
            for frame, arrived in self._in_time(frames):
                found = self._found(frame.image)
                if self._stop.is_set():
                    return
                self.dropped += frame.dropped - dropped
                dropped = frame.dropped
                if found is not None:
                    self._tell(frame, found.detections, arrived)

    def _in_time(self, frames: Iterator[Frame]) -> Iterator[tuple[Frame, float]]:
        """Each frame and when it arrived, Unix time in s; those of a file come at the file's own speed."""
        start: float | None = None  # of the file, by `time.monotonic`
        for frame in frames:
            if frame.clock is not None:
                yield frame, frame.clock
            elif frame.time is None:
                yield frame, time.time()
                self._stop.wait(1.0)
            else:
                now = time.monotonic()
                start = now if start is None else start
                self._stop.wait(max(start + frame.time - now, 0))
                yield frame, time.time()

    def _found(self, image: np.ndarray) -> Found | None:
        """What is found, or None where there is no room in the line or the engine closes."""
        try:
            with self._engine.place():
                return self._engine.submit(image).result()
        except (Busy, CancelledError):
            self._stop.wait(0.05)
            return None

    def _tell(self, frame: Frame, found: Candidates, arrived: float) -> None:
        when = time.time()
        self._done.append(time.monotonic())
        self._delays.append(max(when - arrived, 0.0))
        self.frames += 1
        if self._state == "lost":
            self._log(f"{printable(self.item.name)}: is back")
        self._state = "running"
        result = Result(found.boxes, found.scores, found.labels, self._engine.detector.names, frame)
        sure = result.filter(min_score=self._min_score)
        self.history.add(when, sure.counts())
        if self.history.wants_still(when, len(sure)):
            self.history.keep_still(when, len(sure), encoded(sure.plot()))
        self.latest = Shot(result, self.frames, when)
        if self._has_viewers():
            _ = self.latest.message  # encoded here, once for all of them
        self._publish(self.latest)


def encoded(image: np.ndarray) -> bytes:
    """uint8 RGB [height, width, 3] as a JPEG whose long side is at most `LONGEST_SIDE`."""
    return jpeg(shrunk(image, LONGEST_SIDE)[0])
