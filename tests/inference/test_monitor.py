"""How a run goes just now."""

import time

import numpy as np

from detect.inference.monitor import WINDOW, Monitor, Pace
from tests.inference.made_results import result


def live(index, item=0, clock=None, dropped=0):
    about = {"index": index, "time": index / 10, "medium": "live", "item": item, "dropped": dropped}
    return result(source=f"cam{item}", clock=time.time() if clock is None else clock, **about)


def test_the_pace_is_that_of_the_last_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("detect.inference.monitor.time.perf_counter", lambda: now[0])
    monitor = Monitor()
    assert monitor.pace(0) == Pace()
    for index in range(40):
        monitor.write(live(index))
        now[0] += 0.5 if index < 10 else 0.1
    assert monitor.pace(0).fps == np.float64(1 / 0.1).round(6) or abs(monitor.pace(0).fps - 10) < 1e-6
    assert monitor.pace(0).frames == 40
    now[0] += 2 * WINDOW
    monitor.write(live(40, dropped=7))
    assert monitor.pace(0).fps is None and monitor.pace(0).dropped == 7


def test_latency_is_from_the_frame_s_coming():
    monitor = Monitor()
    assert monitor.latencies() is None
    for index in range(100):
        monitor.write(live(index, clock=time.time() - (5.0 if index % 10 == 0 else 1.0)))
    median, p95 = monitor.latencies()
    assert 1 <= median < 2 and 5 <= p95 < 6 and 1 <= monitor.pace(0).latency < 2
    monitor.write(live(100, clock=time.time() + 60))  # the clock was set
    assert monitor.pace(0).latency == 0


def test_files_leave_only_the_last_source():
    monitor = Monitor()
    for item in range(50):
        monitor.write(result(item=item))
    assert [monitor.pace(item).frames for item in (48, 49)] == [0, 1]
    assert monitor.pace(49).latency is None and monitor.latencies() is None
