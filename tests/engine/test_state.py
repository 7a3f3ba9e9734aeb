"""Whatever a last.pt holds: a run goes on from it, or one sentence says why not."""

import copy
import random

import pytest
import torch

from detect.api.train import train
from detect.engine.state import StateError, TrainingState
from detect.errors import UserError
from detect.weights.checkpoint import read_checkpoint
from tests.engine.test_train import settings_of, squares, trained  # noqa: F401  squares is a fixture

pytestmark = pytest.mark.usefixtures("one_thread", "small_backbone")

HUGE = 10**30
WRONG = [
    None, True, 5, -1, HUGE, float("nan"), float("inf"), "x", "\ud800", b"x", [], [None], {}, {"a": 1}, {1: 2},
    torch.zeros(()), torch.zeros(0), torch.zeros(2), torch.zeros(2, 2, 2, 2, 2), torch.zeros(3, dtype=torch.complex64),
    torch.zeros(1, device="meta"), torch.eye(2).to_sparse(), torch.zeros(3, dtype=torch.int8),
]  # fmt: skip


@pytest.fixture(scope="module")
def stopped(squares, tmp_path_factory):  # noqa: F811
    """The folder of a run of eight steps that stopped after four."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    trained(settings_of(squares, steps=8), folder, until=4)
    return folder


def places(value, above=()):
    """The way to every value within `value`."""
    yield above
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from places(one, (*above, key))


def changed(state, place, value):
    """A copy of `state` with another value at a place."""
    if not place:
        return value
    state = copy.deepcopy(state)
    around = state
    for key in place[:-1]:
        around = around[key]
    around[place[-1]] = value
    return state


@pytest.mark.filterwarnings("ignore:Validating sparse")
def test_a_damaged_checkpoint_is_resumed_or_refused_in_one_sentence(stopped, tmp_path):
    state, rng = read_checkpoint(stopped / "last.pt"), random.Random(0)
    everywhere = list(places(state))
    tensors = [place for place in everywhere if "model" in place[:-1] or "moments" in place[:-1]]
    others = [place for place in everywhere if place not in tensors]
    refused = 0
    chosen = [*rng.sample(others, 60), *rng.sample(tensors, 20)]
    for place in chosen:
        wrong = rng.choice(
            [one for one in WRONG if one is not HUGE or place[:1] != ("config",)]
        )  # no training without end
        torch.save(changed(state, place, wrong), tmp_path / "last.pt")
        try:
            train(resume=tmp_path)
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 600, (place, error)
            refused += 1
    assert refused > len(chosen) / 2


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1}, {"step": True}, {"step": 4.0}, {"history": {}}, {"history": [{"AP": 1.0}]},
        {"history": [{"step": "4"}]}, {"sums": []}, {"is_due": 1}, {"is_due": True, "sums": {}}, {"data": None},
        {"moments": []},
        {"scaler": {"scale": "1"}},
        {"ema": None}, {"model": {}}, {"moments": None}, {"moments": [{}, {"momentum_buffer": torch.zeros(3)}]},
        {"moments": [{}, {"exp_avg": torch.zeros(4)}]},
    ],
)  # fmt: skip
def test_a_state_of_wrong_types_or_shapes_is_refused(stopped, change):
    state = read_checkpoint(stopped / "last.pt")
    network = torch.nn.Conv2d(3, 4, 1)
    state |= {"model": network.state_dict(), "ema": {"model": network.state_dict(), "updates": 4}}
    state |= {"moments": [{}, {"momentum_buffer": torch.zeros(4)}]}
    arguments = network, "sgd", True
    assert TrainingState.of(state, *arguments).step == 4
    with pytest.raises(StateError):
        TrainingState.of(state | change, *arguments)


def test_what_a_state_writes_is_what_it_reads(stopped):
    state = read_checkpoint(stopped / "last.pt")
    names = TrainingState.__dataclass_fields__
    assert state.keys() == {*names, "config", "categories", "metrics", "thresholds"}
