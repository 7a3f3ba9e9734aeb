"""Bulk detection by Ray: what two processes write is what one finds, whatever happens to a process or an image."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import detect
from detect.errors import UserError
from detect.exporters.formats import Request, format_of
from detect.ops.image import write_image
from detect.weights.files import Weights
from tests.small_detector import seeing_everything

pytest.importorskip("pyarrow", reason="needs the extra ray")
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "ray_bulk.py"
OPTIONS = {"threads": 1, "precision": "f32", "min_score": 0.1}
IMAGES, BLOCK = 60, 4


@pytest.fixture(scope="module")
def bulk():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("ray_bulk", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of images in two folders, one of them damaged, and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "b").mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES - 1):
        image = np.kron(rng.integers(0, 255, (5, 8, 3), dtype=np.uint8), np.ones((20, 20, 1), np.uint8))
        write_image(folder / ("b" if number % 2 else ".") / f"{number:02}.png", image)
    (folder / "b" / "bad.jpg").write_bytes(b"no image")
    (folder / "readme.txt").write_text("not listed")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory, one_thread, small_backbone):
    """An exported file of a small detector that finds something everywhere."""
    folder = tmp_path_factory.mktemp("model")
    network, settings = seeing_everything(small_backbone, 64)
    categories = [{"id": label, "name": name} for label, name in enumerate("abc")]
    images = folder / "images"
    images.mkdir()
    write_image(images / "0.png", np.random.default_rng(0).integers(0, 255, (40, 64, 3), dtype=np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSP_DETECT_CACHE", str(folder / "cache"))
        format_of(None, folder / "m.xml").write(
            folder / "m.xml", Weights.of(network, settings, categories, "small.pt"), Request(data=images)
        )
        yield folder / "m.xml"


def lines_in(folder):
    """{source: line} of all blocks; fails where one is there twice."""
    lines = [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
    assert len({line["source"] for line in lines}) == len(lines)
    return {line["source"]: line for line in lines}


def found_in(photos, model):
    """{source: what one process finds}, of the images that can be read."""
    detector = detect.load(model, **OPTIONS)
    found = {}
    for path in sorted(photos.rglob("*.png")):
        told = detector(path).to_dict()
        source = path.relative_to(photos).as_posix()
        found[source] = {"source": source} | {key: told[key] for key in ("width", "height", "detections")}
    return found


@pytest.fixture
def ray_folder():
    """Where Ray keeps its sockets, whose paths must be short."""
    folder = tempfile.mkdtemp(prefix="ray-")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_two_processes_find_what_one_does_though_one_is_killed_and_an_image_is_damaged(
    photos, model, tmp_path, ray_folder
):
    pytest.importorskip("ray", reason="needs the extra ray")
    out = tmp_path / "found"
    command = [sys.executable, SCRIPT, "--source", photos, "--out", out, "--weights", model, "--block", BLOCK]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": ray_folder}
    command += ["--min-score", OPTIONS["min_score"]]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            said = [process.stdout.readline(), first := process.stdout.readline()]
            killed = int(re.search(r"by process (\d+)", first)[1])
            os.kill(killed, signal.SIGKILL)
            done_then = len(list(out.glob("*.jsonl")))
            said += process.stdout.readlines()
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert done_then < IMAGES // BLOCK, "nothing was left to do when the process was killed"
    assert said[0] == f"{IMAGES // BLOCK} blocks of at most {BLOCK} images, 0 done already\n"
    by = [int(found[1]) for line in said if (found := re.search(r"^\d+/15 .*: 4 images, by process (\d+)$", line))]
    assert len(by) == IMAGES // BLOCK and by[0] == killed
    lines = lines_in(out)
    assert "bad.jpg: not a readable image" in lines.pop("b/bad.jpg")["error"]
    assert lines == found_in(photos, model)
    assert sum(len(line["detections"]) for line in lines.values()) > IMAGES
    assert not [path for path in out.iterdir() if path.suffix != ".jsonl" or path.name.startswith(".")]


def test_what_is_there_is_not_done_again_and_what_another_job_left_is_refused(bulk, photos, model, tmp_path):
    source, out = str(photos), str(tmp_path)
    job = {"weights": str(model)} | OPTIONS
    blocks = bulk.blocks_of(source, 40, job)
    assert [len(block.names) for block in blocks] == [40, 20]
    assert [name for block in blocks for name in block.names] == sorted(
        name for block in blocks for name in block.names
    )
    worker = bulk.Worker(source, out, str(model), OPTIONS)
    assert worker(blocks[1]._asdict())["images"] == 20
    assert bulk.waiting(blocks, out) == blocks[:1]
    (tmp_path / blocks[1].file).write_text("kept\n")
    worker(blocks[1]._asdict())
    assert (tmp_path / blocks[1].file).read_text() == "kept\n"
    for others in (bulk.blocks_of(source, 40, job | {"min_score": 0.5}), bulk.blocks_of(source, 30, job)):
        with pytest.raises(UserError, match=rf"holds {blocks[1].file}, which other images or options gave"):
            bulk.waiting(others, out)


def test_a_block_that_was_half_written_is_done_anew(bulk, photos, model, tmp_path):
    (block,) = bulk.blocks_of(str(photos), 100, {})
    (tmp_path / f".writing-{block.file}").write_text('{"source": ')
    assert bulk.waiting([block], str(tmp_path)) == [block]
    bulk.Worker(str(photos), str(tmp_path), str(model), OPTIONS)(block._asdict())
    assert len(lines_in(tmp_path)) == IMAGES and [path.name for path in tmp_path.iterdir()] == [block.file]
