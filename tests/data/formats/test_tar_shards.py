"""Shards hold what the set held, are read by webdataset too, train as a folder does, and damage is one sentence."""

import hashlib
import json
import shutil
from itertools import islice

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from torch.testing import assert_close

from detect.config import read_data
from detect.config.schema import AugmentSettings, DataSettings, InputSettings, Settings, TrainSettings
from detect.data.check_files import check_files
from detect.data.convert import convert, divide, read
from detect.data.dataset import Dataset
from detect.data.formats import remote, tar_shards
from detect.data.formats.opening import format_of, has_split, open_split, splits_of
from detect.data.loading.cache import DiskCache
from detect.data.loading.loader import training_batches
from detect.data.writing import tar_shard_writer
from detect.doctor import examine as doctor
from detect.doctor.fix import write_copy
from detect.errors import UserError
from detect.ops.image import read_image, write_image
from tests.test_members import tar_of

COUNT = 7


def settings(root, **options):
    return DataSettings(root=str(root), **options)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Seven images of noise in train, two of them in val, with odd ids, crowds, scores, areas and names."""
    folder = tmp_path_factory.mktemp("source")
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    images, boxes = [], []
    for i in range(COUNT):
        name = f"photo {i}.v{i}.png"
        write_image(folder / "images" / name, rng.integers(0, 255, (40 + i, 60 - i, 3), dtype=np.uint8))
        images.append({"id": 900 - 7 * i, "file_name": name, "width": 60 - i, "height": 40 + i})
        boxes.append({"image_id": 900 - 7 * i, "category_id": 5 + 4 * (i % 2), "bbox": [4, 6.25, 30 + i, 1 / 3 + 20]})
    boxes[0] |= {"iscrowd": 1}
    boxes[1] |= {"score": 0.75}
    boxes[2] |= {"area": 12.5}
    categories = [{"id": 9, "name": "b"}, {"id": 5, "name": "ä"}]
    for split, chosen in (("train", images), ("val", images[-2:])):
        ids = {image["id"] for image in chosen}
        of_split = [one | {"id": n} for n, one in enumerate(boxes[:-1], 1) if one["image_id"] in ids]
        content = {"images": chosen, "annotations": of_split, "categories": categories}
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    """The same set as shards of about three images; a test that changes it takes a copy."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tar_shard_writer, "SHARD_BYTES", 15_000)
        convert(settings(source), "webdataset", folder / "set")
    return folder / "set"


@pytest.fixture
def copied(made, tmp_path):
    return shutil.copytree(made, tmp_path / "copied")


