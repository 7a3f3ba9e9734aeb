"""The AP of a card: from a configuration's head, from the zoo."""

from pathlib import Path

import pytest

from detect.analysis.cards import ap_of
from detect.analysis.contenders import Contender
from detect.weights import zoo

CONFIGS = Path(__file__).parents[2] / "configs"


def card(path, **options):
    return ap_of(Contender("x", str(path), **options))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("# A net. Published AP 26.8, AP50 49.0 on\n# COCO test-dev; not trained by us.\n", (26.8, "COCO test-dev")),
        ("# Published AP50 40.2 on COCO test-dev; AP 0.202, AP50 0.378 on coco3k val.\n", (20.2, "coco3k val")),
        ("# Published AP 26.8.\n", (26.8, "")),
        ("# Published AP50 33.1 on COCO test-dev.\n", None),
        ("# No published AP.\n", None),
        ("model: {}\n# AP 26.8 on COCO test-dev\n", None),
    ],
)
def test_a_configuration_says_it_in_its_head(head, expected, tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(head + "model: {}\n")
    assert card(path) == expected


def test_a_cfg_with_a_comment_in_another_encoding_is_read(tmp_path):
    path = tmp_path / "net.cfg"
    path.write_bytes(b"# gr\xfc\xdfe, AP 26.8 on COCO test-dev\n[net]\n")
    assert card(path) == (26.8, "COCO test-dev")


def test_the_papers_configurations_say_it():
    assert card(CONFIGS / "csppelee_efm.yaml") == (26.8, "COCO test-dev")
    assert card(CONFIGS / "cspdense_ref_prn.yaml") == (16.8, "COCO test-dev")


def test_another_size_or_another_setting_is_another_network():
    path = CONFIGS / "csppelee_efm.yaml"
    assert card(path, size=320) is None and card(path, overrides=("model.neck.sam=false",)) is None


def test_weights_say_it_by_their_name_and_their_file():
    released = zoo.RELEASED[0]
    assert card(released.name) == card(released.path) == (21.9, "coco3k val")
    assert card(released.name, size=320) is None


def test_a_file_exported_under_the_name_of_weights_has_their_ap(tmp_path):
    assert card(tmp_path / f"{zoo.RELEASED[0].name}.xml", size=320) == (21.9, "coco3k val")
    assert card(tmp_path / "other.onnx") is None


def test_weights_of_ones_own_have_none(tmp_path):
    (tmp_path / "mine.pt").touch()
    assert card(tmp_path / "mine.pt") is None
