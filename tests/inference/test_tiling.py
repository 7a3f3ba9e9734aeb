"""Tiles cover an image, what their borders cut comes out once and whole, and small objects are found."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from detect.errors import UserError
from detect.inference import tiling
from detect.inference.predictor import Predictor
from detect.inference.tiling import MAX_TILES, Tiling, View
from detect.ops.nms import Candidates
from tests.inference.seer import Seer, scene

TILING = Tiling(64, 0.25)


def found_in(image, tiling=TILING, **options):
    """Boxes found, in the order of the scene's."""
    found = Predictor(Seer(tiling.tile, **options), tiling=tiling).detect_batch([image])[0]
    return found.boxes[np.argsort(found.scores)]


SIDES = (1, 31, 63, 64, 65, 100, 127, 128, 129, 250)


@pytest.mark.parametrize("overlap", [0, 0.2, 0.33, 0.5, 0.7])
@pytest.mark.parametrize("tile", [32, 64, 101])
def test_tiles_cover_every_px_and_overlap_as_asked(tile, overlap):
    for width, height in [*itertools.product(SIDES, SIDES), (700, 40)]:
        whole, *tiles = Tiling(tile, overlap).views(width, height)
        assert whole == (0, 0, width, height) and bool(tiles) == (max(width, height) > tile)
        covered = np.full((height, width), not tiles)
        for view in tiles:
            assert (view.right - view.left, view.bottom - view.top) == (min(tile, width), min(tile, height))
            assert 0 <= view.left < view.right <= width and 0 <= view.top < view.bottom <= height
            covered[view.top : view.bottom, view.left : view.right] = True
        assert covered.all() and len(set(tiles)) == len(tiles)
        for low, high in (("left", "right"), ("top", "bottom")):
            spans = sorted({(getattr(view, low), getattr(view, high)) for view in tiles})
            assert all(end - start >= tile * overlap for (_, end), (start, _) in itertools.pairwise(spans))
            steps = {after - before for (before, _), (after, _) in itertools.pairwise(spans)}
            assert not steps or max(steps) - min(steps) <= 1  # evenly spread


def test_no_more_tiles_are_made_than_needed():
    assert Tiling(640, 0.2).views(1152, 640)[1:] == [View(0, 0, 640, 640), View(512, 0, 1152, 640)]
    assert len(Tiling(640, 0.2).views(1153, 640)) == 1 + 3


@pytest.mark.parametrize(("width", "height"), [(64, 64), (64, 20), (1, 1), (63, 40)])
def test_an_image_no_larger_than_a_tile_is_not_tiled(width, height):
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    runtime, options = Seer(64), {"min_score": 0.001}
    tiled, plain = Predictor(runtime, tiling=TILING, **options), Predictor(runtime, **options)
    for ours, expected in zip(tiled.detect_batch([image])[0], plain.detect_batch([image])[0], strict=True):
        assert_array_equal(ours, expected)
    assert runtime.seen == [1, 1]


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
@pytest.mark.parametrize(("across", "down"), [(9, 9), (30, 12), (12, 60), (90, 20), (150, 110), (290, 40), (290, 210)])
def test_an_object_anywhere_comes_out_once_and_whole(overlap, across, down):
    """Whether tiles see it whole, in two pieces, or in many: the whole image is of no help, where only tiles see."""
    rng = np.random.default_rng(across + down)
    for _ in range(25):
        left, top = int(rng.integers(0, 300 - across)), int(rng.integers(0, 220 - down))
        box = [left, top, left + across, top + down]
        image = scene(300, 220, [box])
        (found,) = found_in_tiles(image, Tiling(64, overlap))
        np.testing.assert_allclose(found, box, atol=1e-3)


def found_in_tiles(image, tiling):
    """As `found_in`, where the network is blind for the image as a whole."""

    class Blind(Seer):
        def __call__(self, squares, min_score):
            found = super().__call__(squares, min_score)
            if len(self.seen) == 1:
                found[0] = Candidates(*(column[:0] for column in found[0]))
            return found

    found = Predictor(Blind(tiling.tile), tiling=tiling).detect_batch([image])[0]
    return found.boxes[np.argsort(found.scores)]


def test_neighbours_of_one_class_are_not_joined():
    """Two objects that end at the same tile's border, apart from each other along it."""
    (border,) = {view.right for view in TILING.views(112, 64)[1:] if view.right < 112}
    boxes = [[border - 20, 4, border, 18], [border - 16, 30, border + 40, 52]]
    image = scene(112, 64, [boxes[0], *[[0, 0, 0, 0]] * 7, boxes[1]])  # class 8 % 8
    assert_array_equal(found_in_tiles(image, TILING), boxes)


def merged(*parts, size=(112, 64), tiling=TILING):
    """What `Tiling.merged` makes of (place of the view, box, score, label) in an image of two tiles."""
    views = tiling.views(*size)
    found = []
    for place in range(len(views)):
        own = [part[1:] for part in parts if part[0] == place]
        boxes, scores, labels = zip(*own, strict=True) if own else ((), (), ())
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        found.append(Candidates(boxes, np.array(scores, np.float32), np.array(labels, np.int64)))
    together = tiling.merged(found, views)
    return sorted(
        zip(together.boxes.tolist(), together.scores.round(3).tolist(), together.labels.tolist(), strict=True)
    )


def test_a_piece_goes_where_its_object_is_found_and_gives_it_its_score():
    whole = [40, 10, 90, 30]
    expected = [(pytest.approx(whole), pytest.approx(0.9), 2)]
    assert merged((0, whole, 0.1, 2), (1, [41, 10, 64, 30], 0.9, 2), (2, [48, 11, 90, 30], 0.5, 2)) == expected


