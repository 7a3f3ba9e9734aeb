"""Results in a window on the screen."""

from contextlib import suppress
from typing import Self

import cv2

from detect.errors import UserError
from detect.inference.result import Result

TITLE = "detect"
ESCAPE = 27


class WindowClosed(Exception):
    """The user has seen enough."""


class WindowSink:
    """Shows each annotated image in a window until the next one comes; use it in a `with` block, which closes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(cv2.error):  # there is none
            cv2.destroyWindow(TITLE)

    def write(self, result: Result) -> None:
        """Show one more result.

        Raises:
            WindowClosed: the user has pressed q or Esc.
            UserError: there is no display.
        """
        try:
            cv2.imshow(TITLE, cv2.cvtColor(result.annotated, cv2.COLOR_RGB2BGR))
            key = cv2.waitKey(1) & 0xFF
        except cv2.error as error:
            raise UserError(
                "no window can be opened here (no display, or OpenCV without one); run without a window",
                argument="show",
            ) from error
        if key in (ord("q"), ESCAPE):
            raise WindowClosed
