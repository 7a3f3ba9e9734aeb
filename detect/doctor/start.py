"""The quick checks at the start of a training: it stops at an error, and says how many warnings there are."""

from collections.abc import Collection, Sequence

from detect.data.check_files import cannot_use
from detect.doctor.checks import Finding
from detect.doctor.description import DataSet
from detect.doctor.examine import examine
from detect.errors import UserError

ALL = "python tools/check.py shows all that is wrong with the data"


def stop_or_warn(data: DataSet, without: Collection[str] = ()) -> list[str]:
    """Look at the headers of all images and ask the quick checks; returns lines on their warnings for the log.

    Args:
        without: ids of checks that do not matter to this training, or that it answers itself.

    Raises:
        UserError: images cannot be used, with a sentence for each of them in its `details`; or another error.
    """
    findings = [finding for finding in examine(data, thoroughly=False) if finding.id not in without]
    for split in data.splits:
        cannot_use(split.source, split.paths, [look.problem for look in split.looks])
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise _stop(errors[0], len(errors) - 1)
    return _warnings([finding for finding in findings if finding.severity == "warning"])


def _stop(finding: Finding, others: int) -> UserError:
    first = finding.examples[0]
    count = f", {finding.count} {finding.says}" if finding.count > 1 else ""
    more = f" and {others} other errors" if others else ""
    return UserError(f"{first.place}: {first.text}; {finding.advice} ({finding.id}{count}{more}; {ALL})")


def _warnings(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    texts = [", ".join(example.text for example in finding.examples) for finding in findings]
    told = [f"{one.count} {one.says} ({one.id}: {text})" for one, text in zip(findings, texts, strict=True)]
    return [f"data: {len(findings)} warnings: {'; '.join(told)}; {ALL}"]
