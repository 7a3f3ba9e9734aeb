"""What goes wrong, and what each kind of error costs: the definitions of TIDE (arXiv 2008.08115) at IoU 0.5.

A detection that found nothing is, by its highest IoU with the objects of its image (section 2.2 there; where several
fit, the first counts):

- localisation: 0.1 to below 0.5 with one of its class, so that a better box would do;
- classification: 0.5 or more with one of another class, so that another name would do;
- duplicate: 0.5 or more with one of its class, which a better detection has;
- background: below 0.1 with all;
- both: what is left, 0.1 to below 0.5 with one of another class only.

Missed is an object that no detection found, and that no localisation or classification error would find if it were put
right. What a kind costs is the AP50 gained by putting all its errors right, one kind at a time (section 2.3): boxes and
classes are corrected, of several detections of one object the best stays; duplicates, background and both are removed;
missed objects are not counted as to be found. (The authors' own program drops what is corrected where its object is
found already, even by a lower score, so its costs of these two kinds are lower; all else is equal.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detect.evaluation.coco import IOU_50
from detect.evaluation.fast import Evaluation
from detect.report.pairs import FIT, best_of_each, pairs
from detect.report.ranking import Ranking, average_precision, mean_ap, rankings

KINDS = ("localisation", "classification", "both", "duplicate", "background", "missed")
LOCALISATION, CLASSIFICATION, BOTH, DUPLICATE, BACKGROUND, MISSED = range(len(KINDS))
NO_ERROR = -1
NEAR = 0.1  # IoU from which on a box is near an object


@dataclass(frozen=True, eq=False)
class Errors:
    """kinds: int64 [n], of each detection, an index in `KINDS` or NO_ERROR;  targets: int64 [n], the object that a
    localisation or classification error would find, else -1;  missed: bool [m], of each object;  found_by: int64 [m],
    the detection that found it, or -1."""

    classes: list[Ranking]
    kinds: np.ndarray
    targets: np.ndarray
    missed: np.ndarray
    found_by: np.ndarray

    def counts(self) -> dict[str, int]:
        """How often each kind occurs."""
        told = {name: int(np.count_nonzero(self.kinds == kind)) for kind, name in enumerate(KINDS)}
        return told | {"missed": int(self.missed.sum())}


def find_errors(evaluation: Evaluation) -> Errors:
    """The kinds of all errors of an evaluation, at any score."""
    truth, classes = evaluation.truth, rankings(evaluation)
    count = len(evaluation.detections)
    false = np.concatenate([one.index[~one.true] for one in classes] or [np.zeros(0, np.int64)])
    near = pairs(evaluation, false, np.flatnonzero(~truth.crowds), NEAR)
    same = truth.labels[near.objects] == evaluation.matches.labels[near.detections]
    (own, own_object), (other, other_object) = (
        best_of_each(type(near)(*(column[chosen] for column in near)), count) for chosen in (same, ~same)
    )
    is_false = np.zeros(count, dtype=bool)
    is_false[false] = True
    rules = (
        (LOCALISATION, (own >= NEAR) & (own < FIT)),
        (CLASSIFICATION, other >= FIT),
        (DUPLICATE, own >= FIT),
        (BACKGROUND, np.maximum(own, other) < NEAR),
        (BOTH, np.ones(count, dtype=bool)),
    )
    kinds = np.select([is_false & fits for _, fits in rules], [kind for kind, _ in rules], NO_ERROR)
    targets = np.select([kinds == LOCALISATION, kinds == CLASSIFICATION], [own_object, other_object], -1)
    found_by = evaluation.matches.detections()[IOU_50].astype(np.int64)
    missed = (found_by < 0) & ~truth.crowds
    missed[targets[targets >= 0]] = False
    return Errors(classes, kinds, targets, missed, found_by)


def costs(evaluation: Evaluation, errors: Errors) -> dict[str, float]:
    """AP50, 0..1, that putting right all errors of a kind would gain; by the names of `KINDS`.

    Beside them "false": all detections that found nothing removed, and "not found": only found objects counted.
    """
    truth, classes = evaluation.truth, errors.classes
    present = [one.count > 0 for one in classes]
    before = mean_ap(classes, present)
    missed = np.bincount(truth.labels[errors.missed], minlength=len(classes))
    mended = {
        "localisation": _corrected(evaluation, errors, LOCALISATION),
        "classification": _corrected(evaluation, errors, CLASSIFICATION),
        **{KINDS[kind]: _removed(errors, kind) for kind in (BOTH, DUPLICATE, BACKGROUND)},
        "missed": [_of(one, one.count - gone) for one, gone in zip(classes, missed.tolist(), strict=True)],
        "false": [one.part(one.true) for one in classes],
        "not found": [_of(one, int(one.true.sum())) for one in classes],
    }
    return {name: max(mean_ap(after, present) - before, 0.0) for name, after in mended.items()}


def _of(one: Ranking, count: int) -> Ranking:
    return one.part(np.ones(len(one.true), dtype=bool), count)


def _removed(errors: Errors, kind: int) -> list[Ranking]:
    return [one.part(errors.kinds[one.index] != kind) for one in errors.classes]


def _corrected(evaluation: Evaluation, errors: Errors, kind: int) -> list[Ranking]:
    """The classes when all errors of a kind find their object; of those that find the same one, the best stays."""
    scores, truth = evaluation.detections.scores, evaluation.truth
    mended = np.flatnonzero(errors.kinds == kind)
    objects = errors.targets[mended]
    holders = np.unique(objects)
    rivals = errors.found_by[holders]
    candidates = np.concatenate([mended, rivals[rivals >= 0]])
    wanted = np.concatenate([objects, holders[rivals >= 0]])
    order = np.lexsort((candidates, -scores[candidates], wanted))
    first = np.flatnonzero(np.diff(wanted[order], prepend=-1))
    winners, losers = candidates[order[first]], np.delete(candidates[order], first)
    became = np.full(len(scores), -1)
    became[winners] = truth.labels[wanted[order[first]]]
    gone = np.zeros(len(scores), dtype=bool)
    gone[np.concatenate([losers, winners])] = True
    return [
        _with(one.part(~gone[one.index]), np.flatnonzero(became == label), scores)
        for label, one in enumerate(errors.classes)
    ]


def _with(one: Ranking, right: np.ndarray, scores: np.ndarray) -> Ranking:
    """The class with some right detections more."""
    index = np.concatenate([one.index, right])
    true = np.concatenate([one.true, np.ones(len(right), dtype=bool)])
    order = np.argsort(-scores[index], kind="stable")
    return Ranking(index[order], scores[index[order]], true[order], one.count)


def image_costs(evaluation: Evaluation, errors: Errors, above: Sequence[float]) -> np.ndarray:
    """AP50, 0..1, that each image's errors cost, float64 [I]: what is gained if its false detections above the score
    were not, and its missed objects were found with just that score.

    Args:
        above: [K], the score of each class.
    """
    truth, images = evaluation.truth, evaluation.matches.images
    present = max(sum(one.count > 0 for one in errors.classes), 1)
    total = np.zeros(len(truth.image_ids))
    for label, one in enumerate(errors.classes):
        if not one.count:
            continue
        shown = np.count_nonzero(one.scores > above[label])
        lost = truth.images[unseen(evaluation, errors, label, above[label])]
        right, wrong = np.flatnonzero(one.true), np.flatnonzero(~one.true[:shown])
        before, at = average_precision(right, one.count), images[one.index[wrong]]
        for image in np.union1d(at, lost).tolist():
            gone, more = wrong[at == image], np.count_nonzero(lost == image)
            kept = right[(right < shown) | (images[one.index[right]] != image)]  # the others found what was missed
            places = kept - np.searchsorted(gone, kept)  # where they come without the false ones
            last = shown - len(gone)  # where what was missed is put
            behind = np.searchsorted(places, last)
            places = np.concatenate([places[:behind], last + np.arange(more), places[behind:] + more])
            total[image] += max(average_precision(places, one.count) - before, 0.0)
    return total / present


def unseen(evaluation: Evaluation, errors: Errors, label: int, above: float) -> np.ndarray:
    """Objects of a class, by index, that no detection above the score found."""
    truth = evaluation.truth
    objects = np.flatnonzero((truth.labels == label) & ~truth.crowds)
    score = np.append(evaluation.detections.scores, -np.inf)[errors.found_by[objects]]  # the last: found by none
    return objects[score <= above]
