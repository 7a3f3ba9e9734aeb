"""How fast models are on this machine: their networks alone, one image at a time, in turns, as one table."""

import csv
import dataclasses
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detect.analysis.bare import Network, OpenVINONetwork
from detect.analysis.cards import ap_of
from detect.analysis.contenders import Contender, exported, open_network
from detect.analysis.machine import described, machine
from detect.analysis.memory import peak_memory
from detect.analysis.table import aligned
from detect.errors import UserError

BLOCK = 5  # runs of a network, before the next has its turn
DISCARDED = 2  # before them: another's threads and caches are still there
SHOWN = 15  # layers of a profile
COLUMNS = ("model", "size", "engine", "precision", "threads", "p50_ms", "p95_ms", "images_per_second", "peak_mb", "ap",
           "ap_on", "ratio")  # fmt: skip
HEADS = (
    "model",
    "px",
    "engine",
    "precision",
    "threads",
    "p50 ms",
    "p95 ms",
    "images/s",
    "peak MB",
    "AP",
    "on",
    "ratio",
)
MEASURED = (
    "the network alone, one image at a time: uint8 square in, raw maps out (a file of another tool: random numbers of "
    "its own input in, its outputs out)"
)


def benchmark(
    contenders: Sequence[Contender],
    base: int = 0,
    rounds: int = 60,
    profiled: bool = False,
    say: Callable[[str], Any] = print,
) -> dict[str, Any]:
    """Measure models beside each other.

    Args:
        base: number of the one that the others' speeds are compared with.
        rounds: measured runs of each; they take turns in blocks of `BLOCK`, so that other work on the machine hits all.
        profiled: tell the time of each layer of those that OpenVINO runs, too.
        say: called with a line on what is being done.

    Returns:
        {"machine", "rounds", "base": its model, "rows": a mapping with `COLUMNS` for each, "profiles": `Layer`s by
        number of row}

    Raises:
        UserError: one of them cannot be opened or exported.
    """
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "cache")
        cache.mkdir()
        files = []
        for of in contenders:
            say(f"preparing {of.name}")
            files.append(exported(of, Path(folder)))
        networks = [open_network(of, cache) for of in files]
        if profiled and not any(isinstance(network, OpenVINONetwork) for network in networks):
            raise UserError("only OpenVINO tells the time of each layer; add :openvino to a model", argument="profile")
        say("measuring memory")
        peaks = [_peak(of, network, cache) for of, network in zip(files, networks, strict=True)]
        say("measuring speed")
        times = in_turns([network.run for network in networks], rounds)
        profiles = {
            number: network.layers()
            for number, network in enumerate(networks)
            if profiled and isinstance(network, OpenVINONetwork)
        }
    rows = [_row(*of) for of in zip(contenders, networks, times, peaks, strict=True)]
    for row in rows:
        row["ratio"] = rows[base]["p50_ms"] / row["p50_ms"]
    return {"machine": machine(), "rounds": rounds, "base": rows[base]["model"], "rows": rows, "profiles": profiles}


def in_turns(runs: Sequence[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Milliseconds of `rounds` calls of each, in blocks, forth and back through them."""
    times: list[list[float]] = [[] for _ in runs]
    turns = list(zip(runs, times, strict=True))
    while len(times[0]) < rounds:
        for run, taken in turns:
            for number in range(DISCARDED + min(BLOCK, rounds - len(taken))):
                start = time.perf_counter()
                run()
                if number >= DISCARDED:
                    taken.append((time.perf_counter() - start) * 1000)
        turns.reverse()
    return times


def _peak(of: Contender, network: Network, cache: Path) -> float | None:
    """With the precision that was chosen already: choosing takes memory too."""
    chosen = network.precision.removeprefix("int8+")
    return peak_memory(dataclasses.replace(of, precision=chosen, threads=network.threads), cache)


def _row(of: Contender, network: Network, times: Sequence[float], peak: float | None) -> dict[str, Any]:
    p50, p95 = (float(np.percentile(times, share)) for share in (50, 95))
    card = ap_of(of)
    return {
        "model": of.name,
        "size": network.size,
        "engine": network.engine,
        "precision": network.precision,
        "threads": network.threads,
        "p50_ms": p50,
        "p95_ms": p95,
        "images_per_second": 1000 / p50,
        "peak_mb": peak,
        "ap": card and card.value,
        "ap_on": card and card.on,
    }


# ---- for people ----------------------------------------------------------------------------------------------------


def table(result: dict[str, Any]) -> str:
    """The result of `benchmark` as plain text."""
    rows = result["rows"]
    lines = [
        described(result["machine"]),
        f"{MEASURED}; medians of {result['rounds']} runs in turns",
        *aligned([HEADS, *([_cell(name, row[name]) for name in COLUMNS] for row in rows)], left=(0, 2, 3, 10)),
        f"ratio: times as fast as {result['base']}. peak MB: of a process that opens the network and runs it once, "
        "engine and Python included.",
    ]
    if any(row["ap"] is not None for row in rows):
        lines += ["AP: what the model's card says of trained weights, not measured here; random weights have none."]
    for number, layers in result["profiles"].items():
        lines += ["", *_profile(rows[number], layers)]
    return "\n".join(lines)


def _cell(name: str, value: Any) -> str:
    if value is None or value == "":
        return "-"
    digits = {"p50_ms": 2, "p95_ms": 2, "images_per_second": 1, "peak_mb": 0, "ap": 1, "ratio": 2}
    return f"{value:.{digits[name]}f}" if name in digits else str(value)


def _profile(row: dict[str, Any], layers: Sequence[Any]) -> list[str]:
    """Lines: the layers' times by type, then the most expensive ones."""
    kinds: dict[str, list[float]] = {}
    for layer in layers:
        kinds.setdefault(layer.kind, []).append(layer.ms)
    total = sum(layer.ms for layer in layers)
    summed = sorted(((sum(times), len(times), kind) for kind, times in kinds.items()), reverse=True)
    longest = sorted(layers, key=lambda layer: -layer.ms)[:SHOWN]
    return [
        f"{row['model']} {row['precision']}, layer by layer: {total:.2f} ms in {len(layers)} layers",
        *aligned(
            [("ms", "share", "layers", "type")]
            + [(f"{ms:.3f}", f"{ms / total:.0%}", str(count), kind) for ms, count, kind in summed],
            left=(3,),
        ),
        *aligned(
            [("ms", "share", "type", "layer")]
            + [(f"{of.ms:.3f}", f"{of.ms / total:.0%}", of.kind, of.name) for of in longest],
            left=(2, 3),
        ),
    ]


def as_csv(result: dict[str, Any]) -> str:
    """The rows as CSV with a head, numbers in full."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(result["rows"])
    return text.getvalue()
