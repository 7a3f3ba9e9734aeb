"""Files of weights appear whole or not at all, and a damaged or hostile one is answered by one sentence."""

import dataclasses
import errno
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.testing import assert_close

from detect import config
from detect.errors import UserError
from detect.files import replacing, write_text
from detect.inference.thresholds import Thresholds
from detect.models.detector import build_detector
from detect.weights.checkpoint import read_checkpoint, write_checkpoint
from detect.weights.files import (
    Weights,
    read,
    write_safetensors,
    write_thresholds,
)
from detect.weights.start import load_matching

ROOT = Path(__file__).parents[2]
MODEL = {
    "backbone": {"name": "CSPPeleeNet"},
    "neck": {"name": "EFM", "widths": [8, 16, 16]},
    "head": {"name": "YOLOv3"},
}
CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 17, "name": "großer Hund"}]


@pytest.fixture(scope="module")
def model():
    """A detector with its settings and classes, as `load_model` gives it."""
    torch.manual_seed(0)
    settings = config.from_dict({"model": MODEL, "input": {"size": 64}})
    detector = build_detector(vars(settings.model), len(CATEGORIES)).eval()
    return Weights.of(detector, settings, CATEGORIES, Path("run"))


def state_of(model, **changes):
    """The least a checkpoint holds."""
    values = config.to_dict(model.settings)
    return {"model": model.network.state_dict(), "config": values, "categories": model.categories, **changes}


@pytest.fixture
def small_disk():
    """For the length of a test no file can grow beyond 200 kB: writing fails in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def assert_same(a, b):
    """Two state dictionaries are equal bit for bit."""
    assert list(a) == list(b)
    for name, value in a.items():
        if not torch.equal(value, b[name]):  # much faster than assert_close, which has the better message
            assert_close(value, b[name], rtol=0, atol=0, msg=name)


def error_of(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- whole or not at all -------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.txt"
    write_text(path, "old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert error_of(fail).startswith(f"{path}: cannot be written (No space left on device)")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["out.txt"]


def test_ctrl_c_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.txt"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("name", ["last.pt", "weights.safetensors", "results.csv"])
def test_writing_that_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path, model, small_disk, name):
    path = tmp_path / name
    path.write_text("old")
    write = {
        "last.pt": lambda: write_checkpoint(path, state_of(model)),
        "weights.safetensors": lambda: write_safetensors(path, model),
        "results.csv": lambda: write_text(path, "x" * 300_000),
    }[name]
    assert error_of(write).startswith(f"{path}: cannot be written (")
    assert path.read_text() == "old" and os.listdir(tmp_path) == [name]


def test_kill_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    code = f"""
        import os, signal
        from detect.files import replacing
        with replacing({str(path)!r}) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    process = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_folder_that_is_not_there_or_a_file_in_its_place_is_a_sentence(tmp_path, model):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "last.pt", tmp_path):
        assert "cannot be written (" in error_of(write_checkpoint, path, state_of(model))
    assert os.listdir(tmp_path) == ["file"]


# ---- what lies in a file ---------------------------------------------------------------------------------------------


def test_a_checkpoint_is_read_as_it_was_written(tmp_path, model):
    write_checkpoint(tmp_path / "last.pt", state_of(model, step=3))
    loaded = read(tmp_path / "last.pt")
    assert loaded.settings == model.settings
    assert (loaded.categories, loaded.names) == (CATEGORIES, ("cat", "großer Hund"))
    assert not loaded.network.training
    assert_same(loaded.network.state_dict(), model.network.state_dict())
    assert read_checkpoint(tmp_path / "last.pt")["step"] == 3


def test_the_averaged_weights_are_taken(tmp_path, model):
    average = {name: value + 1 for name, value in model.network.state_dict().items()}
    write_checkpoint(tmp_path / "last.pt", state_of(model, ema={"model": average, "updates": 1}))
    assert_same(read(tmp_path / "last.pt").network.state_dict(), average)


def test_a_run_folder_gives_its_best_weights_else_its_last(tmp_path, model):
    write_checkpoint(tmp_path / "last.pt", state_of(model))
    assert read(tmp_path).path == tmp_path / "last.pt"
    write_checkpoint(tmp_path / "best.pt", state_of(model))
    assert read(tmp_path).path == tmp_path / "best.pt"


def test_a_run_folder_without_weights_and_a_missing_file_are_named(tmp_path):
    (tmp_path / "last.pt.old").touch()
    message = error_of(read, tmp_path)
    assert message == f"{tmp_path}: holds neither best.pt nor last.pt; give a run folder or a file of weights"
    message = error_of(read, tmp_path / "last.pt")
    assert message.startswith(f"{tmp_path / 'last.pt'}: no such file") and "'last.pt.old'" in message
    assert str(tmp_path / "x.pt") in error_of(read_checkpoint, tmp_path / "x.pt")


