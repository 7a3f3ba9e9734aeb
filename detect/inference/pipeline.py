"""The whole way of the command line: read, detect, draw, write, and tell how it goes."""

import sys
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import cv2
from tqdm import tqdm

from detect.errors import UserError
from detect.files import printable
from detect.inference.sinks import ImageSink, JsonSink, OutputNames, VideoSink
from detect.inference.sources import find_items

PLAIN_LINE_EVERY = 5.0  # seconds between two lines about a video where no bar can be drawn
JSON_NAME = "detections.json"


def detect_files(
    predictor, source, out_folder, save_json=True, show_progress=True, show=False, verbose=False, log=print, warn=None
):
    """Detect in `source` and write annotated images, videos and `detections.json` to `out_folder`.

    Images get one line each with what was found; videos and live sources a progress bar that shows it, or a line
    every few seconds where the output is no terminal; `verbose` gives them a line for every frame.

    Args:
        predictor: a `detect.inference.predictor.Predictor`, or whatever has its `names` and `predict_items`.
        source: see `sources.find_items`.
        show: also show each image in a window; the key q ends the run.
        log: called with each line.
        warn: called with each sentence on a source that could not be read; `log` by default.

    Returns:
        {"frames", "detections": their numbers, "fps": frames per second from file to file, "files": paths of the
        annotated images and videos, "json": path or None, "errors": one sentence for each source that could not be
        read or broke off (the others were done), "counts": {class name: number}}

    Raises:
        UserError: there is nothing to read, or the results cannot be written.
        KeyboardInterrupt: Ctrl-C, after the files were finished.
    """
    progress = _Progress(log, show_progress, verbose)
    errors = []

    def note(error):
        errors.append(str(error))
        progress.say(f"error: {error}", warn)

    items = find_items(source, note)
    paths = [item.value for item in items if item.medium != "live" and isinstance(item.value, (str, Path))]
    names = OutputNames(out_folder, paths)
    progress.images = sum(item.medium == "image" for item in items)
    counts, frames, start = Counter(), 0, time.perf_counter()
    with ExitStack() as stack:
        stack.callback(progress.end)
        writer = stack.enter_context(_Writer(names))
        json_path = names.folder / JSON_NAME if save_json else None
        json_sink = stack.enter_context(JsonSink(json_path, predictor.names)) if save_json else None
        try:
            for result in stack.enter_context(closing(predictor.predict_items(items, note))):
                image = result.plot()
                writer.write(result, image)
                if json_sink:
                    json_sink.write(result)
                counts.update(result.counts())
                frames += 1
                progress.show(result)
                if show and not _show(image):
                    break
        except KeyboardInterrupt:
            progress.say(f"interrupted after {frames} frames; their results are kept in {printable(names.folder)}")
            raise
    seconds = time.perf_counter() - start
    return {
        "frames": frames,
        "detections": sum(counts.values()),
        "fps": frames / seconds if frames else 0.0,
        "files": [str(path) for path in writer.files],
        "json": str(json_path) if save_json else None,
        "errors": errors,
        "counts": {name: counts[name] for name in predictor.names if counts[name]},
    }


def describe(counts):
    """`{"person": 3, "dog": 1}` -> `3 person, 1 dog`."""
    return ", ".join(f"{count} {printable(name)}" for name, count in counts.items()) or "nothing found"


class _Writer:
    """Images to image files, each video and live source to a video of its own; use it in a `with` block."""

    def __init__(self, names):
        self.files = []
        self._names = names
        self._images = ImageSink(names)
        self._video = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end_video()

    def write(self, result, image):
        if result.frame.index == 0:
            self._end_video()
        if result.frame.medium == "image":
            self.files.append(self._images.write(result.source, image))
            return
        if self._video is None:
            self._video = VideoSink(self._names.take(result.source, ".mp4"), result.frame.fps)
            self.files.append(self._video.path)
        self._video.write(image, result.frame.time)

    def _end_video(self):
        if self._video is not None:
            video, self._video = self._video, None
            video.close()


class _Progress:
    """Tells the user how it goes: lines to `log`, and a bar on stderr where that is a terminal."""

    def __init__(self, log, wanted, verbose):
        self.images = 0  # how many the sources hold
        self._log = log
        self._wanted = wanted
        self._verbose = verbose
        self._bar = None
        self._done = 0
        self._began = self._last_line = time.perf_counter()

    def say(self, line, log=None):
        """A line to `log`, above the bar if there is one."""
        log = log or self._log
        if self._bar is None:
            log(line)
        else:
            with tqdm.external_write_mode():
                log(line)

    def show(self, result):
        """Tell what was found in one more image."""
        if result.frame.medium == "image":
            self.end()
            self._done += 1
            height, width = result.image.shape[:2]
            place = f"[{self._done}/{self.images}] {printable(result.source)} {width}x{height}"
            self.say(f"{place}: {describe(result.counts())}")
            return
        if result.frame.index == 0:
            self._begin(result)
        found = describe(result.counts())
        if self._verbose:
            self.say(f"{printable(result.source)} {self._place(result)}: {found}")
        if self._bar is not None:
            self._bar.set_postfix_str(found, refresh=False)
            self._bar.update()
        elif self._wanted and not self._verbose and time.perf_counter() - self._last_line > PLAIN_LINE_EVERY:
            self._last_line = time.perf_counter()
            fps = (result.frame.index + 1) / (self._last_line - self._began)
            self.say(f"{printable(result.source)} {self._place(result)}, {fps:.1f} fps: {found}")

    def end(self):
        """Close the bar of a video."""
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.close()

    def _begin(self, result):
        self.end()
        self._began = self._last_line = time.perf_counter()
        if self._wanted and sys.stderr.isatty():
            name = printable(Path(result.source).name)
            self._bar = tqdm(total=result.frame.total, desc=name, unit="frame", dynamic_ncols=True, file=sys.stderr)

    @staticmethod
    def _place(result):
        return f"frame {result.frame.index + 1}" + (f" of {result.frame.total}" if result.frame.total else "")


def _show(image):
    """Show an RGB image in a window; False once the user has pressed q or Esc."""
    try:
        cv2.imshow("detect", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)
    except cv2.error as error:
        raise UserError("no window can be opened here (no display, or OpenCV without one); leave out --show") from error
