"""Several processes train as one does, and whatever ends one of them ends all and loses nothing."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch.distributed as dist
from torch.testing import assert_close

from detect.api.train import train_settings, training_settings
from detect.data.loading.loader import plans, stream_of
from detect.data.loading.shard import Shard
from detect.engine.detection import DetectionTask
from detect.engine.distributed import VARIABLES, World, place
from detect.engine.ending import LOST
from detect.engine.train import Trainer
from detect.errors import UserError
from detect.weights.checkpoint import read_checkpoint
from tests.cli.command_line import detect
from tests.engine.test_train import assert_same, settings_of, squares  # noqa: F401  a fixture
from tests.small_nets import conv, net, yolo

pytestmark = pytest.mark.usefixtures("one_thread", "small_backbone")

ROOT = Path(__file__).parents[2]
CPU = ("--device", "cpu", "--threads", "1")  # as many for a process alone on its machine as for two that share one
STEPS = 6
PATIENCE = 300  # s; a busy machine takes a minute to import PyTorch twice


# ---- what needs one process only -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 64])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shards_hold_each_thing_once_and_in_order(count, size):
    things = list(range(count))
    parts = [things[Shard(rank, size).of(count)] for rank in range(size)]
    assert list(chain.from_iterable(parts)) == things
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("size", [2, 3])
def test_the_processes_plans_are_the_one_plan_divided(squares, size):  # noqa: F811
    settings = settings_of(squares, input={"size": 64, "train_sizes": [64, 128]}, batch=7, steps=5)
    stream = stream_of(DetectionTask(settings).train_set, settings)
    whole = list(plans(stream, settings, 5, 32))
    shards = [list(plans(stream, settings, 5, 32, shard=Shard(rank, size))) for rank in range(size)]
    for plan, *parts in zip(whole, *shards, strict=True):
        assert {part[:3] for part in parts} == {plan[:3]}  # step, progress and size of the images
        assert list(chain.from_iterable(part.images for part in parts)) == plan.images


@pytest.mark.parametrize("size", [2, 3])
def test_an_evaluation_in_shards_is_that_of_the_whole(squares, tmp_path, size):  # noqa: F811
    trainer = Trainer(DetectionTask(settings_of(squares, steps=1)), tmp_path)
    task, arguments = trainer.task, (trainer.network, trainer.device)
    shards = [task.found(*arguments, Shard(rank, size)) for rank in range(size)]
    whole = task.found(*arguments, Shard())
    assert len(whole) and [len(shard) for shard in shards] != [len(whole)] + [0] * (size - 1)
    for column in ("image_ids", "category_ids", "boxes", "scores"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(shard, column) for shard in shards]), getattr(whole, column)
        )
    assert task.evaluated(shards).metrics == task.evaluated([whole]).metrics


TORCHRUN = dict(zip(VARIABLES, ("3", "4", "1", "2", "localhost", "29500"), strict=True))


@pytest.mark.parametrize(
    ("environment", "shard", "local", "machine"),
    [
        ({}, (0, 1), (0, 1), 0),
        ({"WORLD_SIZE": "1", "RANK": "0"}, (0, 1), (0, 1), 0),
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, (0, 1), (0, 1), 0),
        (TORCHRUN, (3, 4), (1, 2), 1),
        (TORCHRUN | {"GROUP_RANK": "7", "SLURM_STEP_NUM_TASKS": "2"}, (3, 4), (1, 2), 7),
    ],
)
def test_the_place_is_what_torchrun_says(environment, shard, local, machine):
    world = place(environment)
    assert (world.shard, world.local, world.machine) == (shard, local, machine)
    assert world.is_first == (shard[0] == 0)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WORLD_SIZE": "4"}, r"^WORLD_SIZE in the environment says .* but RANK, LOCAL_RANK, .* are missing; start it"),
        (TORCHRUN | {"RANK": ""}, r"but RANK is missing; start it as `torchrun .* or unset what is there$"),
        (TORCHRUN | {"RANK": "4"}, r"^RANK=4, WORLD_SIZE=4, .* are no place among several processes"),
        (TORCHRUN | {"LOCAL_RANK": "x"}, r"LOCAL_RANK=x, .* are no place"),
        (TORCHRUN | {"LOCAL_WORLD_SIZE": "0"}, r"LOCAL_WORLD_SIZE=0 in .* are no place"),
        ({"SLURM_STEP_NUM_TASKS": "4"}, r"^srun started 4 tasks, which know nothing of each other; on each machine, "),
    ],
)  # fmt: skip
def test_an_environment_that_says_half_is_a_sentence(environment, message):
    with pytest.raises(UserError, match=message):
        place(environment)


def test_a_stray_variable_of_a_shell_does_not_hang_a_training(squares, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("WORLD_SIZE", "4")
    ran = detect("train", net_file(tmp_path), "--set", f"data={squares}")
    assert ran.status == 1 and ran.err.startswith("error: WORLD_SIZE in the environment says ")


def test_one_process_evaluates(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    ran = detect("evaluate", "runs/mine")
    assert ran.status == 1
    assert ran.err == "error: several processes train together, but one evaluates: start it without torchrun\n"


def test_what_several_processes_cannot_do_is_a_sentence(squares, tmp_path):  # noqa: F811
    world = World(Shard(1, 3), Shard(1, 3))
    world.parallel = lambda network: network
    with pytest.raises(UserError, match=r"train.batch: 3 processes need .* set train.batch=6 or more$"):
        Trainer(DetectionTask(settings_of(squares, batch=4, accumulate=2)), tmp_path, world=world)
    settings = settings_of(squares)
    settings.data.cache = "ram"
    with pytest.raises(UserError, match=r"^data.cache: ram would be kept by each process for itself; take disk"):
        train_settings(settings, out=tmp_path, device="cpu", world=world)


def test_each_process_has_a_share_of_the_memory(squares, tmp_path, monkeypatch):  # noqa: F811
    """80% of a third of the memory: room for 4 of 16 images, and for 2 of 9; together no more than there are, 8."""
    world = World(Shard(0, 2), Shard(0, 3))
    world.parallel = lambda network: network
    world.least = world.shared = lambda value: value
    trainer = Trainer(DetectionTask(settings_of(squares, batch=5)), tmp_path, world=world)
    assert trainer.dry_run.part == 2
    each = trainer.dry_run.bytes_per_image()
    monkeypatch.setattr("detect.engine.dry_run.available", lambda _: int(16 * each))
    assert trainer.dry_run.fitting_batch() == 8
    monkeypatch.setattr("detect.engine.dry_run.available", lambda _: int(9 * each))
    assert trainer.dry_run.fitting_batch() == 4


def test_each_process_computes_with_its_own(monkeypatch):
    alone, second = place({}), place(TORCHRUN | {"RANK": "1", "WORLD_SIZE": "2"})
    monkeypatch.setattr("detect.engine.distributed.cores", lambda: 9)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # torchrun does
    assert (alone.device_name(None), alone.device_name("cuda:3"), alone.threads(None)) == (None, "cuda:3", None)
    assert (second.device_name(None), second.device_name("cuda"), second.device_name("cpu")) == (
        "cuda:1",
        "cuda:1",
        "cpu",
    )
    assert (second.threads(None), second.threads(2)) == (4, 2)
    with pytest.raises(UserError, match="cuda:0: each process takes a GPU of its own; give cuda"):
        second.device_name("cuda:0")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"last.pt": 7}, "other last.pt"),
        ({"data": {}}, "other data"),
        ({"data": {}, "settings": []}, "other data and other settings"),
    ],
)
def test_a_machine_with_another_run_data_or_settings_is_refused(squares, tmp_path, change, said):  # noqa: F811
    world = World(Shard(1, 2), Shard(0, 1))
    world.parallel = lambda network: network
    world.shared = lambda value: value | change
    with pytest.raises(UserError, match=rf"^process 1 has {said} than the first; give all machines the same files"):
        Trainer(DetectionTask(settings_of(squares)), tmp_path, world=world)


def test_a_run_that_went_on_meanwhile_is_refused(squares, tmp_path):  # noqa: F811
    run = Path(train_settings(settings_of(squares, steps=1), out=tmp_path, device="cpu")["run"])
    settings, stopped = training_settings(None, run, ["train.steps=2"])
    assert stopped.training["step"] == 1
    train_settings(settings, stopped=stopped, device="cpu")
    with pytest.raises(UserError, match=r"run-1: another training went on with the run meanwhile; resume it again"):
        train_settings(settings, stopped=stopped, device="cpu")


# ---- two processes ---------------------------------------------------------------------------------------------------


def net_file(folder):
    """A .cfg of five convolutions with norms."""
    path = folder / "net.cfg"
    path.write_text(net(64, 64) + "".join(conv(8, 3, stride=2) for _ in range(5)) + conv(32, 1, "linear", 0) + yolo())
    return path


def started(arguments, event="none", rank=0, step=0):
    """Run two processes of `detect` on this machine -> their exit statuses, standard errors and outputs.

    The store is here, as it is torchrun's, and outlives both.
    """
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=60))
    torchrun = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    torchrun |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "GROUP_RANK": "0", "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "tests.engine.distributed_worker",
        event,
        str(rank),
        str(step),
        *map(str, arguments),
    ]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | torchrun | {"RANK": str(n), "LOCAL_RANK": str(n)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [process.returncode for process in processes], [err for _, err in outputs], [out for out, _ in outputs]


OPTIONS = [f"train.{option}" for option in (
    f"steps={STEPS}", "epochs=null", "batch=6", "accumulate=2", "lr=0.005", "milestones=[]", "burn_in=0", "ema=0.9",
    "workers=0", "norm_momentum=0.1", "sync_norms=true", "evaluate_every=2", "clip_norm=5",
)]  # fmt: skip


@pytest.fixture(scope="module")
def options(squares, tmp_path_factory):  # noqa: F811
    """Arguments of a training: parts of three images for two processes, of several sizes, with mosaics."""
    folder = tmp_path_factory.mktemp("net")
    settings = [f"data={squares}", "input.train_sizes=[64,128]", "augment.mosaic=0.5", *OPTIONS]
    return ["train", net_file(folder), *CPU, *(word for one in settings for word in ("--set", one))]


@pytest.fixture(scope="module")
def by_two(options, tmp_path_factory):
    """The folder of a run by two processes."""
    folder = tmp_path_factory.mktemp("two")
    statuses, errors, outputs = started([*options, "--out", folder])
    assert statuses == [0, 0], errors
    assert outputs[1] == "" and "2 processes, each with its part of every batch" in outputs[0]
    return folder / "net-1"


def rows(run):
    """results.csv without times, which differ from run to run, and norms, which round more than the losses."""
    lines = [line.split(",") for line in (run / "results.csv").read_text().splitlines()]
    kept = [k for k, name in enumerate(lines[0]) if name not in ("images_per_second", "data_share", "gradient_norm")]
    return lines[0], np.array([[float(line[k]) for k in kept] for line in lines[1:]])


def test_two_processes_learn_what_one_learns(options, by_two, tmp_path):
    ran = detect(*options, "--out", tmp_path)
    assert ran.status == 0, ran.err
    one, two = (read_checkpoint(run / "last.pt") for run in (tmp_path / "net-1", by_two))
    names, losses = zip(*(rows(run) for run in (tmp_path / "net-1", by_two)), strict=True)
    assert names[0] == names[1] and len(losses[0]) == 2
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert_close(two["model"], one["model"], rtol=1e-3, atol=1e-5)
    assert_close(two["ema"], one["ema"], rtol=1e-3, atol=1e-5)
    assert {path.name for path in by_two.iterdir()} == {path.name for path in (tmp_path / "net-1").iterdir()}


def test_whatever_ends_one_ends_both_and_the_run_goes_on_exactly(options, by_two, tmp_path):
    """The second is killed, then the first, then the second is interrupted; in the middle of a step each."""
    run = tmp_path / "net-1"
    arguments = [*options, "--out", tmp_path]
    for event, rank, step, after in (("kill", 1, 3, 2), ("kill", 0, 4, 3), ("interrupt", 1, 5, 5)):
        statuses, errors, outputs = started(arguments, event, rank, step)
        assert read_checkpoint(run / "last.pt")["step"] == after
        if event == "kill":
            assert statuses[rank] == -signal.SIGKILL and statuses[1 - rank] == 1
            assert errors[1 - rank].splitlines()[-1] == f"error: {LOST}"
        else:
            assert statuses == [130, 130] and outputs[0].splitlines()[-1].startswith(
                "stopped after step 5; go on with: "
            )
        arguments = ["train", "--resume", run, *CPU]
    shutil.copytree(run, tmp_path / "alone")
    assert started(arguments)[0] == [0, 0]
    assert_same(*(read_checkpoint(folder / "last.pt") | {"config": None} for folder in (run, by_two)))
    assert detect("train", "--resume", tmp_path / "alone", *CPU).status == 0
    alone = read_checkpoint(tmp_path / "alone" / "last.pt")
    assert_close(alone["model"], read_checkpoint(run / "last.pt")["model"], rtol=1e-3, atol=1e-5)


def test_an_error_of_one_process_is_said_once_and_ends_both(options, tmp_path):
    statuses, errors, _ = started([*options, "--out", tmp_path], "image", rank=1, step=2)
    assert statuses == [1, 1]
    said = [line for text in errors for line in text.splitlines() if not line.startswith("epoch")]
    assert said == ["error: images/7.png: cannot be read"]
    assert read_checkpoint(tmp_path / "net-1" / "last.pt")["step"] == 1


def statuses_of(processes, patience):
    """The exit statuses of processes, all of which end when one fails, or after `patience` s."""
    until = time.monotonic() + patience
    try:
        while any(process.poll() is None for process in processes) and time.monotonic() < until:
            if any(process.poll() for process in processes):
                break
            time.sleep(0.1)
        return [process.poll() for process in processes]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def test_torchrun_on_two_machines(options, by_two, tmp_path):
    """Two nodes, which meet at an address, with one process each."""
    with socket.socket() as held:  # bound and not listening, so that nobody else is given the port
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
        command += ["--master-addr=127.0.0.1", f"--master-port={held.getsockname()[1]}"]
        script = [str(ROOT / "tools" / "train.py"), *map(str, options[1:]), "--out", str(tmp_path)]
        logs = [tmp_path / f"node-{n}.txt" for n in range(2)]
        nodes = [
            subprocess.Popen([*command, f"--node-rank={n}", *script], cwd=ROOT, stderr=log.open("w"))
            for n, log in enumerate(logs)
        ]
        statuses = statuses_of(nodes, 2 * PATIENCE)  # the agents import PyTorch, then the trainings do
    assert statuses == [0, 0], [log.read_text() for log in logs]
    assert_same(*(read_checkpoint(run / "last.pt") for run in (tmp_path / "net-1", by_two)))
