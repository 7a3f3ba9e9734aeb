"""A run's folder is one process's at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from detect.errors import UserError
from detect.files import TEMPORARY, cannot_write

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextmanager
def only_here(folder: Path) -> Iterator[None]:
    """Keep every other process from training in the run's folder, and clear away what a killed one left half written.

    The lock is the system's, so it ends with the process, however that ends.

    Raises:
        UserError: another process trains there, or the folder cannot be written to.
    """
    path = folder / LOCK
    try:
        file = _locked(path)
    except BlockingIOError as error:
        raise UserError(f"{folder}: another process is training there; wait until it ends, or stop it") from error
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        for left in folder.glob(f"{TEMPORARY}*"):
            with suppress(OSError):
                left.unlink()
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(file)


def _locked(path: Path) -> int:
    """The open file `path` with the lock on it; BlockingIOError if another process has it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if fcntl:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not passed on to loader processes
            if os.path.exists(path) and os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except PermissionError as error:  # what some systems say for BlockingIOError
            os.close(file)
            raise BlockingIOError(*error.args) from error
        except OSError:
            os.close(file)
            raise
        os.close(file)  # whoever had the lock has just removed the file: it is no one's any more
