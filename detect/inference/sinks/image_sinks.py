"""Annotated images and annotated videos."""

from collections.abc import Callable
from typing import Self

from detect.errors import UserError
from detect.files import printable
from detect.inference.result import Result
from detect.inference.sinks.encoders import NO_H264, h264
from detect.inference.sinks.output_names import OutputNames
from detect.inference.sinks.segments import Segments
from detect.inference.sinks.video_writer import VideoWriter
from detect.inference.sources import Frame, OnError, ended_by, raise_error
from detect.ops.image import write_image


class ImageSink:
    """Writes each annotated image in the format of its source, or as .png where that is rare; videos pass it by.

    Args:
        names: what the files are called.
        on_error: called with the `UserError` of an image that cannot be written; the others go on.
    """

    def __init__(self, names: OutputNames, on_error: OnError = raise_error) -> None:
        self._names = names
        self._on_error = on_error

    def write(self, result: Result) -> None:
        if result.frame.medium != "image":
            return
        path = self._names.take(result.source)
        try:
            write_image(path, result.annotated)
        except UserError as error:
            self._names.taken.remove(path)
            self._on_error(error)


class VideoSink:
    """Writes an annotated .mp4 for each video and live source; images pass it by. Use it in a `with` block.

    A video is finished when the next file begins, when its time is up or when the block ends, however it ends:
    `video_writer.VideoWriter`.

    Args:
        names: what the files are called.
        log: called with a sentence for each video that lacks some of its images, and once for the format of all.
        on_error: called with the `UserError` of a video that cannot be written; those of live sources are raised, as
            days of work must not go nowhere.
        segment: seconds after which the next video of a source begins, named by the time; None for one.
    """

    def __init__(
        self,
        names: OutputNames,
        log: Callable[[str], object],
        on_error: OnError = raise_error,
        segment: float | None = None,
    ) -> None:
        self._names = names
        self._log = log
        self._on_error = on_error
        self._segment = segment
        self._frames: dict[int, Frame] = {}  # the first of each source that is not at its end
        self._segments: dict[int, Segments] = {}
        self._videos: dict[int, VideoWriter] = {}  # those of them that can be written

    def __enter__(self) -> Self:
        if h264() is None:  # tried before the first image comes, which would grow old meanwhile
            self._log(NO_H264)
        return self

    def __exit__(self, *_: object) -> None:
        for item in list(self._videos):
            self._finish(item)

    def write(self, result: Result) -> None:
        frame = result.frame
        for item in ended_by(frame, self._frames):
            self._finish(item)
            del self._frames[item], self._segments[item]
        if frame.medium == "image":
            return
        self._frames.setdefault(frame.item, frame)
        segments = self._segments.setdefault(frame.item, Segments(self._segment))
        if segments.begins(frame):
            self._finish(frame.item, frame)
            self._videos[frame.item] = VideoWriter(self._names.take(frame.source, ".mp4", segments.name), frame.fps)
        video = self._videos.get(frame.item)
        if video is None:
            return
        try:
            video.write(result.annotated, frame.time)
        except UserError as error:
            try:
                self._finish(frame.item, frame)
            finally:  # the cause is told, whatever follows from it
                self._complain(error, frame)

    def _complain(self, error: UserError, frame: Frame | None) -> None:
        if frame is not None and frame.medium == "live":
            raise error
        self._on_error(error)

    def _finish(self, item: int, frame: Frame | None = None) -> None:
        """Finish the video of a source, if there is one."""
        video = self._videos.pop(item, None)
        if video is None:
            return
        try:
            video.close()
        except UserError as error:
            self._complain(error, frame)
        if not video.written:
            self._names.taken.remove(video.path)
            return
        if video.left_out:
            self._log(
                f"{printable(video.path)}: {video.left_out} of {video.given} images came in bursts, "
                f"faster than the video's {video.fps:g} frames a second, and are not in it"
            )
        if video.shortened:
            self._log(f"{printable(video.path)}: gaps without an image were shortened by {video.shortened:.0f} s")