def test_a_piece_of_another_class_or_another_object_stays():
    inside, large = [50, 20, 64, 30], [10, 2, 100, 60]
    assert len(merged((0, large, 0.8, 2), (1, inside, 0.5, 3))) == 2
    assert len(merged((0, large, 0.8, 2), (1, inside, 0.5, 2))) == 2  # the tile would show more of the large one


def test_pieces_are_joined_where_they_fit_with_the_higher_score():
    left, right = [30, 10, 64, 30], [48, 11, 80, 31]
    assert merged((1, left, 0.4, 2), (2, right, 0.7, 2)) == [([30, 10, 80, 31], pytest.approx(0.7), 2)]
    assert len(merged((1, left, 0.4, 2), (2, right, 0.7, 3))) == 2
    assert len(merged((1, left, 0.4, 2), (2, [48, 40, 80, 60], 0.7, 2))) == 2  # elsewhere along the border
    assert len(merged((1, left, 0.4, 2), (2, [60, 10, 80, 30], 0.7, 2))) == 2  # no piece: it begins within its tile
    assert merged((1, left, 0.4, 2)) == [(left, pytest.approx(0.4), 2)]  # fits nothing


def test_a_box_at_the_images_own_border_is_no_piece():
    assert len(merged((1, [0, 0, 20, 64], 0.4, 2), (2, [92, 0, 112, 64], 0.7, 2))) == 2


def test_one_nms_goes_over_all_views():
    """The whole image and both tiles see the object in the overlap; one box is left, in image px."""
    assert len(Predictor(Seer(64)).detect_batch([scene(112, 64, [[50, 20, 62, 40]])])[0].boxes) == 1
    (box,) = found_in(scene(112, 64, [[50, 20, 62, 40]]))
    np.testing.assert_allclose(box, [50, 20, 62, 40], atol=1.5)  # perhaps the one of the shrunk image


def test_views_do_not_vote_on_each_others_boxes():
    image = scene(112, 64, [[50, 20, 62, 40]])
    plain, voting = (Predictor(Seer(64), tiling=TILING, nms={"vote": vote}) for vote in (False, True))
    assert_array_equal(voting.detect_batch([image])[0].boxes, plain.detect_batch([image])[0].boxes)


def test_small_objects_in_a_large_image_are_found_in_tiles_only():
    """At 128 px the network sees nothing below 6 px, and the image shrinks to a fifth in it."""
    rng = np.random.default_rng(0)
    places = rng.permutation(12 * 9)[:40]
    boxes = [[50 * x + 7, 50 * y + 9, 50 * x + 7 + w, 50 * y + 9 + h]
             for x, y, w, h in zip(places % 12, places // 12, *rng.integers(10, 26, (2, 40)), strict=True)]  # fmt: skip
    image = scene(640, 480, boxes)
    assert len(Predictor(Seer(128, least=6)).detect_batch([image])[0].boxes) == 0
    assert_array_equal(found_in(image, Tiling(128, 0.25), least=6), boxes)


def test_tiles_of_several_images_go_through_together_and_come_back_apart():
    boxes = [[[10, 10, 30, 30]], [[80, 20, 100, 40], [5, 5, 20, 20]], []]
    images = [scene(width, 64, of) for width, of in zip((60, 112, 160), boxes, strict=True)]
    runtime = Seer(64)
    found = Predictor(runtime, tiling=TILING, batch=20).detect_batch(images)
    for one, expected in zip(found, boxes, strict=True):
        np.testing.assert_allclose(one.boxes[np.argsort(one.scores)], np.array(expected).reshape(-1, 4), atol=1)
    assert runtime.seen == [1 + 3 + 4]


@pytest.mark.parametrize(
    ("tile", "overlap", "words"),
    [(31, 0.2, "from 32"), (64.0, 0.2, "whole number"), (True, 0, "whole number"), (64, 0.9, "below 0.9"),
     (64, -0.1, "from 0"), (64, float("nan"), "from 0"), (64, "0.2", "share")],
)  # fmt: skip
def test_wrong_numbers_are_one_sentence(tile, overlap, words):
    with pytest.raises(UserError, match=words):
        Tiling(tile, overlap)


def test_few_pairs_at_a_time_give_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    views = TILING.views(200, 150)
    found = []
    for view in views:
        corners = np.sort(rng.integers(0, 64, (40, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
        low, high = np.float32([*view[:2]] * 2), np.float32([*view[2:]] * 2)
        boxes = np.minimum(corners + low, high)
        found.append(Candidates(boxes, rng.random(40).astype(np.float32), rng.integers(0, 2, 40)))
    expected = TILING.merged(found, views)
    for pairs in (1, 100, 1000):
        monkeypatch.setattr(tiling, "PAIRS", pairs)
        for ours, theirs in zip(TILING.merged(found, views), expected, strict=True):
            assert_array_equal(ours, theirs)
    assert 0 < len(expected.scores) < sum(len(one.scores) for one in found)


def test_too_many_tiles_are_refused_before_memory_is_taken():
    assert len(Tiling(100, 0).views(100 * MAX_TILES, 100)) == 1 + MAX_TILES
    with pytest.raises(UserError, match="100000000x1 px makes 3,125,000 tiles of 32 px, and 1,000 are the limit"):
        Tiling(32, 0).views(100_000_000, 1)


def test_a_predictor_says_that_it_tiles():
    assert repr(Predictor(Seer(), tiling=Tiling(640))).startswith(
        "<Predictor of 8 classes at 128 px in tiles of 640 px"
    )
