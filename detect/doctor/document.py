"""All that the doctor can find, as a table in Markdown: docs/check.md holds it."""

from detect.doctor.checks import CHECKS
from detect.doctor.faults import FAULTS


def table() -> str:
    """A row for each id: how bad it is, whether it is asked at the start of every training, what it is, what to do."""
    rows = {fault_id: ("error", True, kind.says, kind.advice) for fault_id, kind in FAULTS.items()}
    rows |= {one.id: (one.severity, not one.is_thorough, one.says, one.advice) for one in CHECKS.values()}
    lines = [
        f"| `{check_id}` | {severity} | {'yes' if quick else ''} | {says} | {advice} |"
        for check_id, (severity, quick, says, advice) in sorted(rows.items())
    ]
    return "\n".join(["| id | severity | quick | what | what to do |", "|---|---|---|---|---|", *lines])
