"""Who is taken for gone: a process whose signs of life stop changing."""

import torch.distributed as dist

from detect.data.loading.shard import Shard
from detect.engine import watch
from detect.engine.ending import Ending
from detect.engine.watch import DONE, SILENCE, Watch


def test_a_process_is_silent_when_its_sign_stays_the_same_for_too_long(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    store = dist.HashStore()
    own = Watch(Ending(store, Shard(0, 2), 0))
    seen = []
    for sign, seconds in (("1", 3), ("2", 3), ("2", SILENCE), ("2", 1), ("3", 1), (DONE, 2 * SILENCE), (DONE, SILENCE)):
        store.set("beat 1", sign)
        seen.append(own.is_silent(1))
        now[0] += seconds
    store.set("beat 1", "3")
    assert seen == [False, False, False, True, False, False, False] and not own.is_silent(1)


def test_a_process_that_never_gave_a_sign_is_silent_in_the_end(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    own = Watch(Ending(dist.HashStore(), Shard(0, 2), 0))
    assert not own.is_silent(1)
    now[0] += SILENCE + 1
    assert own.is_silent(1)
