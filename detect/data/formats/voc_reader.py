"""Pascal VOC's XML files as a `Reader`."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from detect.data.formats.image_files import ImageFiles
from detect.data.formats.reader import MAX_NUMBER, Fault, short
from detect.data.formats.text_reader import TextReader, parse_number, parse_size, sizes_of
from detect.data.formats.voc_xml import SIDES, VocFile, VocObject, read_voc
from detect.errors import UserError, nearest
from detect.files import entries_of, leads_out
from detect.ops.image import IMAGE_SUFFIXES


class VocReader(TextReader):
    """Images with an XML file each.

    An image is the one with the XML file's name, else the one that `filename` names. Numbers are edges in px from 0 on,
    as tools write them; only files that say that they are of PASCAL VOC 20xx count px from 1 on: there xmin and ymin
    are one less. Objects marked difficult are crowds, since VOC's evaluation leaves them out. Where `size` is missing
    or 0, the image's header tells. Category ids count from 1 on.

    Args:
        source: the split's list or folder, for messages.
        files: the XML files, in order.
        all_files: those of the whole set, whose names are the classes, in alphabetical order, if `names` is None.
        folders: where the images may lie.
        names: of the classes.
        missing: names without an XML file that a list names: (file and line, name).
    """

    def __init__(
        self, source: Path, files: Sequence[Path], all_files: Sequence[Path], folders: Sequence[Path],
        names: Sequence[str] | None = None, missing: Sequence[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        super().__init__(source)
        self._xmls, self._all_files, self._names, self._missing = files, all_files, names, missing
        self._finder = _StemFinder(folders)

    def _read(self) -> Iterator[Fault]:
        for where, name in self._missing:
            yield Fault("image.file_name", where, f"names {short(name)}, which has no XML file")
        if not self._xmls:
            yield Fault("images.empty", str(self.source), "names no images")
        contents: dict[Path, VocFile] = {}
        own = set(self._xmls)
        for path in dict.fromkeys([*self._xmls, *(self._all_files if self._names is None else ())]):
            try:
                contents[path] = read_voc(path)
            except UserError as error:
                if path in own:
                    where, _, sentence = str(error).partition(": ")
                    yield Fault("xml.form", where, sentence)
        found = {name for file in contents.values() for one in file.objects if (name := one.fields.get("name"))}
        yield from self.name_classes(sorted(found) if self._names is None else self._names, 1, str(self.source))
        yield from self._read_images([(path, contents[path]) for path in self._xmls if path in contents])
        self.seal()
        self.notes += self._finder.notes(self.source)
        if crowds := int(self.annotations.crowds.sum()):
            self.notes.append(f"{self.source}: {crowds} objects marked difficult count as crowds")

    def _read_images(self, files: Sequence[tuple[Path, VocFile]]) -> Iterator[Fault]:
        labels = {category["name"]: label for label, category in enumerate(self.categories)}
        images = [self._finder.find(path, file.filename) for path, file in files]
        written = [parse_size(file.size) for _, file in files]
        unknown = [i for i, size in enumerate(written) if size is None and images[i]]
        measured = dict(zip(unknown, sizes_of([images[i] or "" for i in unknown]), strict=True))
        if unknown:
            self.notes.append(f"{self.source}: {len(unknown)} files give no size; the images' own were taken")
        for i, (path, file) in enumerate(files):
            image, size = images[i], written[i] or measured.get(i, "")
            if image is None:
                name = short(file.filename) if file.filename else "none"
                sentence = f"there is no image {path.stem}.* for it (its filename is {name})"
                yield Fault("image.file_name", str(path), sentence)
            elif isinstance(size, str):
                yield Fault("image.size", image, size)
            else:
                self.images.append(len(self.images) + 1, image, *size)
                yield from self._read_objects(path, file, labels)

    def _read_objects(self, path: Path, file: VocFile, labels: dict[str, int]) -> Iterator[Fault]:
        number = self.add_file(path)
        for one in file.objects:
            fault_id, sentence = self._read_object(number, file.is_one_based, one, labels)
            if sentence:
                yield Fault(fault_id, f"{path}:{one.line}", sentence)

    def _read_object(self, file: int, is_one_based: bool, one: VocObject, labels: dict[str, int]) -> tuple[str, str]:
        """Add an object's box, or return the id and sentence of what is wrong with it."""
        name = one.fields.get("name", "")
        if not name:
            return "box.category_id", "the object has no name; give it one"
        if name not in labels:
            return "box.category_id", f"the class {short(name)} is not listed{nearest(name, list(labels)[:50])}"
        edges = []
        for side in SIDES:
            text = one.fields.get(side, "")
            value = parse_number(text)
            if value is None or abs(value) >= MAX_NUMBER:
                return "box.bbox", f"the {short(name)} has the {side} {short(text)}; a bndbox has four numbers in px"
            edges.append(value)
        left, top, right, bottom = edges
        if is_one_based:
            left, top = left - 1, top - 1
        crowd = one.fields.get("difficult", "").lower() in ("1", "true")
        self.add_box(file, one.line, len(self.images) - 1, labels[name], (left, top, right - left, bottom - top), crowd)
        return "", ""


class _StemFinder:
    """Finds the image of an XML file in some folders: by the file's own name, else by the `filename` in it."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._files = [ImageFiles(folder, by_end=True) for folder in folders]
        self._stems: dict[Path, dict[str, list[str]]] = {}

    def find(self, xml: Path, filename: str) -> str | None:
        """Path of the image; None: there is none."""
        stems = [xml.stem] + [os.path.splitext(filename)[0], filename] if filename else [xml.stem]
        for folder, files in zip(self._folders, self._files, strict=True):
            inner = self._inner(folder, xml)
            for stem in dict.fromkeys(stems):
                names = [] if "/" in stem or "\\" in stem else self._images(inner, folder).get(stem, [])
                if names:
                    return str(inner / (filename if filename in names else names[0]))
            path = files.find(filename) if filename else None
            if path and os.path.isfile(path):
                return str(path)
        return None

    def notes(self, source: Path) -> list[str]:
        return [note for files in self._files for note in files.notes(source)]

    def _inner(self, folder: Path, xml: Path) -> Path:
        """The folder in `folder` that corresponds to the XML file's in Annotations/."""
        parts = xml.parent.parts
        at = max((i for i, part in enumerate(parts) if part == "Annotations"), default=None)
        return folder if at is None else folder.joinpath(*parts[at + 1 :])

    def _images(self, folder: Path, root: Path) -> dict[str, list[str]]:
        """{name without suffix: names} of images in a folder; none of what leads out of `root`.  Raises UserError."""
        if folder not in self._stems:
            stems: dict[str, list[str]] = {}
            for entry in entries_of(folder) if os.path.isdir(folder) and not leads_out(folder, root) else ():
                stem, suffix = os.path.splitext(entry.name)
                if suffix.lower() in IMAGE_SUFFIXES and not (entry.is_symlink() and leads_out(entry.path, root)):
                    stems.setdefault(stem, []).append(entry.name)
            self._stems[folder] = stems
        return self._stems[folder]
