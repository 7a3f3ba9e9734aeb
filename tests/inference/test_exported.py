"""What an exported file says of itself survives the way through its metadata; what is damaged is one sentence."""

import json

import pytest

from detect.errors import UserError
from detect.inference.exported import Exported, check_maps


def exported(**changes):
    values = {
        "categories": [{"id": 7, "name": "a"}, {"id": 3, "name": "ü, \u3000b"}],
        "size": 64,
        "batch": 1,
        "precision": "f32",
        "head": {
            "anchors": (((10.0, 14.0), (23.0, 27.0)), ((81.0, 82.0),)),
            "strides": (16, 32),
            "num_classes": 2,
            "scale_x_y": (1.0, 1.05),
            "new_coords": (False, True),
            "exclusive_classes": False,
            "only_sure": False,
        },
        "predict": {"min_score": 0.2, "max_detections": 50, "nms": {"overlap": "diou", "threshold": 0.5}},
        "config": {"model": {"backbone": {"name": "Small"}}},
    }
    return Exported(**values | changes)


def test_the_way_through_the_metadata_changes_nothing():
    before = exported()
    after = Exported.from_json(before.to_json(), "net.xml")
    assert after.names == ("a", "ü, \u3000b")
    assert after.decoder == before.decoder
    assert json.loads(after.to_json()) == json.loads(before.to_json())
    kept = {"scores": [0.25, 0.5], "iou": 0.5, "data": "9 images"}
    assert Exported.from_json(exported(thresholds=kept).to_json(), "net.xml").thresholds == kept


def test_maps_follow_from_the_head():
    """Height, width, and for each anchor x, y, w, h, objectness and the classes."""
    assert exported().map_shapes == [(4, 4, 2 * 7), (2, 2, 7)]
    check_maps(exported(), [(None, 4, 4, 14), (None, 2, 2, 7)], "net.xml")
    with pytest.raises(UserError, match=r"net\.xml: .*another network than it describes"):
        check_maps(exported(), [(1, 4, 4, 14), (1, 2, 2, 8)], "net.xml")


@pytest.mark.parametrize("text", [None, ""])
def test_a_file_that_says_nothing_is_of_another_tool(text):
    with pytest.raises(UserError, match=r"net\.xml: was not exported by this package"):
        Exported.from_json(text, "net.xml")


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"form": 1}', "[" * 100_000])
def test_what_is_no_description_is_one_sentence(text):
    with pytest.raises(UserError, match=r"net\.xml: what it says of itself is damaged"):
        Exported.from_json(text, "net.xml")


def test_a_file_of_a_later_form_names_its_version():
    said = json.loads(exported(version="9.1").to_json()) | {"form": 2}
    with pytest.raises(UserError, match=r"exported by version 9\.1, which .* does not understand"):
        Exported.from_json(json.dumps(said), "net.xml")


CHANGES = {
    "no classes": {"categories": []},
    "a class of half a letter": {"categories": [{"id": 1, "name": "\ud800"}, {"id": 2, "name": "b"}]},
    "a class without a name": {"categories": [{"id": 1}, {"id": 2, "name": "b"}]},
    "more classes than the head": {"categories": [{"id": i, "name": "x"} for i in range(3)]},
    "a size of no stride": {"size": 72},
    "a size that is none": {"size": "64"},
    "a size of true": {"size": True},
    "a batch of 0": {"batch": 0},
    "no thresholds": {"predict": {}},
    "thresholds of another number of classes": {"thresholds": {"scores": [0.5], "iou": 0.5, "data": ""}},
    "thresholds that are a text": {"thresholds": "low"},
    "thresholds without nms": {"predict": {"min_score": 0.2, "max_detections": 50, "nms": None}},
    "anchors that are no pairs": {"head": exported().head | {"anchors": [[[1, 2, 3]], [[4, 5]]]}},
    "an anchor of nothing": {"head": exported().head | {"anchors": [[[1, 0]], [[4, 5]]]}},
    "an anchor that is text": {"head": exported().head | {"anchors": [[["1", 2]], [[4, 5]]]}},
    "one scale too few": {"head": exported().head | {"scale_x_y": [1.0]}},
    "a stride of 0": {"head": exported().head | {"strides": [0, 32]}},
    "an unknown part of the head": {"head": exported().head | {"functions": 1, "other": 2}},
    "another letterbox": {"letterbox": {"pad": "left"}},
    "an unknown entry": {"other": 1},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_does_not_fit_together_is_refused(change):
    said = json.loads(exported().to_json()) | change
    with pytest.raises(UserError, match=r"^net\.xml: "):
        Exported.from_json(json.dumps(said), "net.xml")
