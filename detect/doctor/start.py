"""The quick checks at the start of a training: it stops at an error, and says how many warnings there are."""

from collections.abc import Sequence

from detect.data.check_files import cannot_use
from detect.doctor.checks import Example, Finding
from detect.doctor.description import DataSet
from detect.doctor.examine import examine
from detect.errors import UserError
from detect.files import printable

ALL = "python tools/check.py shows all that is wrong with the data"


def stop_or_warn(data: DataSet) -> list[str]:
    """Look at the headers of all images and ask the quick checks; returns lines on their warnings for the log.

    Raises:
        UserError: images cannot be used, with a sentence for each of them in its `details`; or another error.
    """
    findings = examine(data, thoroughly=False)
    for split in data.splits:
        cannot_use(split.source, split.paths, [look.problem for look in split.looks])
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise _stop(errors[0], len(errors) - 1)
    return _warnings([finding for finding in findings if finding.severity == "warning"])


def _stop(finding: Finding, others: int) -> UserError:
    first = finding.examples[0]
    count = f" (the first of {finding.count} {finding.says})" if finding.count > 1 else ""
    more = f", and {others} other error{'s' if others > 1 else ''}" if others else ""
    accept = f"if it is meant so, set data.accept=[{finding.id}]"
    return UserError(f"{first.place}: {first.text}{count}{more}; {finding.advice}; {accept} ({ALL})")


def _warnings(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    texts = [", ".join(map(_told, finding.examples)) for finding in findings]
    told = [f"{one.count} {one.says} ({one.id}: {text})" for one, text in zip(findings, texts, strict=True)]
    warnings = f"{len(findings)} warning{'s' if len(findings) > 1 else ''}"
    return [f"data: {warnings}: {'; '.join(told)}; {ALL}"]


def _told(example: Example) -> str:
    """An example in a few words: its text, which names the image unless that is what it is of."""
    return f"{printable(example.file.name)} {example.text}" if example.file == example.image else example.text
