"""The image files that a list of records names, found also where the list spells their names another way."""

import os
import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

from detect.errors import nearest
from detect.files import leads_out, name_problem, printable

HASH = re.compile(r"^[0-9a-f]{8}-")  # before the name of a file that was uploaded to Label Studio


class ImageFiles:
    """Finds files by the names that records give them, paths in their folder.

    A name is taken as it is written. Where no such file is there, "\\" counts as "/", and letters of another case or
    another form of Unicode (NFD of "ö", as macOS writes it) as the same, if one file alone fits; and a name may begin
    with the last parts of the folder's own path ("images/a.png"). Absolute paths must lie in the folder. A URL stands
    for its longest end that names a file, and the eight hexadecimal digits that Label Studio puts before a name
    ("1f6d2c3a-a.png") may be missing.

    Args:
        folder: of the images; no name may lead out of it.
        by_end: any other name that no file has stands for its longest end that names one, too: absolute paths of
            another machine, or those of a folder above.
    """

    def __init__(self, folder: Path, by_end: bool = False) -> None:
        self.folder, self.by_end = folder, by_end
        self._root = folder.resolve()
        self._plain: dict[str, frozenset[str]] = {}  # {folder: names of plain files in it}
        self._listings: dict[Path, dict[str, list[str]]] = {}  # {folder: {folded name: names}}
        self._respelled: list[tuple[str, str]] = []

    def find(self, name: object) -> Path | None:
        """Where the file `name` lies, or would lie if it is not there; None if that is not in the folder."""
        if not isinstance(name, str):
            return None
        head, _, tail = name.rpartition("/")
        if not name.startswith("/") and tail in self._plain_files(head):
            return self._root / name
        if name_problem(name):
            return None
        path: Path | None = self._root / name
        if name == tail and _is_plain(name) and _folded(name) not in self._listing(self._root):
            return path  # nothing there is spelled alike
        if Path(name).is_absolute() or not os.path.isfile(self._root / name):
            path = self._other_spelling(name)
        if path is None or not os.path.isfile(path):
            path = self._end_of(name) or path
        if path is None or leads_out(path, self._root):
            return None
        within = path.relative_to(self._root)
        if within != Path(name) and os.path.isfile(path):
            self._respelled.append((name, within.as_posix()))
        return path

    def _plain_files(self, head: str) -> frozenset[str]:
        """Names of the files in the folder `head`, as records name it, that can be taken without another look."""
        if head not in self._plain:
            names: list[str] = []
            parts = head.split("/") if head else []
            folder = self._root / head
            if not any(part in ("", ".", "..") for part in parts) and not name_problem(head or "."):
                with suppress(OSError):
                    if not leads_out(folder, self._root):
                        with os.scandir(folder) as entries:
                            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
            self._plain[head] = frozenset(name for name in names if not name_problem(name))
        return self._plain[head]

    def _end_of(self, name: str) -> Path | None:
        """The file that the longest end of `name` names; a hash before its last part may be missing."""
        is_url = "://" in name or "/?d=" in name  # the second: Label Studio's own files
        text = unquote(name) if is_url else name
        parts = [part for part in text.replace("\\", "/").replace("/?d=", "/").split("/") if part not in ("", ".")]
        if ".." in parts:
            if not self.by_end:
                return None
            parts = parts[len(parts) - parts[::-1].index("..") :]
        if PureWindowsPath(name).anchor and not is_url and not self.by_end:
            return None
        for start in range(len(parts) if is_url or self.by_end else 1):
            for tail in (parts[-1], HASH.sub("", parts[-1])):
                found = self._follow([*parts[start:-1], tail])
                if os.path.isfile(found):
                    return found
        return None

    def hint(self, name: object) -> str:
        """`"; did you mean 'x'?"` for a file of the folder itself that has nearly the last part of `name`."""
        hint = nearest(
            PureWindowsPath(str(name)).name, [n for names in self._listing(self._root).values() for n in names]
        )
        return printable(hint) if "did you mean" in hint else ""

    def notes(self, source: Path) -> list[str]:
        """A sentence on the files that were found under another spelling; none where there are none."""
        if not self._respelled:
            return []
        name, found = self._respelled[0]
        count = len(self._respelled)
        form = " in another form of Unicode" if unicodedata.normalize("NFC", name) == found else ""
        return [
            f"{source}: {count} files have another spelling in {self.folder}, the first: '{printable(name)}' is there "
            f"as '{printable(found)}'{form}"
        ]

    def _other_spelling(self, name: str) -> Path | None:
        path = PurePosixPath(name.replace("\\", "/"))
        if PureWindowsPath(name).anchor:  # absolute, or on a drive
            resolved = Path(os.path.realpath(path))
            if not path.is_absolute() or not resolved.is_relative_to(self._root):
                return None
            path = PurePosixPath(resolved.relative_to(self._root))
        if ".." in path.parts:
            return None
        found = self._follow(path.parts)
        for count in range(1, len(path.parts)):
            repeats = path.parts[:count] == self._root.parts[-count:]
            if repeats and not os.path.isfile(found) and os.path.isfile(self._follow(path.parts[count:])):
                return self._follow(path.parts[count:])
        return found

    def _follow(self, parts: Sequence[str]) -> Path:
        """The path of these parts in the folder, as they are spelled there."""
        place = self._root
        for part in parts:
            place /= self._name_in(place, part)
        return place

    def _name_in(self, folder: Path, name: str) -> str:
        """`name` as it is spelled in the folder; unchanged where several names, or none, are spelled alike."""
        if os.path.exists(folder / name):
            return name
        alike = self._listing(folder).get(_folded(name), [])
        return alike[0] if len(alike) == 1 else name

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listings:
            listing: dict[str, list[str]] = {}
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            for name in sorted(names):
                listing.setdefault(_folded(name), []).append(name)
            self._listings[folder] = listing
        return self._listings[folder]


def _is_plain(name: str) -> bool:
    """Whether a name without "/" can be spelled in no other way than in another case or form of Unicode."""
    return name not in (".", "..") and "\\" not in name and not PureWindowsPath(name).drive and not HASH.match(name)


def _folded(name: str) -> str:
    """The same text for names that differ in case and in Unicode's form only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
