"""What a run shows in images: each is drawn if it can be, and none of them is a reason to stop a training."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detect.errors import UserError
from detect.ops.image import write_image
from detect.report.figures import write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Image = np.ndarray  # uint8 RGB [height, width, 3]


class Album:
    """Images and figures in a run's folder, each written whole or not at all.

    Args:
        folder: the run's folder.
        say: called with one sentence for each file that cannot be made.
    """

    def __init__(self, folder: Path, say: Callable[[str], Any]) -> None:
        self.folder, self.say = folder, say
        self.failed: set[str] = set()  # said once

    def add(self, name: str, make: Callable[[], "Image | Figure"]) -> None:
        """Write what `make` gives as the file `name` of the folder."""
        try:
            made = make()
            write = write_image if isinstance(made, np.ndarray) else write_figure
            write(self.folder / name, made)
        except Exception as error:  # a bug in a drawing is no reason either
            if name not in self.failed:
                bug = "" if isinstance(error, UserError) else f"{type(error).__name__}, please report it: "
                self.say(f"no {name}: {bug}{error}")
            self.failed.add(name)
