"""The image files that a list of records names, found also where the list spells their names another way."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from detect.errors import nearest
from detect.files import name_problem, printable


class ImageFiles:
    """Finds files by the names that records give them, paths in their folder.

    A name is taken as it is written. Where no such file is there, "\\" counts as "/", and letters of another case or
    another form of Unicode (NFD of "ö", as macOS writes it) as the same, if one file alone fits; and a name may begin
    with the last parts of the folder's own path ("images/a.png"). Absolute paths must lie in the folder.

    Args:
        folder: of the images; no name may lead out of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = folder.resolve()
        self._listings: dict[Path, dict[str, list[str]]] = {}  # {folder: {folded name: names}}
        self._respelled: list[tuple[str, str]] = []

    def find(self, name: object) -> Path | None:
        """Where the file `name` lies, or would lie if it is not there; None if that is not in the folder."""
        if name_problem(name) or not isinstance(name, str):
            return None
        path: Path | None = self._root / name
        if Path(name).is_absolute() or not os.path.isfile(self._root / name):
            path = self._other_spelling(name)
        if path is None or not path.resolve().is_relative_to(self._root):
            return None
        within = path.relative_to(self._root)
        if within != Path(name) and os.path.isfile(path):
            self._respelled.append((name, within.as_posix()))
        return path

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
            resolved = Path(path).resolve()
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


def _folded(name: str) -> str:
    """The same text for names that differ in case and in Unicode's form only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
