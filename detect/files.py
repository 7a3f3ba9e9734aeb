"""Files of users and strangers: written whole or not at all, read with one clear sentence when something is wrong."""

import gc
import itertools
import json
import os
import re
import secrets
import unicodedata
from codecs import getincrementaldecoder
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import disk_usage
from typing import Any, BinaryIO

from detect.errors import UserError, nearest

TEMPORARY = ".writing-"  # how the names of files in the making begin; theirs are short, as the final ones may be long
MAX_NAME_BYTES = 255  # of a file or folder; more is refused by the file systems in use
MAX_PATH_BYTES = 4096  # Linux takes no more
DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # how Unicode turns the order of letters
CACHE = "CSP_DETECT_CACHE"  # environment variable: the folder for what can be fetched or made again
OFFLINE = "CSP_DETECT_OFFLINE"  # environment variable: 1 fetches nothing
CREDENTIALS = re.compile(r":(?!\\).*@")  # of an address; "C:\\" is a drive
SECRET = re.compile(r"(?i)((?:passw|pwd|token|secret)\w*=).*")
MAX_JSON_BYTES = 4 << 30  # COCO's largest annotation file has 0.5 GB


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of a new file beside `path`; it takes `path`'s place if the block succeeds, else it is removed.

    The file is flushed to the disk before it is renamed, so that at any moment, a crash or kill -9 included, `path`
    holds either the old content or the new.

    Raises:
        UserError: it cannot be written (a full disk, say); an older `path` stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(6)}{path.suffix if len(path.suffix) < 20 else ''}")
    try:
        open(temporary, "xb").close()  # fails rather than follow a link that someone laid there
        yield temporary
        os.chmod(temporary, 0o644)  # some writers make files that only their owner may read
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # a folder that is no folder: said above
            temporary.unlink(missing_ok=True)


def check_space(path: str | os.PathLike[str], reserve: int, done: str) -> None:
    """Raise `UserError` where the disk of the file `path` has less than `reserve` bytes left; `done` is in it."""
    try:
        free = disk_usage(Path(path).parent).free
    except OSError as error:
        raise cannot_write(path, error) from error
    if free < reserve:
        raise UserError(f"{printable(path)}: ends after {done}, the disk is full; make room on it")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file, whole or not at all.  Raises UserError."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | os.PathLike[str], each_object: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """What the JSON file holds, each object as `each_object` returns it.

    Raises:
        UserError: it cannot be read; with file, line and column.
    """
    path, collects = Path(path), gc.isenabled()
    gc.disable()  # it would go through millions of new objects again and again, and find nothing
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise UserError(f"{printable(path)}: larger than {MAX_JSON_BYTES >> 30} GiB; is this an annotation file?")
        return json.loads(path.read_text(encoding="utf-8-sig"), object_hook=each_object)
    except OSError as error:
        raise cannot_read(path, error) from error
    except json.JSONDecodeError as error:
        where = f"{printable(path)}:{error.lineno}:{error.colno}"
        raise UserError(f"{where}: not JSON ({error.msg}); was the file cut off or edited by hand?") from None
    except (ValueError, RecursionError):  # bytes that are no UTF-8, a number of thousands of digits, endless nesting
        raise UserError(f"{printable(path)}: not a JSON text that can be read; write it anew as UTF-8") from None
    finally:
        if collects:
            gc.enable()


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    return open(path, "rb")


def read_bounded(
    path: str | os.PathLike[str], limit: int, doubt: str, opened: Callable[[Any], BinaryIO] = _opened
) -> bytes:
    """All bytes of a file, of which at most `limit` are taken into memory.

    Args:
        opened: opens it for reading; `detect.members.open_binary` finds it within a tar file, too.

    Raises:
        UserError: it cannot be read, or is larger; `doubt` says what that tells ("is this a .cfg?").
    """
    try:
        with opened(path) as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise cannot_read(path, error) from error
    if len(content) > limit:
        raise UserError(f"{printable(path)}: larger than {limit >> 20} MiB; {doubt}")
    return content


def leads_out(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Whether `path`, its links followed, is neither `folder` nor in it."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))  # Path.resolve fails at link loops


def entries_of(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name.  Raises UserError: it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise cannot_read(folder, error) from error


def name_problem(name: object) -> str:
    """What makes `name` unfit to be a file's path, to follow "it"; nothing if it is fit.

    Control characters do, and parts that no file system takes; all other characters of Unicode are fine.
    """
    if not isinstance(name, str):
        return "is no text"
    if not name.strip():
        return "is empty"
    if problem := wrong_characters(name):
        return problem
    if len(os.fsencode(name)) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    if max(map(len, os.fsencode(name).replace(b"\\", b"/").split(b"/"))) > MAX_NAME_BYTES:
        return f"has a part of more than {MAX_NAME_BYTES} bytes"
    return ""


def shortened(stem: str, rest: str) -> str:
    """`stem`, cut where `stem` and `rest` together would be too long for a file's name."""
    room = MAX_NAME_BYTES - len(os.fsencode(rest))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem


def wrong_characters(text: str) -> str:
    """What is wrong with the characters of a name or word, to follow "it"; nothing if nothing is."""
    if not text.isprintable() and any(unicodedata.category(c) == "Cc" for c in text):
        return "holds control characters"
    try:
        os.fsencode(text)  # which takes bytes of a file's name that are no UTF-8, as Python hands them out
    except UnicodeEncodeError:
        return "is broken Unicode"
    return ""


