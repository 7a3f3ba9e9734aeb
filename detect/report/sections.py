"""The sections of an evaluation's page: numbers, classes, curves, errors, confusion, sizes and shapes, worst images."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from detect.evaluation.coco import AREA_ALL, IOU_50, CocoReport
from detect.evaluation.curves import RECALLS
from detect.evaluation.fast import Evaluation
from detect.evaluation.matching import IOU_THRESHOLDS
from detect.files import printable
from detect.report import svg
from detect.report.best_thresholds import LEAST_OBJECTS
from detect.report.breakdown import Bucket, by_aspect, by_size
from detect.report.confusion import confusions_of, top_confusions
from detect.report.errors import KINDS, Errors, costs
from detect.report.ranking import Ranking, best_threshold, pooled
from detect.report.worst import Worst, worst_html

IOU_75 = int(np.argmin(abs(IOU_THRESHOLDS - 0.75)))
SCORES = np.linspace(0, 1, 101)  # where F1 is drawn
MEANINGS = {
    "AP": "mean over IoU 0.5 to 0.95", "AP50": "IoU 0.5", "AP75": "IoU 0.75", "APs": "small, to 32² px",
    "APm": "medium", "APl": "large, from 96² px", "AR1": "recall, 1 detection", "AR10": "recall, 10",
    "AR100": "recall, 100", "ARs": "recall, small", "ARm": "recall, medium", "ARl": "recall, large",
}  # fmt: skip
ERRORS = {
    "localisation": "right class, but the box overlaps its object by 0.1 to 0.5 only",
    "classification": "the box fits an object of another class",
    "both": "another class, and overlaps by 0.1 to 0.5 only",
    "duplicate": "a better detection has this object already",
    "background": "nothing is annotated there",
    "missed": "objects that no detection comes near",
    "false": "all false detections together",
    "not found": "all objects not found together",
}


def number(value: float, digits: int = 3) -> str:
    """A share in three digits; a dash for COCOeval's -1, nothing of the kind."""
    return "–" if value < 0 else f"{value:.{digits}f}"


def short(name: str, most: int = 32) -> str:
    """A stranger's class name, fit for a cell."""
    name = printable(name)
    return name if len(name) <= most else name[: most - 1] + "…"


def table(heads: Sequence[str], rows: Sequence[str], style: str = "") -> str:
    """Rows below their heads; a head that begins with < is one already."""
    cells = "".join(head if head.startswith("<") else f"<th>{head}</th>" for head in heads)
    return f'<table class="{style}"><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def numbers(report: CocoReport) -> str:
    """The twelve numbers."""
    cards = "".join(
        f"<div{' class=lead' if name == 'AP' else ''}>{name}<b>{number(value)}</b><small>{MEANINGS[name]}</small></div>"
        for name, value in report.metrics.items()
    )
    note = "<p>–: nothing of the kind is annotated.</p>" if min(report.metrics.values()) < 0 else ""
    return f'<div class="numbers">{cards}</div>{note}'


def classes_table(evaluation: Evaluation, classes: Sequence[Ranking], above: Sequence[float]) -> str:
    """A row for each class, the best first; a click on a head sorts anew."""
    per_class = list(evaluation.report.per_class.items())
    order = np.argsort([-values["AP"] for _, values in per_class], kind="stable").tolist()
    rows = [_class_row(evaluation, *per_class[k], classes[k], k, above[k]) for k in order]
    heads = [
        '<th data-way="1">class</th>', '<th data-way="-1">objects</th>', '<th data-way="-1" class="barred">AP</th>',
        *(f'<th data-way="-1">{name}</th>' for name in ("AP50", "AR100", "threshold", "precision", "recall", "F1")),
        "PR", "F1",
    ]  # fmt: skip
    few = sum(one.count < LEAST_OBJECTS for one in classes)
    note = f" * {few} classes with fewer than {LEAST_OBJECTS} objects take the threshold of all." if few else ""
    return (
        "<p>Threshold: the score with the highest F1 at IoU 0.5; precision, recall and F1 are those of the detections "
        f'above it.{note} A click on a head sorts.</p><div class="wide">{table(heads, rows, "sortable")}</div>'
    )


