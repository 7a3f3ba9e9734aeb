"""The most memory that a process takes which opens a network and runs it once: measured in a fresh one."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

from detect.analysis.contenders import Contender, open_network

ROOT = Path(__file__).parents[2]  # what `detect` is imported from


def peak_memory(of: Contender, cache: Path) -> float | None:
    """MB (1e6 bytes), with Python, the engine and its libraries; None where the system does not tell.

    Args:
        cache: the folder that the network was compiled to before, so that what compiling takes is left out.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    wanted = json.dumps({"contender": dataclasses.asdict(of), "cache": str(cache)})
    child = subprocess.run(
        [sys.executable, "-m", __name__],
        input=wanted,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    last = child.stdout.split()[-1:]
    return float(last[0]) if child.returncode == 0 and last else None


def _own_peak() -> float | None:
    """Of this process; its parent's would count in `ru_maxrss`, which lives on through a fork."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    open_network(Contender(**wanted["contender"]), Path(wanted["cache"])).run()
    print(_own_peak())