def test_a_set_is_divided_into_shards_and_an_index(made):
    index = json.loads((made / "shards.json").read_text())
    assert index["categories"] == [{"id": 5, "name": "ä"}, {"id": 9, "name": "b"}]
    assert {split: [one["count"] for one in listed] for split, listed in index["splits"].items()} == {
        "train": [3, 3, 1],
        "val": [2],
    }
    for one in [*index["splits"]["train"], *index["splits"]["val"]]:
        content = (made / one["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one["bytes"], one["sha256"])
    assert sorted(path.name for path in made.iterdir()) == [
        "shards.json",
        *(f"train-00000{n}.tar" for n in range(3)),
        "val-000000.tar",
    ]
    assert format_of(settings(made)) == "webdataset" and set(splits_of(settings(made))) == {"train", "val"}


def test_the_same_set_is_written_alike_byte_by_byte(source, made, tmp_path, monkeypatch):
    monkeypatch.setattr(tar_shard_writer, "SHARD_BYTES", 15_000)
    convert(settings(source), "webdataset", tmp_path / "again")
    for path in made.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("split", ["train", "val"])
def test_all_that_a_set_says_comes_back(source, made, split):
    before, after = (read(settings(root), split) for root in (source, made))
    assert after.categories == before.categories and not after.notes
    assert_array_equal(after.images.ids, before.images.ids)
    assert_array_equal(after.images.sizes, before.images.sizes)
    for name in ("places", "labels", "boxes", "areas", "crowds", "scores"):
        assert_array_equal(getattr(after.annotations, name), getattr(before.annotations, name))
    for ours, theirs in zip(after.images.paths, before.images.paths, strict=True):
        assert_array_equal(read_image(ours), read_image(theirs))


def test_webdataset_reads_them(source, made):
    import webdataset

    found = list(webdataset.WebDataset([str(path) for path in sorted(made.glob("train-*.tar"))], shardshuffle=False))
    assert [sample["__key__"] for sample in found] == [f"photo {i}_v{i}" for i in range(COUNT)]
    for i, sample in enumerate(found):
        assert sample["png"] == (source / "images" / f"photo {i}.v{i}.png").read_bytes()
        record = json.loads(sample["json"])
        assert (record["id"], record["width"], record["height"]) == (900 - 7 * i, 60 - i, 40 + i)
    assert json.loads(found[1]["json"])["annotations"] == [
        {"category_id": 9, "bbox": [4, 6.25, 31, 1 / 3 + 20], "area": 31 * (1 / 3 + 20), "iscrowd": 0, "score": 0.75}
    ]


def batches_of(root, workers, start=0):
    data = settings(root)
    train = TrainSettings(batch=3, accumulate=1, workers=workers, seed=1)
    augment = AugmentSettings(mosaic=0.5)
    options = Settings(model=None, input=InputSettings(64), data=data, augment=augment, train=train)
    dataset = Dataset.of_split(data, "train")
    return list(islice(training_batches(dataset, options, 8, 32, start), 8 - start))


def test_a_training_sees_the_same_images_as_from_a_folder_and_goes_on_anywhere(source, made):
    expected = batches_of(source, 0)
    for workers, start in ((0, 0), (2, 0), (2, 5)):
        found = batches_of(made, workers, start)
        assert len(found) == len(expected[start:])
        for ours, theirs in zip(found, expected[start:], strict=True):
            assert ours.image_ids == theirs.image_ids
            assert_close(ours.images, theirs.images, rtol=0, atol=0)
            for name in ("boxes", "labels", "weights"):
                assert_close(getattr(ours, name), getattr(theirs, name), rtol=0, atol=0)


def test_files_are_checked_and_images_kept_as_of_a_folder(made, copied, tmp_path):
    dataset = Dataset.of_split(settings(made), "train")
    check_files(dataset.source, dataset.images)
    cache = DiskCache(dataset, 32, tmp_path / "cache")
    first = cache.sample(0).image
    assert_array_equal(cache.kept(0), first)
    again = DiskCache(dataset, 32, tmp_path / "cache")
    assert_array_equal(again.kept(0), first)
    other = Dataset.of_split(settings(copied), "train")
    (copied / "train-000000.tar").unlink()
    with pytest.raises(UserError, match=r"3 of its 7 images cannot be used; .*photo 2_v2\.png: is not there"):
        check_files(other.source, other.images)


def test_shards_are_divided_anew_and_become_a_folder_again(made, tmp_path):
    result = divide(settings(made), tmp_path / "divided", val=0.5)
    assert result["format"] == "webdataset" and sum(result["splits"].values()) == COUNT + 2
    result = convert(settings(tmp_path / "divided"), "yolo", tmp_path / "folder")
    assert result["images"] == COUNT + 2 == len(list((tmp_path / "folder").rglob("*.png")))


def test_a_cleaned_copy_leads_into_the_tar_files(made, tmp_path):
    """Train has three tar files, val one; the images of val are taken out of train."""
    data, clean = settings(made), settings(tmp_path / "clean")
    write_copy(doctor.read_set(data, np.array([[9.0, 9.0]]), 64), tmp_path / "clean")
    train, val = (Dataset.of_split(clean, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (COUNT - 2, 2)
    originals = {one.path.name: one.read() for one in Dataset.of_split(data, "train").images}
    for dataset in (train, val):
        check_files(dataset.source, dataset.images)
        for image in dataset.images:
            assert_array_equal(image.read(), originals[image.path.name])


# ---- damage --------------------------------------------------------------------------------------------------------


def refused(root, match, split="train"):
    with pytest.raises(UserError, match=match):
        Dataset.of_split(settings(root), split)


def rewrite(folder, change):
    """Change the content of the index."""
    index = json.loads((folder / "shards.json").read_text())
    change(index)
    (folder / "shards.json").write_text(json.dumps(index))


def replace_shard(folder, files):
    """Make a tar file with these members the only shard of val."""
    tar = tar_of(folder / "val-000000.tar", files)
    about = {"file": tar.name, "count": 1, "bytes": tar.stat().st_size, "sha256": "0" * 64}
    rewrite(folder, lambda index: index["splits"].update(val=[about]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda index: index.update(form=2), "is of form 2"),
        (lambda index: index.pop("splits"), "is no list of shards"),
        (lambda index: index.update(splits=[]), "is no list of shards"),
        (lambda index: index["splits"].update(train=[7]), "is no list of shards"),
        (lambda index: index["splits"].update({"../x": index["splits"].pop("val")}), "'../x' can be no split's name"),
        (lambda index: index["splits"].update({"..": index["splits"].pop("val")}), r"'\.\.' can be no split's name"),
        (lambda index: index["splits"]["train"][0].update(file="../train-000000.tar"), "no name of a tar file"),
        (lambda index: index["splits"]["train"][0].update(file="/etc/passwd"), "no name of a tar file"),
        (lambda index: index["splits"]["train"][0].update(count=0), "whole numbers from 1 on"),
        (lambda index: index["splits"]["train"][0].update(sha256="x"), "64 hexadecimal digits"),
        (lambda index: index["splits"]["train"][0].update(count=4), r"train-000000\.tar: holds 3 images, but"),
        (lambda index: index["splits"]["train"][0].update(bytes=5), r"train-000000\.tar: has \d+ bytes, but"),
        (lambda index: index["splits"]["train"][0].update(file="none.tar"), r"none\.tar: no such file"),
        (lambda index: index["splits"]["train"].append(index["splits"]["train"][0]), "image id 900 occurs twice"),
        (lambda index: index.update(categories=7), "has no list 'categories'"),
        (lambda index: index.update(categories=index["categories"][:1]), "has category 9"),
    ],
)
def test_a_wrong_index_is_one_sentence(copied, change, said):
    rewrite(copied, change)
    refused(copied, said)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"form": 1}', "[" * 100_000])
def test_an_index_that_is_none_is_one_sentence(copied, text):
    (copied / "shards.json").write_text(text)
    refused(copied, r"shards\.json.*: (is no list of shards|not JSON|not a JSON text)")


def test_a_shard_that_was_cut_off_is_one_sentence(copied):
    content = (copied / "train-000001.tar").read_bytes()
    (copied / "train-000001.tar").write_bytes(content[:9000])
    refused(copied, r"train-000001\.tar: no tar file that can be read")


RECORD = {"id": 1, "width": 9, "height": 9, "annotations": []}


@pytest.mark.parametrize(
    "files",
    [
        {"a.png": b"?"},
        {"a.png": b"?", "a.json": b"{"},
        {"a.png": b"?", "a.json": b"[" * 100_000},
        {"a.png": b"?", "a.json": b"[]"},
        {"a.png": b"?", "a.json": json.dumps(RECORD | {"annotations": 7}).encode()},
        {"a.png": b"?", "a.json": b'{"id": 1, "width": 9, "annotations": []}'},
    ],
)
def test_an_image_without_annotations_is_one_sentence(copied, files):
    replace_shard(copied, files)
    refused(copied, r"val-000000\.tar/a\.png: has no JSON beside it with id, width, height, annotations", "val")


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ({"category_id": 5, "bbox": [0, 0, 0, 5]}, r"shards\.json: box 0 of image 1 has width 0"),
        ({"category_id": 5, "bbox": "x"}, "box 0 of image 1 is x"),
        ({"category_id": 5}, r"annotations\[0\] has no 'bbox'"),
        (7, r"annotations\[0\] is no object"),
    ],
)
def test_wrong_boxes_are_told_as_of_any_format(copied, annotation, said):
    record = json.dumps(RECORD | {"annotations": [annotation]}).encode()
    replace_shard(copied, {"a.png": b"?", "a.json": record})
    refused(copied, said, "val")


