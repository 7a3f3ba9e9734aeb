"""yolov3-tiny's trap on a small net: the published weights get the mask that they were trained with, others do not."""

import numpy as np
import pytest

import detect
from detect.api.load import predictor_of
from detect.config import load as load_settings
from detect.config.build import build_model
from detect.darknet import weights as darknet_weights
from detect.weights import zoo
from detect.weights.files import read
from detect.weights.start import load_matching
from tests.small_zoo import cfg_text, fill

MASK = ((0, 1, 2), (1, 2, 3))
CATEGORIES = [{"id": i, "name": name} for i, name in enumerate(("red", "green", "blue"), 1)]


@pytest.fixture
def published(server, cache, tmp_path, monkeypatch):
    """(.cfg, .weights) of `small-net`, whose .cfg says 0,1,2 and whose weights were trained with 1,2,3."""
    monkeypatch.chdir(tmp_path)
    return fill(server, tmp_path, monkeypatch, mask=MASK)


@pytest.fixture
def right(tmp_path):
    """A .cfg with the mask that the weights were trained with."""
    path = tmp_path / "right.cfg"
    path.write_text(cfg_text("1,2,3"))
    return path


def boxes(weights):
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return predictor_of(weights, min_score=0.01)(image).boxes


def about_mask(weights):
    return [note for note in weights.notes if "were trained with 1,2,3" in note]


def test_only_yolov3_tiny_is_known_for_it():
    assert [(entry.name, entry.mask) for entry in zoo.CLASSICS if entry.mask] == [("yolov3-tiny", MASK)]


def test_by_name_the_mask_is_corrected_and_said(published, right):
    loaded = read("small-net")
    (note,) = about_mask(loaded)
    assert "mask=0,1,2" in note and note.endswith("and that is taken") and "small-net.cfg:" in note
    expected, wrong = boxes(read(published[1], cfg=right)), boxes(load_as_written(published))
    assert len(expected) and boxes(loaded).shape == expected.shape and (boxes(loaded) == expected).all()
    assert wrong.shape != expected.shape or not np.allclose(wrong, expected)


def load_as_written(published):
    """The net with the .cfg as it is, which only weights of another checksum get."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "CLASSICS", ())
        return read(published[1], cfg=published[0])


def test_the_users_own_copy_is_known_by_its_checksum(published):
    cfg, weights = published
    assert len(about_mask(read(weights, cfg=cfg))) == 1
    copy = weights.with_name("renamed.weights")
    copy.write_bytes(weights.read_bytes())
    assert len(about_mask(read(copy, cfg=cfg))) == 1


def test_the_corrected_cfg_goes_on_into_what_is_exported(published, tmp_path):
    detect.export("small-net", tmp_path / "out.weights", format="darknet")
    written = (tmp_path / "out.cfg").read_text()
    assert "mask=1,2,3" in written and "mask=0,1,2" not in written and "mask=3,4,5" in written


def test_a_cfg_with_the_right_mask_is_left_alone(published, right):
    assert not about_mask(read(published[1], cfg=right))


def test_other_weights_of_the_same_size_keep_their_cfg(published, tmp_path):
    """What somebody trained with the common .cfg fits that .cfg."""
    network = read(published[1], cfg=published[0]).network
    darknet_weights.write(tmp_path / "own.weights", network, darknet_weights.Header(seen=64))
    assert (tmp_path / "own.weights").stat().st_size == published[1].stat().st_size
    loaded = read(tmp_path / "own.weights", cfg=published[0])
    assert not about_mask(loaded) and (boxes(loaded) == boxes(load_as_written(published))).all()


@pytest.mark.parametrize("init", ["small-net", "net0.weights"])
def test_a_training_that_starts_from_them_is_warned(published, right, tmp_path, init):
    def report(cfg):
        network = build_model(load_settings(cfg, needs_data=False), 3)
        return load_matching(network, CATEGORIES, tmp_path / init)

    assert "trained with 1,2,3; write that there" in report(published[0])
    assert "mask" not in report(right)
