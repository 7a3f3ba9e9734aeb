"""The structure of video files as far as it tells what OpenCV does not: how long an .mp4 plays, and what is cut off."""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

MOST_BOXES = 1000  # of an .mp4 that are looked at
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # the two elements of a Matroska file
PACKETS = {b"\x47": 188, b"\0": 192}  # bytes of an MPEG transport stream, by the first: .ts, .m2ts


def is_cut_off(path: str) -> bool:
    """Whether a video file ends before its own structure does: .mp4, .mov, .mkv, .webm, .avi, .ts, .m2ts."""
    try:
        with open(path, "rb") as file:
            return _ends_at(file, os.path.splitext(path)[1].lower()) > _size(file)
    except (OSError, struct.error, ValueError):
        return False


def _ends_at(file: BinaryIO, suffix: str) -> int:
    """Where an open file should end, as its structure says; 0 where it does not."""
    start = file.read(12)
    if start[4:8] == b"ftyp":
        boxes = _boxes(file, 0, _size(file))
        return max(place + size for kind, place, size in boxes if kind in (b"moov", b"mdat", b"moof"))
    if start[:4] == b"RIFF":
        (size,) = struct.unpack("<I", start[4:8])
        return 8 + size if size else 0
    if start[:4] == EBML:
        return _end_of_segment(file)
    if suffix in (".ts", ".mts", ".m2ts") and start[:1] in PACKETS:
        packet = PACKETS[start[:1]]
        return -(-_size(file) // packet) * packet
    return 0


def _end_of_segment(file: BinaryIO) -> int:
    """Where the segment of a Matroska file ends; 0 where it was written without knowing."""
    file.seek(4)
    header = _variable_size(file)
    file.seek(header or 0, os.SEEK_CUR)
    if header is None or file.read(4) != SEGMENT:
        return 0
    size = _variable_size(file)
    return file.tell() + size if size is not None else 0


def _variable_size(file: BinaryIO) -> int | None:
    """The size of an EBML element, whose leading zeros say in how many bytes it stands; None for an unknown one."""
    first = file.read(1)
    length = 9 - first[0].bit_length() if first else 9
    if length > 8:
        raise ValueError("no size")
    bits = 7 * length
    value = int.from_bytes(first + file.read(length - 1), "big") & (1 << bits) - 1
    return None if value == (1 << bits) - 1 else value


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def mp4_duration(path: str) -> float | None:
    """Seconds that an .mp4 or .mov plays, edits applied (its `mvhd` box, ISO/IEC 14496-12), or None."""
    try:
        with open(path, "rb") as file:
            end = _size(file)
            for box_type, start, size in _boxes(file, 0, end):
                if box_type != b"moov":
                    continue
                for inner, inner_start, _ in _boxes(file, start, start + size):
                    if inner == b"mvhd":
                        file.seek(inner_start)
                        layout = ">4x16xIQ" if file.read(1) == b"\1" else ">4x8xII"
                        file.seek(inner_start)
                        timescale, duration = struct.unpack(layout, file.read(struct.calcsize(layout)))
                        return duration / timescale if timescale and duration else None
    except (OSError, struct.error):
        pass
    return None


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(box_type, start of content, size of content) of the boxes of an .mp4 between two positions."""
    for _ in range(MOST_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        size, box_type = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            header = 16
        size = end - start if size == 0 else size
        if size < header:
            return
        yield box_type, start + header, size - header
        start += size