# ---- addresses -----------------------------------------------------------------------------------------------------


@pytest.fixture
def served(made, server, cache, monkeypatch):
    """The address of the set; `server` says what is asked of it."""
    monkeypatch.setattr(remote, "PAUSES", ())
    tar_shards._fetched_index.cache_clear()
    server.files.update({path.name: path.read_bytes() for path in made.iterdir()})
    return f"{server.url}/set"


def asked(server):
    return sorted(path.rpartition("/")[2] for path, _ in server.seen)


@pytest.mark.parametrize("end", ["", "/", "/shards.json"])
def test_a_set_at_an_address_is_that_in_the_folder(made, served, server, cache, end):
    data = read_data(served + end)
    assert data.root == served + end and format_of(data) == "webdataset"
    assert has_split(data, "val") and not has_split(data, "test")
    assert asked(server) == ["shards.json"], "nothing is fetched until a split is opened"
    ours, theirs = Dataset.of_split(data, "train"), Dataset.of_split(settings(made), "train")
    assert ours.fingerprint() == theirs.fingerprint()
    for one, other in zip(ours.images, theirs.images, strict=True):
        assert_array_equal(one.read(), other.read())
        assert_array_equal(one.boxes, other.boxes)
    assert asked(server) == ["shards.json", *(f"train-00000{n}.tar" for n in range(3))]
    Dataset.of_split(data, "train")
    assert len(server.seen) == 4, "what is there is not fetched again"
    assert ours.source == f"{served}/shards.json"


