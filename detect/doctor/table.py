"""Findings as text for a terminal, and as plain values for JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from detect.doctor.checks import SEVERITIES, Finding
from detect.doctor.description import DataSet, Split, objects_by_class
from detect.files import printable

CLASSES = 12  # that are told in a line


def lines(data: DataSet, findings: Sequence[Finding]) -> Iterator[str]:
    """What was examined and what was found, for people."""
    for split in data.splits:
        yield described(split)
        yield f"  {class_counts(split)}"
    width = max((len(finding.id) for finding in findings), default=0)
    for finding in findings:
        yield ""
        yield f"{finding.severity:<7}  {finding.id:<{width}}  {finding.count:>7}  {finding.says}"
        for example in finding.examples:
            yield f"           {example.place}: {example.text}"
        if finding.count > len(finding.examples) > 0:
            yield f"           ... and {finding.count - len(finding.examples)} more"
        yield f"         > {finding.advice}"
    yield ""
    yield summary(findings)


def described(split: Split) -> str:
    """What a split holds, in a line."""
    images, objects, classes = len(split.images), int(split.is_object.sum()), len(split.categories)
    return f"{split.name}: {images:,} images, {objects:,} objects, {classes} classes: {printable(split.source)}"


def class_counts(split: Split) -> str:
    """Objects of each class, the most frequent first; of many classes the first and the last."""
    counts = sorted(objects_by_class([split]).items(), key=lambda item: -item[1])
    told = [f"{printable(name)} {count:,}" for name, count in counts]
    if len(told) > CLASSES:
        told = [*told[: CLASSES // 2], "...", *told[-CLASSES // 2 :]]
    return ", ".join(told)


def summary(findings: Sequence[Finding]) -> str:
    """How many findings there are of each severity."""
    if not findings:
        return "nothing found: the data are sound"
    counts = [(severity, sum(finding.severity == severity for finding in findings)) for severity in SEVERITIES]
    return ", ".join(f"{count} {severity}{'s' if count != 1 else ''}" for severity, count in counts)


def as_values(data: DataSet, findings: Sequence[Finding]) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "splits": {
            split.name: {
                "source": str(split.source),
                "images": len(split.images),
                "objects": int(split.is_object.sum()),
                "classes": objects_by_class([split]),
            }
            for split in data.splits
        },
        "errors": sum(finding.severity == "error" for finding in findings),
        "findings": [
            {
                "id": finding.id,
                "severity": finding.severity,
                "count": finding.count,
                "says": finding.says,
                "advice": finding.advice,
                "examples": [
                    {"file": str(example.file), "where": example.where, "text": example.text}
                    for example in finding.examples
                ],
            }
            for finding in findings
        ],
    }
