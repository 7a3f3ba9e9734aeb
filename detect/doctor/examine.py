"""A data set examined: all checks of the register, quick or thorough, and their findings in order of weight."""

import numpy as np

from detect.config.schema import DataSettings
from detect.data.formats.opening import open_split, splits_of
from detect.doctor import boxes, classes, files, sizes, splits  # noqa: F401 - they fill the register
from detect.doctor.checks import CHECKS, SEVERITIES, Finding
from detect.doctor.description import TRAIN, DataSet, Split
from detect.doctor.faults import fault_findings
from detect.errors import UserError, nearest

SPLITS = (TRAIN, "val", "test")  # are told first
NO_SET = "images.list"  # the fault of a JSON file in the folder of the annotations that is something else


def read_set(data: DataSettings, anchors: np.ndarray | None = None, size: int | None = None) -> DataSet:
    """The `DataSet` of all splits of the data that `DataSettings` describe, with every fault collected.

    Raises:
        UserError: there is no split, or a file cannot be read at all.
    """
    there = splits_of(data)
    if not there:
        open_split(data, TRAIN)  # says what was looked for
    names = sorted(there, key=lambda name: (*SPLITS, name).index(name))
    found = [
        Split.read(name, open_split(data, name), data.bad_boxes, data.pseudo.learn)
        for name in names
        if name != "test-dev"
    ]
    named = {*SPLITS, *data.splits}
    found = [split for split in found if split.name in named or NO_SET not in split.faults]
    return DataSet(found, anchors, size, data.accept)


def examine(data: DataSet, thoroughly: bool = True, looks: bool = True) -> list[Finding]:
    """All findings, the worst first, without those of checks that the data's settings accept.

    Args:
        thoroughly: images are decoded and compared; else their headers are looked at.
        looks: without it, no image file is touched.

    Raises:
        UserError: there is no check of an id that is accepted.
    """
    for check_id in data.accept:
        if check_id not in CHECKS:
            hint = nearest(check_id, CHECKS)
            hint = hint if "did you mean" in hint else "; docs/check.md lists them"
            raise UserError(f"data.accept: there is no check '{check_id}'{hint}")
    if looks:
        for split in data.splits:
            split.look(thoroughly)
    findings = list(fault_findings(data))
    for one in CHECKS.values():
        if one.id not in data.accept and (thoroughly or not one.is_thorough):
            finding = one.run(data)
            findings += [finding] if finding else []
    return sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), -finding.count, finding.id))
