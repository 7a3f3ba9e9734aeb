"""Results in a window on the screen."""

import subprocess
import sys
from contextlib import suppress
from typing import Self

import cv2

from detect.errors import UserError
from detect.inference.result import Result

TITLE = "detect"
ESCAPE = 27
TRY = "import cv2; cv2.namedWindow('detect'); cv2.destroyAllWindows()"
LONGEST_TRY = 30  # seconds


class WindowClosed(Exception):
    """The user has seen enough."""


def check_display() -> None:
    """Raise `UserError` where no window can be opened.

    Another process tries it: without a display, Qt ends the whole process that asks for a window.
    """
    try:
        ended = subprocess.run([sys.executable, "-c", TRY], capture_output=True, timeout=LONGEST_TRY).returncode
    except (OSError, subprocess.TimeoutExpired):
        ended = 1
    if ended:
        raise _no_display()


def _no_display() -> UserError:
    return UserError(
        "no window can be opened here (no display, or OpenCV without one); run without a window", argument="show"
    )


class WindowSink:
    """Shows each annotated image in a window until the next one comes; use it in a `with` block, which closes it.

    Live sources that are watched at once have a window each.
    """

    def __init__(self) -> None:
        self._titles: dict[int | None, str] = {}  # by source; files share one

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for title in self._titles.values():
            with suppress(cv2.error):  # there is none
                cv2.destroyWindow(title)

    def write(self, result: Result) -> None:
        """Show one more result.

        Raises:
            WindowClosed: the user has pressed q or Esc.
            UserError: there is no display.
        """
        source = result.frame.item if result.frame.medium == "live" else None
        number = len(self._titles)
        title = self._titles.setdefault(source, f"{TITLE} {number + 1}" if number else TITLE)
        try:
            cv2.imshow(title, cv2.cvtColor(result.annotated, cv2.COLOR_RGB2BGR))
            key = cv2.waitKey(1) & 0xFF
        except cv2.error as error:
            raise _no_display() from error
        if key in (ord("q"), ESCAPE):
            raise WindowClosed
