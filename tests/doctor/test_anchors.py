"""Anchors that fit: the clusters that are there, better than others, the same for the same seed; files with them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from detect import config
from detect.api.check import anchors, check
from detect.doctor.anchors import SAMPLE, fit_of, fitted, sample_of, size_iou
from detect.doctor.boxes import input_sides
from detect.errors import UserError
from detect.ops.boxes import iou
from detect.ops.letterbox import Letterbox


def test_the_iou_of_sizes_is_that_of_boxes_with_one_centre():
    rng = np.random.default_rng(0)
    sizes, anchors = rng.uniform(1, 90, (30, 2)), rng.uniform(1, 90, (5, 2))
    centred = [np.concatenate([-half, half], axis=1) for half in (sizes / 2, anchors / 2)]
    assert_allclose(size_iou(sizes, anchors), iou(centred[0][:, None], centred[1][None]), rtol=1e-12)


def test_the_fit_is_the_mean_of_the_best_and_the_share_that_is_near():
    fit = fit_of(np.array([[10, 10], [20, 20], [10, 40], [1, 1]]), np.array([[10, 10], [20, 10]]))
    assert fit.mean_iou == pytest.approx((1 + 0.5 + 0.25 + 0.01) / 4) and fit.recall == 0.5


def clusters(counts=(40, 200, 7)):
    """Boxes about 10x20, 50x40 and 200x150 px."""
    rng = np.random.default_rng(1)
    centres = ((10, 20), (50, 40), (200, 150))
    return np.concatenate([rng.normal(1, 0.03, (n, 2)) * c for n, c in zip(counts, centres, strict=True)])


def test_clusters_are_found_whatever_their_sizes():
    anchors = fitted(clusters(), 3)
    assert_allclose(anchors, [[10, 20], [50, 40], [200, 150]], rtol=0.05)
    assert fit_of(clusters(), anchors).mean_iou > 0.94


def test_more_anchors_fit_better_and_the_seed_says_which():
    sizes = np.random.default_rng(2).uniform(5, 300, (2000, 2))
    fits = [fit_of(sizes, fitted(sizes, count)).mean_iou for count in (1, 3, 6, 9)]
    assert fits == sorted(fits) and fits[-1] > fits[0] + 0.2
    assert_array_equal(fitted(sizes, 6, seed=5), fitted(sizes, 6, seed=5))
    areas = fitted(sizes, 6).prod(axis=1)
    assert (np.diff(areas) > 0).all()


def test_boxes_that_are_all_alike_leave_some_anchors_alike():
    assert_array_equal(fitted(np.full((20, 2), 7.0), 3), np.full((3, 2), 7.0))


def test_of_very_many_boxes_a_part_is_looked_at():
    sizes = np.arange(2 * SAMPLE + 2).reshape(-1, 2)
    part = sample_of(sizes)
    assert len(part) == SAMPLE == len(np.unique(part, axis=0)) and len(sample_of(part)) == SAMPLE


def test_sides_are_those_of_the_letterbox(made):
    made.train["images"][1] |= {"width": 90, "height": 120}
    (split, _) = made.read().splits
    letterboxes = [Letterbox(*split.sizes[place].tolist(), 64) for place in split.places]
    expected = np.concatenate([one.apply_boxes(box) for one, box in zip(letterboxes, split.cut, strict=True)])
    assert_allclose(input_sides(split, 64), expected[:, 2:] - expected[:, :2], rtol=1e-5)


# ---- through the API ------------------------------------------------------------------------------------------------


@pytest.fixture
def base(tmp_path):
    """A configuration without a parent."""
    parts = "backbone: {name: CSPPeleeNet}, neck: {name: EFM, widths: [64, 128, 256]}, head: {name: YOLOv3}"
    (tmp_path / "base.yaml").write_text(f"model: {{{parts}}}\ninput: {{size: 96}}\ntrain: {{steps: 2}}\n")
    return tmp_path / "base.yaml"


def test_anchors_are_written_on_top_of_a_configuration_and_are_its_own(made, base, tmp_path):
    lines = []
    found = anchors(made.write(), configuration=base, count=6, size=64, write=tmp_path / "mine.yaml", log=lines.append)
    assert found["boxes"] == 12 and found["size"] == 64 and [len(scale) for scale in found["anchors"]] == [2, 2, 2]
    assert found["mean_iou"] > found["configured"]["mean_iou"] and found["recall"] == 1.0
    text = (tmp_path / "mine.yaml").read_text()
    assert text.startswith(
        f"# anchors fitted to 12 boxes of {made.root}/annotations/train.json at 64 px: mean best IoU"
    )
    assert "\nbase: base.yaml\n" in text and "\ndata: set\n" in text
    settings = config.load(tmp_path / "mine.yaml")
    assert settings.model.head["anchors"] == found["anchors"] and settings.input.size == 64
    assert settings.data.root == str(made.root) and settings.train.steps == 2
    config.check_model(settings)
    assert found["file"] == str(tmp_path / "mine.yaml") and f"written: {tmp_path / 'mine.yaml'}" in lines
    assert "anchor.fit" not in {one["id"] for one in check(made.root, configuration=tmp_path / "mine.yaml")["findings"]}

    whole = anchors(made.root, configuration=tmp_path / "mine.yaml", write=tmp_path / "third.yaml")
    assert whole["configured"]["mean_iou"] == pytest.approx(found["mean_iou"]) and whole["size"] == 64
    settings = config.load(tmp_path / "third.yaml")
    assert settings.model.head["anchors"] == whole["anchors"] and settings.data.root == str(made.root)
    assert settings.model.neck["widths"] == [64, 128, 256]


def test_long_paths_with_spaces_stay_whole(made, base, tmp_path):
    place = (
        tmp_path / "a folder with a long name of many words" / "another folder with many words in its name" / "set 3"
    )
    place.parent.mkdir(parents=True)
    made.write().rename(place)
    anchors(place, configuration=base, count=6, size=64, write=tmp_path / "mine.yaml")
    assert config.load(tmp_path / "mine.yaml").data.root == str(place)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 7}, "7 anchors cannot be shared by 3 scales evenly"),
        ({"count": 99}, "split train has fewer than 99 different boxes"),
        ({"count": 3, "write": "x.yaml"}, "name the configuration that gets the anchors"),
    ],
)
def test_what_cannot_be_fitted_is_a_sentence(made, options, message):
    with pytest.raises(UserError, match=message):
        anchors(made.write(), **options)


def test_what_keeps_boxes_from_being_read_is_said(made):
    made.train["annotations"] = "none"
    with pytest.raises(UserError, match=r"than 9 different boxes to fit anchors to \(.*: has no list 'annotations'"):
        anchors(made.write())


def test_a_file_that_is_there_and_another_number_of_scales_are_refused(made, base, tmp_path):
    with pytest.raises(UserError, match=r"base\.yaml: is there already"):
        anchors(made.write(), configuration=base, write=base)
    with pytest.raises(UserError, match=r"base\.yaml: has 3 scales, not 2"):
        anchors(made.root, configuration=base, count=4, scales=2, write=tmp_path / "new.yaml")
    assert not (tmp_path / "new.yaml").exists()
