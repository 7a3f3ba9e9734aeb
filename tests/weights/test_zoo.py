"""Weights by name: what the table says, and what a name gives. Nothing here asks the internet."""

import re
from pathlib import Path

import numpy as np
import pytest

import detect
from detect.config import load as load_settings
from detect.config.build import build_model
from detect.errors import UserError
from detect.weights import zoo
from detect.weights.fetch import sha256_of
from detect.weights.files import read
from detect.weights.start import load_matching
from tests.small_zoo import fill

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small_net(server, cache, tmp_path, monkeypatch):
    """(.cfg, .weights) of the zoo's only classic, `small-net`; an empty folder is the working one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return fill(server, tmp_path, monkeypatch)


def remotes():
    return [zoo.NAMES, *(remote for entry in zoo.CLASSICS for remote in (entry.weights, entry.cfg))]


# ---- the table -----------------------------------------------------------------------------------------------------


def test_every_address_is_encrypted_and_every_file_has_a_checksum():
    assert len(remotes()) == 15
    for remote in remotes():
        assert re.fullmatch(r"https://[\w.-]+(/[\w.-]+)+", remote.url)
        assert re.fullmatch("[0-9a-f]{64}", remote.sha256)


def test_names_files_and_checksums_are_told_apart():
    names = zoo.known_names()
    assert len(set(names)) == len(names) and {"yolov4-tiny", "yolov3-tiny", "csppelee_efm_coco3k"} <= set(names)
    assert len({remote.file for remote in remotes()}) == len({remote.sha256 for remote in remotes()}) == 15


def test_large_files_have_a_size_and_small_ones_a_limit():
    for entry in zoo.CLASSICS:
        assert entry.weights.bytes > 1e6 and entry.cfg.bytes is None
        assert (entry.weights.file, entry.cfg.file) == (f"{entry.name}.weights", f"{entry.name}.cfg")


def test_files_at_hand_are_those_of_the_table(shared):
    """yolo-fastest-1.1 is among the shared files."""
    (entry,) = (entry for entry in zoo.CLASSICS if entry.name == "yolo-fastest-1.1")
    for remote in (entry.weights, entry.cfg):
        assert sha256_of(shared / "darknet" / remote.file) == remote.sha256
    assert (shared / "darknet" / entry.weights.file).stat().st_size == entry.weights.bytes


def test_released_files_are_all_in_the_table_with_what_they_hold():
    files = {path.stem for path in (ROOT / "weights").glob("*.safetensors")}
    assert files == {entry.name for entry in zoo.RELEASED}
    card = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    for entry in zoo.RELEASED:
        weights = read(entry.path)
        assert (weights.settings.input.size, len(weights.names)) == (entry.size, entry.classes)
        assert f"| `{entry.name}.safetensors`" in card and f"## {entry.name}" in card


# ---- a name --------------------------------------------------------------------------------------------------------


def test_a_name_loads_the_released_weights_and_nothing_is_the_first_of_them(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = zoo.RELEASED[0].name
    named, default = detect.load(name), detect.load()
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    assert named.names == default.names and named.size == default.size
    np.testing.assert_array_equal(named(image).boxes, default(image).boxes)
    assert not cache.exists()


def test_a_name_fetches_weights_cfg_and_class_names(small_net, server, cache):
    weights = read("small-net")
    assert weights.names == ("red", "green", "blue") and weights.path == cache / "small-net.weights"
    assert {path.name for path in cache.iterdir()} == {"small-net.weights", "small-net.cfg", "small.names"}
    cfg, path = small_net
    expected = read(path, cfg=cfg).network.state_dict()
    assert all((value == expected[name]).all() for name, value in weights.network.state_dict().items())
    count = len(server.seen)
    assert detect.load("small-net").size == 64 and len(server.seen) == count == 3


def test_the_users_own_cfg_and_names_come_first(small_net, tmp_path):
    (tmp_path / "own.names").write_text("a\nb\nc\n")
    assert read("small-net", names=tmp_path / "own.names").names == ("a", "b", "c")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_file_or_folder_of_the_name_comes_first(small_net, server, kind):
    Path("small-net").mkdir() if kind == "folder" else Path("small-net").write_text("mine")
    with pytest.raises(UserError, match=r"small-net: (holds neither best\.pt|not a checkpoint)"):
        read("small-net")
    assert not server.seen


def test_a_path_that_ends_in_a_name_is_no_name(small_net, server):
    with pytest.raises(UserError, match=r"^runs/small-net: no such file"):
        read("runs/small-net")
    assert not server.seen


def test_nearly_a_name_is_a_missing_file_with_the_name_as_a_hint(small_net, server):
    with pytest.raises(UserError, match=r"^smal-net: no such file or folder .*; did you mean 'small-net'\?$"):
        read("smal-net")
    with pytest.raises(UserError, match=r"^elephant: no such file or folder .*; check the path$"):
        read("elephant")
    assert not server.seen


def test_nothing_is_fetched_where_no_name_is_given(small_net, server, cache):
    cfg, path = small_net
    read(path, cfg=cfg)
    list(zoo.rows()), zoo.table()
    assert not server.seen and not cache.exists()


def test_a_name_starts_a_training_though_settings_make_it_a_path(small_net, tmp_path):
    network = build_model(load_settings(small_net[0], needs_data=False), 3)
    categories = [{"id": i, "name": name} for i, name in enumerate(("red", "green", "blue"), 1)]
    report = load_matching(network, categories, tmp_path / "some" / "small-net")
    assert report.startswith("16 of 16 tensors from") and "small-net.weights" in report


def test_a_released_file_that_an_installation_lacks_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo, "PACKED", tmp_path)
    monkeypatch.setattr(zoo, "CHECKOUT", tmp_path)
    for arguments in ((), (zoo.RELEASED[0].name,)):
        with pytest.raises(UserError, match=r"neither in this installation .* nor in a checkout"):
            detect.load(*arguments)


def test_the_table_says_what_is_here(small_net):
    def here():
        return {row["name"]: row["here"] for row in zoo.rows()}

    assert here()["small-net"] is False and here()[zoo.RELEASED[0].name] is True
    assert re.search(r"^small-net +0\.0 +64 +80 +AP 0\.1 +public domain +to fetch$", zoo.table(), re.MULTILINE)
    read("small-net")
    assert here()["small-net"] is True
    assert re.search(r"^small-net .* here$", zoo.table(), re.MULTILINE)
