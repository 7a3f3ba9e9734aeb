"""The most memory that a process takes which opens a network and runs it once: measured in a fresh one."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from detect.analysis.contenders import Contender, open_network

ROOT = Path(__file__).parents[2]  # what `detect` is imported from


def peak_memory(of: Contender, cache: Path) -> float | None:
    """MB (1e6 bytes), with Python, the engine and its libraries; None where the system does not tell.

    Args:
        cache: the folder that the network was compiled to before, so that what compiling takes is left out.
    """
    child = in_fresh_process(__name__, {"contender": dataclasses.asdict(of), "cache": str(cache)})
    last = child.stdout.split()[-1:]
    return float(last[0]) if child.returncode == 0 and last else None


def in_fresh_process(module: str, wanted: Any) -> subprocess.CompletedProcess[str]:
    """Run a module of ours, which reads `wanted` as JSON from its standard input, in a Python of its own."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )


def own_memory(field: str) -> float | None:
    """MB of this process, "VmRSS" now or "VmHWM" at the most (`ru_maxrss` would count a parent's); None: not told."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{field}:")), None)


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    open_network(Contender(**wanted["contender"]), Path(wanted["cache"])).run()
    print(own_memory("VmHWM"))
