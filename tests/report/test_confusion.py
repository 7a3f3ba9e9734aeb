"""Who is taken for whom, by hand; every object and every detection is told once."""

import numpy as np
import pytest

from detect.report.breakdown import by_aspect, by_size
from detect.report.confusion import Confusions, confusions_of, top_confusions
from detect.report.ranking import rankings
from tests.report.made import made_evaluation, random_evaluation

CAT, DOG, FAR = [100, 100, 100, 100], [300, 100, 100, 100], [500, 300, 50, 50]
OBJECTS = [(0, "cat", CAT), (0, "dog", DOG), (1, "cat", CAT)]
FOUND = [(0, "cat", CAT, 0.9), (0, "cat", DOG, 0.8), (0, "bird", FAR, 0.7), (1, "cat", CAT, 0.3)]


def confusion_matrix(evaluation, above):
    """With its zeros, [K + 1, K + 1]."""
    found = confusions_of(evaluation, above)
    matrix = np.zeros((found.background + 1, found.background + 1), dtype=int)
    matrix[found.rows, found.columns] = found.counts
    assert (found.counts > 0).all() and matrix.sum() == found.counts.sum()
    return matrix


def of_matrix(matrix):
    rows, columns = np.nonzero(matrix)
    return Confusions(rows, columns, matrix[rows, columns], len(matrix) - 1)


def test_the_matrix_by_hand():
    matrix = confusion_matrix(made_evaluation(OBJECTS, FOUND), [0.5] * 3)
    assert matrix.tolist() == [[1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    lower = confusion_matrix(made_evaluation(OBJECTS, FOUND), [0.2] * 3)
    assert lower[0].tolist() == [2, 0, 0, 0]  # the second cat is found
    assert confusion_matrix(made_evaluation(OBJECTS, FOUND), [0.9] * 3).sum() == 3  # above, not at it: all are missed


def test_each_class_has_its_threshold():
    matrix = confusion_matrix(made_evaluation(OBJECTS, FOUND), [0.2, 0.5, 0.9])
    assert matrix.tolist() == [[2, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]  # the bird is below its own


def test_right_detections_come_before_confused_ones():
    """A better scored bird lies on the cat too: the cat is found, the bird is not in its place."""
    matrix = confusion_matrix(made_evaluation(OBJECTS[:1], [(0, "bird", CAT, 0.9), (0, "cat", CAT, 0.6)]), [0.5] * 3)
    assert matrix[0].tolist() == [1, 0, 0, 0] and matrix[3].tolist() == [0, 0, 1, 0]


def test_the_nearest_are_paired():
    found = [(0, "bird", [120, 100, 100, 100], 0.9), (0, "dog", [105, 100, 100, 100], 0.6)]
    matrix = confusion_matrix(made_evaluation(OBJECTS[:1], found), [0.5] * 3)
    assert matrix[0].tolist() == [0, 1, 0, 0] and matrix[3].tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("above", [0.0, 0.35, 0.8])
def test_every_object_is_told_once_and_every_detection(seed, above):
    evaluation = random_evaluation(seed)
    matrix = confusion_matrix(evaluation, [above] * 4)
    classes = rankings(evaluation)
    assert matrix[:-1].sum(axis=1).tolist() == [one.count for one in classes]
    assert matrix[:, :-1].sum(axis=0).tolist() == [np.count_nonzero(one.scores > above) for one in classes]
    assert np.diag(matrix)[:-1].tolist() == [np.count_nonzero(one.true & (one.scores > above)) for one in classes]


def test_the_most_frequent_confusions_come_first():
    matrix = np.array([[5, 3, 0, 2], [4, 1, 0, 0], [0, 1, 0, 0], [9, 9, 9, 0]])
    assert top_confusions(of_matrix(matrix)) == [(1, 0, 4, 0.8), (0, 1, 3, 0.3), (2, 1, 1, 1.0)]
    assert top_confusions(of_matrix(matrix), 1) == [(1, 0, 4, 0.8)]
    assert top_confusions(of_matrix(np.diag([3, 4, 0]))) == []


def test_shares_are_of_the_row_and_in_the_last_of_the_column():
    found = of_matrix(np.array([[5, 3, 2], [4, 1, 0], [1, 4, 0]]))
    assert found.shares().tolist() == [0.5, 0.3, 0.2, 0.8, 0.2, 0.1, 0.5]


def test_thousands_of_classes_take_little_memory():
    objects = [(0, f"class{k}", [10, 10, 50, 50]) for k in range(30_000)][:3]
    evaluation = made_evaluation(objects, [(0, "class1", [10, 10, 50, 50], 0.9)], [f"class{k}" for k in range(30_000)])
    assert confusions_of(evaluation, [0.5] * 30_000).counts.tolist() == [1, 1, 1]


def test_sizes_and_shapes_by_hand():
    objects = [(0, "cat", [0, 0, 20, 20]), (0, "cat", CAT), (1, "dog", [0, 0, 160, 40])]
    found = [(0, "cat", CAT, 0.9), (0, "cat", [400, 300, 20, 20], 0.95), (1, "dog", [0, 0, 160, 40], 0.5)]
    evaluation = made_evaluation(objects, found)
    sizes = {b.name: b for b in by_size(evaluation, rankings(evaluation))}
    assert {name: b.count for name, b in sizes.items() if b.count} == {"16 to 32": 1, "64 to 96": 1, "96 to 192": 1}
    assert sizes["16 to 32"].recall == 0 and sizes["16 to 32"].ap50 == 0
    assert sizes["96 to 192"].recall == 1 and sizes["96 to 192"].ap50 == 1  # the false one is of another size
    assert sizes["up to 16 px"].ap50 == sizes["up to 16 px"].recall == -1
    shapes = {b.name: b for b in by_aspect(evaluation, rankings(evaluation))}
    assert shapes["over 3:1"][1:] == (1, 1.0, 1.0)
    assert shapes["about 1:1"].count == 2 and shapes["about 1:1"].recall == 0.5
    assert shapes["about 1:1"].ap50 == pytest.approx(51 / 101 / 2)  # a false one comes first


@pytest.mark.parametrize("seed", range(3))
def test_buckets_hold_every_object_once(seed):
    evaluation = random_evaluation(seed)
    classes = rankings(evaluation)
    for buckets in (by_size(evaluation, classes), by_aspect(evaluation, classes)):
        assert sum(b.count for b in buckets) == sum(one.count for one in classes)
        right = sum(b.recall * b.count for b in buckets if b.count)
        assert right == pytest.approx(sum(np.count_nonzero(one.true) for one in classes))


def test_one_bucket_of_all_objects_has_the_evaluators_ap():
    objects = [(image, "cat", CAT) for image in range(2)]
    evaluation = made_evaluation(objects, [(0, "cat", CAT, 0.5), (1, "cat", [150, 150, 100, 100], 0.9)])
    (bucket,) = [b for b in by_size(evaluation, rankings(evaluation)) if b.count]
    assert bucket.ap50 == pytest.approx(evaluation.report.metrics["AP50"])