def _class_row(
    evaluation: Evaluation, name: str, values: Mapping[str, float], one: Ranking, label: int, above: float
) -> str:
    kept = int(np.count_nonzero(one.scores > above))
    last = kept - 1
    figures = (one.precision[last], one.recall[last], one.f1[last]) if kept else (-1.0, 0.0, 0.0)
    sparks = ["", ""]
    if one.count:
        precision = evaluation.curves.precision[IOU_50, :, label, AREA_ALL]
        f1 = f1_over_scores(one)
        mark = (above, float(np.interp(above, SCORES, f1)))
        sparks = [
            svg.spark(svg.Line(RECALLS, precision, "main", "precision over recall")),
            svg.spark(svg.Line(SCORES, f1, "main", f"F1 over the threshold, {above:.2f} marked", mark)),
        ]
    borrowed = "*" if one.count < LEAST_OBJECTS else ""
    cells = [
        f"<td>{escape(short(name))}</td>",
        f"<td>{values['instances']}</td>",
        _bar_cell(values["AP"]),
        *(f'<td data-value="{v}">{number(v)}</td>' for v in (values["AP50"], values["AR100"])),
        f'<td data-value="{above}">{above:.2f}{borrowed}</td>',
        *(f'<td data-value="{v}">{number(v, 2)}</td>' for v in figures),
        *(f"<td>{spark}</td>" for spark in sparks),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _bar_cell(value: float) -> str:
    """A number with a bar of its length."""
    bar = f'<span class="bar" style="width:{max(value, 0):.1%}"></span>'
    return f'<td class="barred" data-value="{value}">{number(value)} <span class="track">{bar}</span></td>'


def f1_over_scores(one: Ranking) -> np.ndarray:
    """F1 [101] of the detections with a score above 0, 0.01, ..., 1."""
    kept = np.searchsorted(-one.scores, -SCORES, side="left")  # how many are above
    return np.append(one.f1, 0.0)[kept - 1] * (kept > 0)


def curves(evaluation: Evaluation, classes: Sequence[Ranking], overall: float) -> str:
    """Precision over recall, and F1 over the score threshold, of every class and of all."""
    present = [label for label, one in enumerate(classes) if one.count]
    if not present:
        return "<p>Nothing is annotated.</p>"
    each = '<span class="key faint">each class</span>' if len(present) > 1 else ""
    charts = _pr_chart(evaluation, present, each), _f1_chart(evaluation, classes, present, each, overall)
    return f'<div class="pair">{"".join(charts)}</div>'


def _pr_chart(evaluation: Evaluation, present: Sequence[int], each: str) -> str:
    precision = evaluation.curves.precision[..., AREA_ALL]  # [T, R, K]
    names = evaluation.truth.names
    mean_50, mean_75 = (precision[iou][:, present].mean(axis=1) for iou in (IOU_50, IOU_75))
    lines = [svg.Line(RECALLS, precision[IOU_50, :, k], "faint", printable(names[k])) for k in present if each]
    lines.append(svg.Line(RECALLS, mean_75, "second", "mean, IoU 0.75"))
    lines.append(svg.Line(RECALLS, mean_50, "main", "mean, IoU 0.5"))
    keys = (
        f'<span class="key">IoU 0.5: {mean_50.mean():.3f}</span>'
        f'<span class="key second">IoU 0.75: {mean_75.mean():.3f}</span>{each}'
    )
    title = "<h3>Precision over recall, mean of the classes</h3>"
    return f"<div>{title}<div>{keys}</div>{svg.chart(lines, 'recall', 'precision')}</div>"


def _f1_chart(
    evaluation: Evaluation, classes: Sequence[Ranking], present: Sequence[int], each: str, overall: float
) -> str:
    together, names = pooled(classes), evaluation.truth.names
    best = best_threshold(together)
    mark = (best.threshold, best.f1) if best else None
    lines = [svg.Line(SCORES, f1_over_scores(classes[k]), "faint", printable(names[k])) for k in present if each]
    lines.append(svg.Line(SCORES, f1_over_scores(together), "main", "all objects together", mark))
    said = "nothing was found"
    if best:
        said = f"best above {overall:.2f}: F1 {best.f1:.2f}, precision {best.precision:.2f}, recall {best.recall:.2f}"
    title = "<h3>F1 over the score threshold, IoU 0.5</h3>"
    keys = f'<span class="key">all objects together</span>{each}'
    note = f'<div class="note">{said}</div>'
    return f"<div>{title}<div>{keys}</div>{svg.chart(lines, 'score threshold', 'F1')}{note}</div>"


def errors_table(evaluation: Evaluation, errors: Errors) -> str:
    """How often each kind occurs and what it costs, the most costly first."""
    counts, cost = errors.counts(), costs(evaluation, errors)
    counts["false"] = sum(int(np.count_nonzero(~one.true)) for one in errors.classes)
    counts["not found"] = sum(one.count - int(one.true.sum()) for one in errors.classes)
    top = max([*cost.values(), 1e-9])
    rows = [
        f"<tr><td>{name}<small>{ERRORS[name]}</small></td><td>{counts[name]:,}</td><td>+{cost[name]:.3f}</td>"
        f'<td class="bars"><span class="bar" style="width:{cost[name] / top:.1%}"></span></td></tr>'
        for name in [*sorted(KINDS, key=lambda kind: -cost[kind]), "false", "not found"]
    ]
    return (
        "<p>What AP50 would gain if all errors of one kind were put right and all others stayed: the definitions of "
        "TIDE (arXiv 2008.08115), detections of any score. The last two rows overlap with the others.</p>"
        f'<div class="wide">{table(["error", "count", "AP50 gained", ""], rows)}</div>'
    )


def confusion(evaluation: Evaluation, above: Sequence[float]) -> str:
    """The matrix, and the most frequent confusions in words."""
    found = confusions_of(evaluation, above)
    names = [short(name, 20) for name in evaluation.truth.names]
    rows = [
        f"<tr><td>{escape(names[own])}</td><td>{escape(names[taken])}</td><td>{count}</td><td>{share:.0%}</td></tr>"
        for own, taken, count, share in top_confusions(found)
    ]
    listed = "<p>No class is taken for another.</p>"
    if rows:
        heads = ("object", "found as", "times", "of its objects")
        listed = f"<h3>Most often confused</h3>{table(heads, rows, 'narrow')}"
    drawn = svg.matrix(found, [*names, "background"])
    return (
        "<p>Objects (rows) and what they were found as (columns), at IoU 0.5 and scores above each class's threshold. "
        "Last column: missed. Last row: found where nothing is annotated. Colour: share of the row; in the last row, "
        "share of the column.</p>"
        f'<div class="beside"><div class="wide">{drawn}</div><div>{listed}</div></div>'
    )


def breakdown(evaluation: Evaluation, classes: Sequence[Ranking]) -> str:
    """Two tables: by size and by shape."""
    tables = (
        ("Size: √area in image px", by_size(evaluation, classes)),
        ("Shape: width to height", by_aspect(evaluation, classes)),
    )
    inner = "".join(f'<div class="wide"><h3>{title}</h3>{_buckets(buckets)}</div>' for title, buckets in tables)
    return f'<div class="pair">{inner}</div>'


def _buckets(buckets: Sequence[Bucket]) -> str:
    rows = [
        f"<tr><td>{escape(b.name)}</td><td>{b.count:,}</td>{_bar_cell(b.ap50)}{_bar_cell(b.recall)}</tr>"
        for b in buckets
    ]
    return table(["", "objects", '<th class="barred">AP50</th>', '<th class="barred">recall</th>'], rows)


def worst(evaluation: Evaluation, errors: Errors, images: Sequence[Worst]) -> str:
    """The images, and what their boxes mean."""
    if not images:
        return "<p>No image has an error.</p>"
    kinds = "false: loc(alisation), cl(as)s, both, dup(licate), bg (background)"
    keys = f'<span class="box">found</span><span class="box false">{kinds}</span><span class="box missed">missed</span>'
    return (
        "<p>Images whose errors cost most AP50, at each class's threshold: what is gained if its false detections were "
        f"not and its missed objects were found.</p><p>{keys}</p>"
        f'<div class="photos">{worst_html(evaluation, errors, images)}</div>'
    )
