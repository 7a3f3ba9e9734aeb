"""Columns of images and boxes: what is made of them, and that processes share them."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detect.data.dataset import Dataset
from detect.data.formats.coco_json import CocoReader
from detect.data.records import ImageTable, Paths
from tests.data.exports import write
from tests.data.large_coco import large_coco

ROOT = Path(__file__).parents[2]


def table_of(counts):
    """Images 10, 11, ... with so many boxes each; box k of image i is [i, k, i + 1, k + 1], its label k."""
    table = ImageTable()
    for index in range(len(counts)):
        table.append(10 + index, f"/set/é {index}.jpg", 100 + index, 50)
    places = np.repeat(np.arange(len(counts)), counts)
    numbers = np.concatenate([np.arange(count) for count in counts])
    boxes = np.column_stack([places, numbers, places + 1, numbers + 1])
    order = np.random.default_rng(0).permutation(len(places))
    order = order[np.argsort(numbers[order], kind="stable")]
    table.place_boxes(places[order], boxes[order], numbers[order], (numbers[order] > 0).astype(float))
    return table


def told(table):
    return [(one.id, str(one.path), one.width, one.boxes[:, :2].tolist(), one.labels.tolist()) for one in table]


def test_records_are_made_of_columns():
    table = table_of([2, 0, 3])
    assert told(table) == [
        (10, "/set/é 0.jpg", 100, [[0, 0], [0, 1]], [0, 1]),
        (11, "/set/é 1.jpg", 101, [], []),
        (12, "/set/é 2.jpg", 102, [[2, 0], [2, 1], [2, 2]], [0, 1, 2]),
    ]
    assert table.class_counts(4).tolist() == [0, 2, 1, 0]
    assert table.object_counts.tolist() == [1, 0, 2] and table.sizes.tolist() == [[100, 50], [101, 50], [102, 50]]
    assert list(table.names()) == ["é 0.jpg", "é 1.jpg", "é 2.jpg"]
    assert table[-1].id == 12 and [one.id for one in table[1:]] == [11, 12]
    with pytest.raises(IndexError):
        table[3]


def test_images_are_taken_in_any_order():
    table = table_of([2, 0, 3])
    records = told(table)
    assert told(table.take([2, 0])) == [records[2], records[0]]
    assert told(table.take([])) == []
    assert told(ImageTable().take([])) == []


def test_tables_are_joined_with_new_labels():
    one, other = table_of([1]), table_of([0, 2])
    joined = ImageTable.joined([one, other], [np.array([5]), np.array([8, 7])])
    assert [image.labels.tolist() for image in joined] == [[5], [], [8, 7]]
    assert [str(image.path) for image in joined] == ["/set/é 0.jpg", "/set/é 0.jpg", "/set/é 1.jpg"]
    assert joined[2].boxes.tolist() == other[1].boxes.tolist()


def test_paths_are_bytes_as_the_system_gives_them():
    names = ["a", "", "ö/b.jpg", "\udcff.png"]
    paths = Paths(names)
    assert list(paths) == names and paths[-1] == names[-1] and paths[1:3] == names[1:3]
    assert list(paths.take(np.array([3, 0]))) == [names[3], names[0]]
    assert list(pickle.loads(pickle.dumps(paths))) == names


WALK = """
import gc, os
import numpy as np
from detect.data.records import ImageTable

def private():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) << 10 for line in file if line.startswith("Private"))

table, count = ImageTable(), 300_000
for index in range(count):
    table.append(index, f"/set/images/{index:012}.jpg", 640, 480)
places = np.repeat(np.arange(count), 4)
table.place_boxes(places, np.ones((len(places), 4)), places, np.ones(len(places)))
if os.fork() == 0:
    gc.freeze()  # as a loader's process begins
    boxes = sum(len(table[index].boxes) for index in range(1000))  # what any work in a new process touches
    before = private()
    boxes += sum(len(table[index].boxes) for index in range(1000, count))
    print(boxes, private() - before, flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what is shared")
def test_a_loader_process_shares_what_it_looks_at():
    ran = subprocess.run([sys.executable, "-c", WALK], capture_output=True, text=True, check=True, cwd=ROOT)
    boxes, grown = map(int, ran.stdout.split())
    assert boxes == 1_200_000
    assert grown < 6e6  # of 42 MB; a list of 300,000 records would be copied whole, 200 MB


def test_a_large_set_is_read_as_a_small_one(tmp_path):
    content = large_coco(2000, 30_000)
    write(tmp_path / "set.json", json.dumps(content))
    dataset = Dataset.of_coco(tmp_path / "set.json", tmp_path)
    places = {image["id"]: place for place, image in enumerate(content["images"])}
    last = content["annotations"][-1]
    record = dataset.images[places[last["image_id"]]]
    left, top, width, height = last["bbox"]
    expected = np.array([left, top, left + width, top + height], dtype=np.float32)
    assert record.id == last["image_id"] and np.abs(record.boxes - expected).max(axis=1).min() < 1e-4
    assert len(dataset.images.boxes) == 30_000 and (dataset.images.weights == 0).sum() == 30_000 / 80


def test_a_fault_among_many_annotations_leaves_the_order_of_the_others(tmp_path):
    content = large_coco(100, 25_000)
    content["annotations"][12_345]["category_id"] = 99
    reader = CocoReader(content, tmp_path)
    assert [fault.where for fault in reader.faults()] == ["annotations[12345]"]
    boxes = [one["bbox"] for number, one in enumerate(content["annotations"]) if number != 12_345]
    assert reader.annotations.boxes.tolist() == boxes and reader.where(12_345) == "annotations[12346]"
