"""A video file that was cut off is known by its own structure, a whole one is not blamed."""

import struct

import cv2
import numpy as np
import pytest

from detect.inference.container import is_cut_off, mp4_duration

NOISE = np.random.default_rng(0).integers(0, 255, (10, 48, 64, 3), dtype=np.uint8)
CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "mp4v", ".webm": "VP80", ".ts": "mp4v"}


def write_video(path):
    code = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 25, (64, 48))
    assert writer.isOpened()
    for image in NOISE:
        writer.write(image)
    writer.release()
    return path


@pytest.mark.parametrize("suffix", CODECS)
def test_a_cut_is_seen_in_the_structure(tmp_path, suffix):
    path = write_video(tmp_path / f"clip{suffix}")
    whole = path.read_bytes()
    assert not is_cut_off(str(path))
    for length in (len(whole) * 6 // 10, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert is_cut_off(str(path)), length


@pytest.mark.parametrize("suffix", CODECS)
def test_every_beginning_and_every_damage_gives_an_answer(tmp_path, suffix):
    path = write_video(tmp_path / f"clip{suffix}")
    start, rng = path.read_bytes()[:4000], np.random.default_rng(0)
    for length in range(0, 80):
        path.write_bytes(start[:length])
        assert is_cut_off(str(path)) in (True, False) and mp4_duration(str(path)) is None
    for _ in range(50):
        damaged = bytearray(start)
        damaged[rng.integers(60)] = rng.integers(256)
        path.write_bytes(damaged)
        assert is_cut_off(str(path)) in (True, False)


def test_unknown_sizes_are_no_cut(tmp_path):
    header = b"\x1a\x45\xdf\xa3\x84\0\0\0\0" + b"\x18\x53\x80\x67"
    for number, content in enumerate(
        (
            header + b"\x01" + b"\xff" * 7 + bytes(50),  # of a live recording
            b"RIFF" + struct.pack("<I", 0) + b"AVI " + bytes(50),
            b"nothing that is known" * 9,
        )
    ):
        (tmp_path / f"{number}.ts").write_bytes(content)
        assert not is_cut_off(str(tmp_path / f"{number}.ts"))
    assert not is_cut_off(str(tmp_path / "none.mkv"))


def test_junk_after_the_end_is_no_cut(tmp_path):
    path = write_video(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes() + b"\xff" * 40)
    assert not is_cut_off(str(path))
