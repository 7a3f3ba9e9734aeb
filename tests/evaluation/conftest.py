"""What the referee is given, made from contents of annotation files."""

import json

import pytest

from detect.data.dataset import Dataset


@pytest.fixture(scope="session")
def ground_truth_from(tmp_path_factory):
    """A function: content of an annotation file -> its data set's `GroundTruth`."""
    folder = tmp_path_factory.mktemp("annotations")

    def ground_truth_from(content):
        (folder / "val.json").write_text(json.dumps(content))
        return Dataset.of_coco(folder / "val.json", folder, bad_boxes="drop").ground_truth()

    return ground_truth_from
