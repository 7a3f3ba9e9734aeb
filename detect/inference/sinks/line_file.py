"""A text file that is whole after every line."""

import os
from pathlib import Path

from detect.files import cannot_write, check_space

RESERVE = 256 << 10  # bytes of the disk that are left free


class LineFile:
    """Takes lines, each of which is handed to the system at once: a crash loses none, and none is there in part.

    Args:
        path: of a new file; one of this name is replaced.

    Raises:
        UserError: it cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.lines = 0
        self._size = 0  # bytes
        try:
            self.path.unlink(missing_ok=True)  # not through a link
            self._file = open(self.path, "xb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def write(self, line: str) -> None:
        """Add a line, without its end.  Raises UserError: it cannot be written; what is in the file stays."""
        check_space(self.path, RESERVE, f"{self.lines} lines")
        content = f"{line}\n".encode()
        try:
            done = self._file.write(content)
            if done != len(content):
                self._file.truncate(self._size)
                self._file.seek(self._size)
                raise OSError(None, "no room left for a whole line")
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._size += done
        self.lines += 1

    def close(self) -> None:
        """Raises UserError: it does not reach the disk."""
        try:
            with self._file:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error