@pytest.mark.parametrize(
    "content", [b"", b"hello", bytes(5000), b"PK\x03\x04" + bytes(99), pickle.dumps({"model": 1}, protocol=2)]
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_garbage_is_refused(tmp_path, content, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    assert error_of(read, path).startswith(f"{path}: ")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_cut_off_is_refused_wherever_it_ends(tmp_path, model, suffix):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        write_checkpoint(path, state_of(model))
    else:
        write_safetensors(path, model)
    whole = path.read_bytes()
    for length in (1, 7, 9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert error_of(read, path).endswith("or a damaged one; give a run folder or another file")


class Bomb:
    """Pickles as a call that makes a folder."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))])
def test_code_in_a_checkpoint_is_not_run(tmp_path, model, write):
    path, marker = tmp_path / "last.pt", tmp_path / "marker"
    write(state_of(model, step=Bomb(marker)), path)
    for function in (read, read_checkpoint):
        assert (
            error_of(function, path)
            == f"{path}: not a checkpoint of this framework, or a damaged one; give a run folder or another file"
        )
        assert not marker.exists()
    torch.load(path, weights_only=False) if write is torch.save else pickle.loads(path.read_bytes())
    assert marker.exists()  # the bomb was a live one


def without(mapping, *names):
    return {name: value for name, value in mapping.items() if name not in names}


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda s: [1, 2], "holds no detector of this framework"),
        (lambda s: s["model"], "holds no detector of this framework"),
        (lambda s: without(s, "config"), "holds no detector of this framework"),
        (lambda s: without(s, "categories"), "holds no detector of this framework"),
        (lambda s: s | {"config": {"model": MODEL, "trian": {}}}, "unknown key 'trian'; did you mean 'train'?"),
        (lambda s: s | {"config": {"model": without(MODEL, "neck")}}, "'model.neck' is missing"),
        (lambda s: s | {"categories": 5}, "its list of classes is damaged"),
        (lambda s: s | {"categories": [{"id": "x", "name": "y"}]}, "its list of classes is damaged"),
        (lambda s: s | {"categories": [{"id": 1, "name": "\ud800"}]}, "its list of classes is damaged"),
        (lambda s: s | {"categories": []}, "lists 0 classes"),
        (lambda s: s | {"categories": CATEGORIES[:1]}, "its weights do not fit the model its config describes"),
        (lambda s: s | {"model": 5}, "its weights do not fit the model its config describes"),
        (lambda s: s | {"model": {}}, "its weights do not fit the model its config describes"),
        (lambda s: s | {"model": {1: torch.zeros(1)}}, "its weights do not fit the model its config describes"),
        (
            lambda s: s | {"model": dict.fromkeys(s["model"], 3)},
            "its weights do not fit the model its config describes",
        ),
    ],
)
def test_what_is_no_detector_is_named(tmp_path, model, spoil, expected):
    path = tmp_path / "last.pt"
    torch.save(spoil(state_of(model)), path)
    assert error_of(lambda path: read(path).network, path).startswith(f"{path}: {expected}")


@pytest.mark.parametrize("wrong", [torch.zeros(0), torch.zeros(1, 1), torch.tensor(1j)])
def test_a_tensor_of_another_shape_or_kind_is_named(tmp_path, model, wrong):
    state = state_of(model)
    name = next(name for name in state["model"] if name.endswith("num_batches_tracked"))
    torch.save(state | {"model": state["model"] | {name: wrong}}, tmp_path / "last.pt")
    message = error_of(lambda path: read(path).network, tmp_path / "last.pt")
    assert f"its weights do not fit the model its config describes: '{name}' h" in message


@pytest.mark.parametrize("change", [{"ema": 5}, {"ema": {"updates": 1}}, {"categories": [{"id": 1e999, "name": "x"}]}])
def test_a_strange_average_or_id_is_named(tmp_path, model, change):
    torch.save(state_of(model, **change), tmp_path / "last.pt")
    assert error_of(lambda path: read(path).network, tmp_path / "last.pt").startswith(f"{tmp_path / 'last.pt'}: ")


@pytest.mark.parametrize("values", [5, {"model": MODEL, "data": "somewhere"}])
def test_a_strange_config_is_named(tmp_path, model, values):
    torch.save(state_of(model, config=values), tmp_path / "last.pt")
    error_of(read, tmp_path / "last.pt")


# ---- released weights ------------------------------------------------------------------------------------------------


def test_safetensors_of_others_are_refused(tmp_path, model):
    path = tmp_path / "others.safetensors"
    tensors = model.network.state_dict()
    for metadata in (None, {"format": "pt"}, {"config": "{", "categories": "[]"}):
        save_file(tensors, path, metadata)
        expected = f"{path}: has no config and class names in its metadata; not released by this tool"
        assert error_of(read, path) == expected
    for values, categories in (({"model": 5}, CATEGORIES), (config.to_dict(model.settings), 5)):
        save_file(tensors, path, {"config": json.dumps(values), "categories": json.dumps(categories)})
        assert error_of(read, path).startswith(f"{path}: ")


@pytest.mark.parametrize("half", [False, True])
def test_released_weights_round_trip(tmp_path, model, half):
    write_safetensors(tmp_path / "w.safetensors", model, half)
    loaded = read(tmp_path / "w.safetensors")
    assert (loaded.settings, loaded.categories) == (model.settings, CATEGORIES)
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["letterbox"]) == {"size": 64, "pad": "centre", "fill": 114, "scale": "fit"}
    assert json.loads(metadata["categories"]) == CATEGORIES
    assert json.loads(metadata["config"])["model"]["neck"]["name"] == "EFM"
    tensors = model.network.state_dict()
    assert_same(loaded.network.state_dict(), {n: v.half().to(v.dtype) if half else v for n, v in tensors.items()})
    size = sum(v.numel() * v.element_size() for v in model.network.state_dict().values())
    assert (tmp_path / "w.safetensors").stat().st_size < (0.6 if half else 1.1) * size


def test_released_weights_do_not_tell_where_they_were_made(tmp_path, model):
    values = config.to_dict(model.settings)
    values["data"] = {"root": str(tmp_path / "secret_images")}
    values["train"]["init"] = str(tmp_path / "secret_init.pt")
    settings = config.from_dict(values)
    local = Weights.of(model.network, settings, CATEGORIES, tmp_path / "secret_run")
    write_safetensors(tmp_path / "w.safetensors", local)
    content = (tmp_path / "w.safetensors").read_bytes()
    assert str(tmp_path).encode() not in content and b"secret" not in content
    loaded = read(tmp_path / "w.safetensors").settings
    assert loaded.data is None and loaded.train.init is None
    assert settings.data.root == str(tmp_path / "secret_images")  # the given settings stay as they are


# ---- starting from other weights -------------------------------------------------------------------------------------


def fresh(num_classes, widths=(8, 16, 16)):
    torch.manual_seed(1)
    return build_detector({**MODEL, "neck": {"name": "EFM", "widths": list(widths)}}, num_classes)


def test_the_same_classes_take_everything(tmp_path, model):
    write_safetensors(tmp_path / "w.safetensors", model)
    detector = fresh(2)
    report = load_matching(detector, CATEGORIES, tmp_path / "w.safetensors")
    assert_same(detector.state_dict(), model.network.state_dict())
    count = len(detector.state_dict())
    assert report == f"{count} of {count} tensors from {tmp_path / 'w.safetensors'}"


def test_the_same_classes_by_darknets_older_names_keep_the_head(tmp_path, model):
    def named(*names):
        return [{"id": i, "name": name} for i, name in enumerate(names)]

    old = Weights.of(model.network, model.settings, named("sofa", "cat"), tmp_path)
    write_safetensors(tmp_path / "w.safetensors", old)
    detector = fresh(2)
    report = load_matching(detector, named("couch", "cat"), tmp_path / "w.safetensors")
    assert_same(detector.state_dict(), model.network.state_dict())
    assert report.endswith("; classes matched by Darknet's older names")


def head_rows(detector):
    """Rows of the head's convolutions with their biases, [scales x anchors, 5 + classes, inputs + 1]."""
    rows = []
    for conv, anchors in zip(detector.head.predictions, detector.head.anchors, strict=True):
        full = torch.cat([conv.weight.flatten(1), conv.bias[:, None]], dim=1).unflatten(0, (len(anchors), -1))
        rows += torch.nn.functional.pad(full, (0, 64 - full.shape[-1])).detach()
    return torch.stack(rows)


@pytest.mark.parametrize("names", [["cat", "dog"], ["dog", "cow", "cat"], ["großer Hund", "cat"], ["sofa"]])
def test_other_classes_keep_all_but_the_classes_that_are_new(tmp_path, model, names):
    write_checkpoint(tmp_path / "last.pt", state_of(model))
    detector, untouched = fresh(len(names)), fresh(len(names))
    categories = [{"id": i, "name": name} for i, name in enumerate(names)]
    known = [name for name in names if name in ("cat", "großer Hund")]
    report = load_matching(detector, categories, tmp_path)
    assert report.endswith(f"; 2 -> {len(names)} classes, of which it knows {len(known)} by name")
    assert_same(detector.backbone.state_dict(), model.network.backbone.state_dict())
    assert_same(detector.neck.state_dict(), model.network.neck.state_dict())
    ours, theirs, before = (head_rows(of) for of in (detector, model.network, untouched))
    assert torch.equal(ours[:, :5], theirs[:, :5])
    for place, name in enumerate(names):
        expected = theirs[:, 5 + ["cat", "großer Hund"].index(name)] if name in known else before[:, 5 + place]
        assert torch.equal(ours[:, 5 + place], expected)


@pytest.mark.parametrize("head", [{"anchors": "coco9_v4"}, {"scale_x_y": 1.1}])
def test_a_head_of_other_anchors_starts_anew_where_the_classes_differ(tmp_path, model, head):
    write_checkpoint(tmp_path / "last.pt", state_of(model))
    detectors = []
    for _ in range(2):
        torch.manual_seed(1)
        detectors.append(build_detector({**MODEL, "head": {"name": "YOLOv3"} | head}, 1))
    report = load_matching(detectors[0], [{"id": 1, "name": "cat"}], tmp_path)
    assert report.endswith("; head starts anew, 2 -> 1 classes")
    assert_same(detectors[0].head.state_dict(), detectors[1].head.state_dict())


def test_another_neck_keeps_what_fits(tmp_path, model):
    write_checkpoint(tmp_path / "last.pt", state_of(model))
    detector = fresh(2, widths=(12, 24, 24))
    report = load_matching(detector, CATEGORIES, tmp_path / "last.pt")
    assert_same(detector.backbone.state_dict(), model.network.backbone.state_dict())
    assert int(report.split()[0]) < len(detector.state_dict())


def test_weights_of_nothing_alike_are_refused(tmp_path, model):
    write_checkpoint(tmp_path / "last.pt", state_of(model))
    message = error_of(load_matching, torch.nn.Linear(2, 2), CATEGORIES, tmp_path / "last.pt")
    assert message.startswith(f"{tmp_path / 'last.pt'}: none of its ")


# ---- thresholds ----------------------------------------------------------------------------------------------------

BEST = Thresholds((0.25, 0.5), 0.5, "9 images of val.json")


@pytest.mark.parametrize("name", ["best.pt", "a.safetensors"])
def test_thresholds_are_written_into_a_file_and_all_else_stays(model, tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".pt":
        write_checkpoint(path, state_of(model, step=7))
    else:
        write_safetensors(path, model)
    before = read(path)
    assert before.thresholds is None
    assert write_thresholds(tmp_path if path.suffix == ".pt" else path, BEST) == path
    after = read(path)
    assert after.thresholds == BEST and after.settings == before.settings and after.categories == before.categories
    assert after.tensors.keys() == before.tensors.keys()
    assert all(torch.equal(value, before.tensors[key]) for key, value in after.tensors.items())
    if path.suffix == ".pt":
        assert read_checkpoint(path)["step"] == 7
    write_thresholds(path, Thresholds((0.1, 0.2), 0.5, "other images"))
    assert read(path).thresholds.scores == (0.1, 0.2)


def test_thresholds_are_handed_on(model, tmp_path):
    model = dataclasses.replace(model, thresholds=BEST)
    write_safetensors(tmp_path / "a.safetensors", model, half=True)
    assert read(tmp_path / "a.safetensors").thresholds == BEST


def test_released_weights_and_other_files_keep_no_thresholds(tmp_path):
    with pytest.raises(UserError, match=r"^yolov4_tiny_coco: released weights stay as they are; export them"):
        write_thresholds("yolov4_tiny_coco", BEST)
    (tmp_path / "a.xml").write_text("")
    with pytest.raises(UserError, match=r"a\.xml: cannot keep thresholds"):
        write_thresholds(tmp_path / "a.xml", BEST)


@pytest.mark.parametrize("damage", ["low", {"scores": [0.5], "iou": 0.5, "data": ""}, {"scores": [2, 0], "iou": 0.5}])
def test_damaged_thresholds_are_one_sentence(model, tmp_path, damage):
    write_checkpoint(tmp_path / "best.pt", state_of(model, thresholds=damage))
    with pytest.raises(UserError, match=r"best\.pt: its thresholds are (damaged|not those of 2 classes); train or"):
        read(tmp_path / "best.pt")
