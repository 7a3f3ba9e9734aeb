"""How much memory this process may still take."""

from contextlib import suppress
from pathlib import Path

SYSTEM = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")  # of a container


def free_memory(system: Path = SYSTEM, group: Path = GROUP) -> int | None:
    """Bytes that the system, and the container that this runs in, have available; None where neither tells."""
    found = [free for free in (_of_system(system), _of_group(group)) if free is not None]
    return min(found, default=None)


def _of_system(path: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in path.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_group(folder: Path) -> int | None:
    """Of a cgroup's limit, if it has one, what is not used; files kept in memory to be read again count as free."""
    with suppress(OSError, ValueError):
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
        files = [line.split()[1] for line in (folder / "memory.stat").read_text().splitlines()
                 if line.startswith("inactive_file ")]  # fmt: skip
        return max(limit - used + sum(map(int, files)), 0)
    return None