def is_unicode(text: str) -> bool:
    """Whether `text` can be written as UTF-8: JSON can hold halves of characters, which cannot."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def is_text(path: str | os.PathLike[str]) -> bool:
    """Whether the file `path` begins like a text."""
    try:
        with open(path, "rb") as file:
            start = file.read(1000)
        return b"\0" not in start and getincrementaldecoder("utf-8")().decode(start).strip() != ""
    except (OSError, UnicodeDecodeError):
        return False


def printable(name: object) -> str:
    """`name` fit for a terminal: what would steer it, or is broken Unicode, is written as Python escapes it.

    What the terminal's encoding lacks is left to the stream that is written to.
    """
    text = str(name)
    return text if text.isprintable() else "".join(ascii(c)[1:-1] if _steers(c) else c for c in text)


def hidden(path: object) -> str:
    """What was given as a path, without the password in it if it is an address that was mistyped (`rtsp:/me:...@h`)."""
    return SECRET.sub(r"\1...", CREDENTIALS.sub(":...@", str(path)))


def _steers(c: str) -> bool:
    """Whether a terminal would not show the character but obey it: controls, line ends, changes of direction."""
    return unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(c) in DIRECTIONS


def nearest_file(path: str | os.PathLike[str]) -> str:
    """`"; did you mean 'x'?"` for a file or folder beside the missing `path` with nearly its name, else nothing."""
    try:
        hint = nearest(Path(path).name, sorted(os.listdir(Path(path).parent)))
    except (OSError, ValueError):  # ValueError: characters that no path has
        return ""
    return printable(hint) if "did you mean" in hint else ""


def _nearest_of(path: str | os.PathLike[str], names: Collection[str]) -> str:
    """`"; did you mean 'x'?"` where `path` is nearly one of `names`, else nothing."""
    hint = nearest(path, names)
    return hint if "did you mean" in hint else ""


def missing(path: str | os.PathLike[str], names: Collection[str] = ()) -> UserError:
    """The `UserError` for a file that is not there: where it was looked for, and the nearest name that exists.

    `names` are words that could stand in the place of a path.
    """
    if os.path.islink(path):
        return UserError(
            f"{printable(path)}: is a link to {printable(os.readlink(path))}, which is not there; mend the link"
        )
    wrong = Path(path).absolute()
    while not os.path.isdir(wrong.parent):  # the first part of the path that is wrong
        wrong = wrong.parent
    hint = nearest_file(wrong) or _nearest_of(path, names) or "; check the path"
    given, tried = printable(hidden(path)), printable(hidden(Path(path).absolute()))
    return UserError(f"{given}: no such file or folder (tried {tried}){hint}")


def cannot_read(path: str | os.PathLike[str], error: OSError) -> UserError:
    """The `UserError` for a file that the system does not let us read."""
    if isinstance(error, FileNotFoundError):
        return missing(path)
    return UserError(f"{printable(path)}: cannot be read ({error.strerror}); check the file and its permissions")


def cannot_write(path: str | os.PathLike[str], error: BaseException) -> UserError:
    """The `UserError` for a file that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
    return UserError(
        f"{printable(path)}: cannot be written ({reason}); check the folder, its permissions and free space"
    )


# ---- folders -------------------------------------------------------------------------------------------------------


def made_folder(path: str | os.PathLike[str], argument: str = "out") -> Path:
    """The folder `path`, which `argument` gave, made if it is not there.  Raises UserError."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made ({error.strerror})", argument=argument) from error
    return Path(path)


def cache_folder() -> Path:
    """The folder for what can be fetched or made again: `CSP_DETECT_CACHE`, else ~/.cache/csp-detect."""
    return Path(os.environ.get(CACHE) or "~/.cache/csp-detect").expanduser()


def is_offline() -> bool:
    """Whether `CSP_DETECT_OFFLINE` says that nothing may be fetched."""
    return os.environ.get(OFFLINE, "") not in ("", "0")


@contextmanager
def filled_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make the folder `path` if it is not there and yield it; what was made is removed if nothing came into it.

    Raises:
        UserError: it cannot be made.
    """
    new = [folder for folder in (Path(path), *Path(path).parents) if not os.path.exists(folder)]
    try:
        yield made_folder(path)
    finally:
        _remove_empty(new)


@contextmanager
def new_folder(parent: str | os.PathLike[str], name: str) -> Iterator[Path]:
    """Make and yield the first free of `parent`/`name`-1, -2, ...; it is removed if nothing came into it.

    Raises:
        UserError: it cannot be made.
    """
    is_first = not os.path.exists(parent)
    folder = _first_free(Path(parent), name)
    try:
        yield folder
    finally:
        _remove_empty([folder, Path(parent)] if is_first else [folder])


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove those `folders`, the innermost first, that are empty."""
    with suppress(OSError):  # not empty
        for folder in folders:
            folder.rmdir()


def _first_free(parent: Path, name: str) -> Path:
    for number in itertools.count(1):
        folder = parent / (shortened(name, f"-{number}") + f"-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"{folder}: cannot be made ({error.strerror})", argument="out") from error
    raise AssertionError("there is always one more number")