def test_a_fetch_that_was_stopped_goes_on_at_its_shard(served, server, cache):
    server.faults["/set/train-000002.tar"] = "cut"
    with pytest.raises(UserError, match=rf"{served}/train-000002\.tar: was cut off on its way"):
        open_split(settings(served), "train")
    kept = sorted(path.name[:12] for path in (cache / "shards").glob("*.tar"))
    assert kept == ["train-000000", "train-000001"]
    server.faults.clear()
    server.seen.clear()
    assert len(Dataset.of_split(settings(served), "train")) == COUNT
    assert asked(server) == ["train-000002.tar"]


def test_a_shard_that_was_changed_on_the_server_is_refused_and_a_new_set_fetched(served, server, cache, made):
    server.files["train-000000.tar"] = bytes(len(server.files["train-000000.tar"]))
    with pytest.raises(UserError, match=r"train-000000\.tar: is another file than the recorded one"):
        open_split(settings(served), "train")
    server.files["train-000000.tar"] += b"more"
    with pytest.raises(UserError, match=r"train-000000\.tar: has more than the \d+ bytes"):
        open_split(settings(served), "train")


def test_a_disk_without_room_is_told_before_anything_is_fetched(served, server, monkeypatch):
    monkeypatch.setattr(tar_shards, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(UserError, match=r"its shards need 0\.00 GB in .*; make room"):
        open_split(settings(served), "train")
    assert asked(server) == ["shards.json"]


@pytest.mark.parametrize(
    ("content", "said"), [(None, "has no such file"), (b"<html>", "is no JSON"), (b"\xff", "is no")]
)
def test_an_address_without_an_index_is_one_sentence(served, server, content, said):
    server.files["shards.json"] = content
    with pytest.raises(UserError, match=rf"{served}/shards\.json.*{said}"):
        splits_of(settings(served))


def test_an_address_that_runs_a_command_is_none(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        read_data(f"pipe:touch {tmp_path}/ran")
    with pytest.raises(UserError, match="no address that data are read from"):
        splits_of(read_data("ais://bucket/set"))
    assert not list(tmp_path.iterdir())
