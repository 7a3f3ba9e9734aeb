"""The images whose errors cost most, with what was found, what was not, and what is not there."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from detect.data.records import ImageRecord, ImageTable
from detect.errors import UserError
from detect.evaluation.coco import IOU_50
from detect.evaluation.fast import Evaluation
from detect.files import printable
from detect.ops.preview import data_uri, shrunk
from detect.report.errors import KINDS, NO_ERROR, Errors, image_costs, unseen

SHOWN = 12
SIDE = 640  # px, of an image in the page at the most
MOST_NAMES = 16  # written into an image; with more, a pointer on a box shows its name
SHORT = ("loc", "cls", "both", "dup", "bg")  # the kinds of `errors` in an image


@dataclass(frozen=True)
class Worst:
    """An image, and what is to be seen on it: detections and objects by index."""

    record: ImageRecord
    cost: float  # in AP50, 0..1
    right: np.ndarray
    false: np.ndarray
    missed: np.ndarray


def worst_images(evaluation: Evaluation, errors: Errors, records: ImageTable, above: Sequence[float]) -> list[Worst]:
    """The most costly images, at most `SHOWN`; `above` are the classes' score thresholds [K]."""
    truth, matches = evaluation.truth, evaluation.matches
    scores, limits = evaluation.detections.scores, np.array([*above, np.inf])[matches.labels]
    seen = scores > limits
    object_of = matches.objects()[IOU_50]
    lost = np.concatenate([unseen(evaluation, errors, label, limit) for label, limit in enumerate(above)])
    place_of = {image_id: place for place, image_id in enumerate(records.ids.tolist())}
    costs = image_costs(evaluation, errors, above)
    found = []
    for image in np.argsort(-costs, kind="stable")[:SHOWN].tolist():
        if costs[image] <= 0:
            break
        here = np.flatnonzero(seen & (matches.images == image))
        right, false = here[object_of[here] >= 0], here[errors.kinds[here] != NO_ERROR]
        record = records[place_of[int(truth.image_ids[image])]]
        found.append(Worst(record, float(costs[image]), right, false, lost[truth.images[lost] == image]))
    return found


def worst_html(evaluation: Evaluation, errors: Errors, images: Sequence[Worst]) -> str:
    """A figure for each image; one that cannot be read any more is named."""
    return "".join(_figure(evaluation, errors, one) for one in images)


def _figure(evaluation: Evaluation, errors: Errors, one: Worst) -> str:
    name = escape(printable(one.record.path.name))
    try:
        image = one.record.read()
    except UserError as error:
        return f"<figure><figcaption><b>{name}</b> {escape(printable(error))}</figcaption></figure>"
    small, scale = shrunk(image, SIDE)
    height, width = small.shape[:2]
    boxes = _boxes(evaluation, errors, one, scale)
    title = f"+{one.cost:.3f} AP50 without its errors: {len(one.missed)} missed, {len(one.false)} false"
    photo = f'<image href="{data_uri(small)}" width="{width}" height="{height}"/>'
    frame = f'viewBox="0 0 {width} {height}" preserveAspectRatio="xMinYMin" role="img"'
    drawn = f'<svg class="photo" {frame}>{photo}{boxes}</svg>'
    return f"<figure>{drawn}<figcaption><b>{name}</b> {title}</figcaption></figure>"


def _boxes(evaluation: Evaluation, errors: Errors, one: Worst, scale: float) -> str:
    """Right ones first, so that what is wrong lies on top, and all names above all boxes."""
    names, found = evaluation.truth.names, evaluation.detections
    rows = []  # style, box, what is written there, what a pointer on it shows
    for i in one.right.tolist():
        name = names[evaluation.matches.labels[i]]
        rows.append(("right", found.boxes[i], "", f"{name} {found.scores[i]:.2f}, found"))
    for i in one.false.tolist():
        name, kind = names[evaluation.matches.labels[i]], int(errors.kinds[i])
        text = f"{name} {found.scores[i]:.2f}"
        rows.append(("false", found.boxes[i], f"{text} {SHORT[kind]}", f"{text}, false: {KINDS[kind]}"))
    for i in one.missed.tolist():
        name = names[evaluation.truth.labels[i]]
        rows.append(("missed", evaluation.truth.boxes[i], name, f"{name}, missed"))
    is_crowded = sum(bool(text) for _, _, text, _ in rows) > MOST_NAMES
    drawn, named = [], []
    for style, box, text, title in rows:
        x, y, width, height = (box * scale).round(1).tolist()
        shape = f'x="{x}" y="{y}" width="{width}" height="{height}"'
        said = f"<title>{escape(printable(title))}</title>"
        drawn.append(f'<rect class="under" {shape}/><rect class="{style}" {shape}>{said}</rect>')
        if text and not is_crowded:
            text = escape(printable(text))
            line = y + height + 11 if style == "missed" else max(y - 4, 11)  # one object may be both
            named.append(f'<text class="{style}" x="{x + 1}" y="{line:.1f}">{text}</text>')
    return "".join([*drawn, *named])
