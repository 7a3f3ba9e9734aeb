"""A configuration is either right or answered by one sentence: where, what is wrong, what is near."""

import copy
import random
import time
from pathlib import Path

import pytest
import torch
import yaml

from detect import config
from detect.config.schema import ClassifierSettings, Settings
from detect.config.text import MAX_BYTES
from detect.errors import UserError
from detect.models.necks import EFM
from detect.models.registry import NECKS

CONFIGS = Path(__file__).parents[2] / "configs"
MODEL = """\
model:
  backbone: {name: CSPPeleeNet, partial_ratio: 0.5}
  neck: {name: EFM, sam: true}
  head: {name: YOLOv3}
"""  # what a test appends begins on line 5


@pytest.fixture
def write(tmp_path):
    """Write `text` to a file beside the others of this test and give its path."""

    def write(text, name="run.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def other_neck(monkeypatch):
    """A second neck, without EFM's options."""

    class OtherNeck(EFM):
        def __init__(self, in_channels, strides, narrow=True):
            super().__init__(in_channels, strides)

    monkeypatch.setitem(NECKS._classes, "OtherNeck", OtherNeck)


def error_of(path, *overrides):
    with pytest.raises(UserError) as caught:
        config.check_model(config.load(path, overrides, override_name="--set"))
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- one sentence for every mistake --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trian: {lr: 1}", "5: unknown key 'trian'; did you mean 'train'?"),
        ("train:\n  epoch: 3", "6: unknown key 'train.epoch'; did you mean 'epochs'?"),
        ("augment:\n  flip: 0\n  jiter: 0.1", "7: unknown key 'augment.jiter'; did you mean 'jitter'?"),
        ("train:\n  lr: 1\n  batch: 4\n  lr: 2", "8: 'lr' is written twice; remove one"),
        ("model: {}", "5: 'model' is written twice; remove one"),
        ("train: {lr: fast}", "5: train.lr must be a number, not 'fast'"),
        ("train: {lr: true}", "5: train.lr must be a number, not 'True'"),
        ("train: {lr: .nan}", "5: train.lr must be a number, not 'nan'"),
        ("train: {lr: .inf}", "5: train.lr must be a number, not 'inf'"),
        ("train: {batch: 1.5}", "5: train.batch must be a whole number or auto, not '1.5'"),
        ("train: {batch: true}", "5: train.batch must be a whole number or auto, not 'True'"),
        ("train: {nesterov: 1}", "5: train.nesterov must be true or false, not '1'"),
        ("train: {schedule: 3}", "5: train.schedule must be a word, not '3'"),
        ("train: {milestones: 3}", "5: train.milestones must be a list, not '3'"),
        ("train: {milestones: [1, x]}", "5: train.milestones must be a number, not 'x'"),
        ("train: 3", "5: train must be a section of 'key: value' lines, not '3'"),
        ("data: {root: ., splits: 3}", "5: data.splits must be a section, not '3'"),
        ("data: {bad_boxes: drop}", "5: 'data.root' is missing"),
        ("data: {root: ., splits: {train: {images: a}}}", "5: 'data.splits.train.annotations' is missing"),
        ("train: {lr: 0}", "5: train.lr must be greater than 0, not '0.0'"),
        ("train: {momentum: 2}", "5: train.momentum must be at most 0.9999, not '2.0'"),
        ("train: {batch: 0}", "5: train.batch must be at least 1 or auto, not '0'"),
        ("train: {batch: automatic}", "5: train.batch must be a whole number or auto, not 'automatic'"),
        (
            "train:\n  batch: auto\n  accumulate: 2",
            "7: train.accumulate: train.batch auto is what fits at once; leave it at 1",
        ),
        ("train: {optimizer: adam}", "5: train.optimizer is 'adam'; did you mean 'adamw'?"),
        ("train: {betas: [0.9]}", "5: train.betas must be two numbers, like [0.9, 0.999], not [0.9]"),
        ("train: {betas: [0.9, 1]}", "5: train.betas must be at most 0.99999, not '1.0'"),
        ("train:\n  optimizer: adamw\n  nesterov: true", "7: train.nesterov is for sgd, not for adamw; leave it out"),
        ("train:\n  lr_scale:\n    backbone.*: 0", "7: train.lr_scale.backbone.* must be greater than 0, not '0.0'"),
        ("train: {lr_scale: 0.1}", "5: train.lr_scale must be a section, not '0.1'"),
        ("train: {average_last: 2}", "5: train.average_last must be at most 1, not '2.0'"),
        ("train: {patience: 0}", "5: train.patience must be at least 1, not '0'"),
        ("train: {schedule: cosin}", "5: train.schedule is 'cosin'; did you mean 'cosine'?"),
        ("loss: {box: L2}", "5: loss.box is 'L2'; known: mse, iou, giou, diou, ciou, eiou"),
        ("loss:\n  assign: {name: simotta}", "6: unknown assignment 'simotta'; did you mean 'simota'?"),
        ("loss:\n  assign: {name: atss, kk: 3}", "6: atss has no option 'kk'; did you mean 'k'?"),
        ("loss:\n  assign: {name: atss, k: many}", "6: loss.assign.k must be a whole number, not 'many'"),
        ("loss:\n  assign: {name: atss, k: 0}", "6: assignment atss: k must be at least 1, not 0"),
        ("loss:\n  assign: atss", "6: loss.assign must be a part with its name, like {name: EFM}, not 'atss'"),
        ("loss:\n  cls_loss: {name: focal, gama: 1}", "6: focal has no option 'gama'; did you mean 'gamma'?"),
        ("loss:\n  obj_loss: {name: focus}", "6: unknown loss 'focus'; did you mean 'focal'?"),
        ("train:\n  steps: 5\n  epochs: 1", "6: train.epochs and train.steps are both given; keep one"),
        ("train:\n  batch: 10\n  accumulate: 3", "7: train.batch 10 cannot be split into 3 equal parts"),
        ("train: {milestones: [2, 1]}", "5: train.milestones must ascend"),
        ("input: {size: 100}", "5: input.size 100 px is no multiple of the model's stride 32"),
        ("input: {train_sizes: [64, 90]}", "5: input.train_sizes 90 px is no multiple of the model's stride 32"),
        ("input: {train_sizes: [64]}", "5: input.train_sizes must be [smallest, largest] in px, not [64]"),
        ("input: {train_sizes: [96, 64]}", "5: input.train_sizes must be [smallest, largest] in px, not [96, 64]"),
        (
            "input: {size: 32}\ntrain: {batch: 2, accumulate: 2}",
            "6: one image of 32 px at a time is too little for batch normalisation; take more",
        ),
        ("[a]: 2", "5: a key must be a plain word"),
        ("train: {lr: 2024-13-45}", "5: cannot read the value '2024-13-45' (month must be in 1..12)"),
    ],
)
def test_every_kind_of_mistake_is_named_with_its_line(write, text, expected):
    path = write(MODEL + text)
    assert error_of(path) == f"{path}:{expected}"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("sam: true", "sma: true", "3: EFM has no option 'sma'; did you mean 'sam'?"),
        ("sam: true", "sam: 1", "3: model.neck.sam must be true or false, not '1'"),
        ("sam: true", "in_channels: 3", "3: EFM has no option 'in_channels'; known: widths, sam, spp, activation"),
        (
            "sam: true",
            "widths: [64]",
            "3: neck EFM: widths has 1 numbers; EFM takes one for each of its 2 to 4 scales, fine to coarse",
        ),
        ("sam: true", "sam: true, sam: false", "3: 'sam' is written twice; remove one"),
        ("name: EFM", "name: EMF", "3: unknown neck 'EMF'; did you mean 'EFM'?"),
        ("{name: YOLOv3}", "{name: YOLOv3, num_classes: 4}", "4: YOLOv3 has no option 'num_classes'; known: anchors, "),
        ("{name: YOLOv3}", "{}", "4: model.head must be a part with its name, like {name: EFM}, not '{}'"),
        ("{name: YOLOv3}", "YOLOv3", "4: model.head must be a part with its name, like {name: EFM}, not 'YOLOv3'"),
        ("ratio: 0.5", "ratio: 2", "2: backbone CSPPeleeNet: partial_ratio is 2.0; it must lie between 0 and 1"),
        ("  head: {name: YOLOv3}\n", "", "1: 'model.head' is missing"),
    ],
)
def test_mistakes_in_parts_are_named_with_their_line(write, old, new, expected):
    path = write(MODEL.replace(old, new))
    assert error_of(path).startswith(f"{path}:{expected}")


def test_missing_sections_are_named(write):
    path = write("train: {lr: 1}")
    assert error_of(path) == f"{path}: 'model' is missing"
    path = write("# nothing\n")
    assert error_of(path) == f"{path}: 'model' is missing"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("\ttrain: 1", 5, "not valid YAML (found character '\\t' that cannot start any token)"),
        ("train: {lr: 1", 5, "not valid YAML"),
        ("train: [1\nx: 2", 6, "not valid YAML"),
        ("train: a: b", 5, "not valid YAML (mapping values are not allowed here)"),
        ("--- a second document", 5, "not valid YAML"),
    ],
)
def test_what_is_no_yaml_is_named_with_its_line(write, text, line, reason):
    path = write(MODEL + text)
    message = error_of(path)
    assert message.startswith(f"{path}:{line}: ") or message.startswith(f"{path}:{line + 1}: ")
    assert reason in message


def test_a_list_is_no_configuration(write):
    path = write("- a\n- b\n")
    assert error_of(path) == f"{path}:1: expected 'key: value' lines"


def test_python_objects_are_not_made(write, tmp_path):
    marker = tmp_path / "marker"
    path = write(MODEL + f"train: {{lr: !!python/object/apply:os.mkdir ['{marker}']}}")
    assert error_of(path).startswith(f"{path}:5: ")
    with pytest.raises(UserError):
        config.load(write(MODEL), [f"train.lr=!!python/object/apply:os.mkdir ['{marker}']"])
    assert not marker.exists()


@pytest.mark.parametrize("text", ["a: &x 1\nb: *x", "a: &x {lr: 1}\ntrain: {<<: *x}"])
def test_aliases_are_refused(write, text):
    assert "YAML aliases (*name) are not supported" in error_of(write(MODEL + text))


def test_a_bomb_of_aliases_is_refused_at_once(write):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    started = time.monotonic()
    assert "YAML aliases (*name) are not supported" in error_of(write(MODEL + bomb))
    assert time.monotonic() - started < 2


def test_files_that_cannot_be_read(write, tmp_path):
    path = write("x" * (MAX_BYTES + 1))
    assert error_of(path) == f"{path}: larger than {MAX_BYTES} bytes; this is no configuration file"
    path.write_bytes(b"model: \xff\xfe")
    assert error_of(path).startswith(f"{path}: cannot be read (")
    assert error_of(tmp_path).startswith(f"{tmp_path}: cannot be read (")
    message = error_of(tmp_path / "rum.yaml")
    assert message.startswith(f"{tmp_path / 'rum.yaml'}: no such file") and "did you mean 'run.yaml'?" in message


# ---- one parent ----------------------------------------------------------------------------------------------------


def test_mappings_merge_and_lists_replace(write):
    write(MODEL + "train: {lr: 0.5, batch: 8, milestones: [1, 2, 3]}\naugment: {flip: 0}", "parent.yaml")
    text = "base: parent.yaml\ntrain: {batch: 4, milestones: [7]}\nmodel: {neck: {widths: [8, 16, 32]}}"
    settings = config.load(write(text))
    assert (settings.train.lr, settings.train.batch, settings.train.milestones) == (0.5, 4, [7.0])
    assert settings.augment.flip == 0
    assert settings.model.neck == {"name": "EFM", "sam": True, "widths": [8, 16, 32]}


def test_another_name_drops_the_parents_options(write, other_neck):
    write(MODEL, "parent.yaml")
    settings = config.load(write("base: parent.yaml\nmodel: {neck: {name: OtherNeck, narrow: false}}"))
    assert settings.model.neck == {"name": "OtherNeck", "narrow": False}
    same = config.load(write("base: parent.yaml\nmodel: {neck: {name: EFM}}"))
    assert same.model.neck == {"name": "EFM", "sam": True}


def test_errors_name_the_file_a_value_was_written_in(write):
    parent = write(MODEL + "train:\n  batch: 8\n  lr: 0", "parent.yaml")
    child = write("base: parent.yaml\ntrain:\n  batch: 4")
    assert error_of(child) == f"{parent}:7: train.lr must be greater than 0, not '0.0'"
    child = write("base: parent.yaml\ntrain:\n  batch: 0\n  lr: 1")
    assert error_of(child) == f"{child}:3: train.batch must be at least 1 or auto, not '0'"


def test_only_one_parent(write):
    write(MODEL, "grand.yaml")
    parent = write("# the parent\nbase: grand.yaml\n", "parent.yaml")
    message = error_of(write("base: parent.yaml"))
    assert message == f"{parent}:2: parent.yaml is a parent itself; only one parent is allowed"
    path = write("base: run.yaml")
    assert "only one parent is allowed" in error_of(path)


def test_missing_parent_names_the_nearest(write, tmp_path):
    write(MODEL, "parent.yaml")
    path = write("train: {lr: 1}\nbase: parents.yaml")
    expected = f"{path}:2: base: no such file {tmp_path / 'parents.yaml'}; did you mean 'parent.yaml'?"
    assert error_of(path) == expected


# ---- overrides -----------------------------------------------------------------------------------------------------


def test_overrides_win_and_the_last_one_most(write):
    path = write(MODEL + "train: {lr: 0.5}")
    settings = config.load(path, ["train.lr=0.1", "train.lr=0.2", "input.size=64", "model.neck.sam=false"])
    assert (settings.train.lr, settings.input.size, settings.model.neck["sam"]) == (0.2, 64, False)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.lr", "--set train.lr: write it as section.key=value"),
        ("=3", "--set =3: write it as section.key=value"),
        ("train.lrr=1", "--set train.lrr: unknown key 'train.lrr'; did you mean 'lr'?"),
        ("trian.lr=1", "--set trian.lr: unknown key 'trian'; did you mean 'train'?"),
        ("train.lr=fast", "--set train.lr: train.lr must be a number, not 'fast'"),
        ("train.lr=-1", "--set train.lr: train.lr must be greater than 0, not '-1.0'"),
        ("train.lr={", "--set train.lr: not valid YAML (expected the node content, but found '<stream end>')"),
        ("input.size.px=3", "--set input.size.px: input.size must be a whole number, not '{'px': 3}'"),
        ("model.neck.sma=true", "--set model.neck.sma: EFM has no option 'sma'; did you mean 'sam'?"),
        ("model.neck.sam=5", "--set model.neck.sam: model.neck.sam must be true or false, not '5'"),
        ("model.neck.name=EMF", "--set model.neck.name: unknown neck 'EMF'; did you mean 'EFM'?"),
        ("input.size=100", "--set input.size: input.size 100 px is no multiple of the model's stride 32"),
    ],
)
def test_mistakes_in_overrides_are_named(write, override, expected):
    message = error_of(write(MODEL + "input: {size: 64}"), override)
    assert message == expected or (expected.startswith("--set trian") and "'trian'; did you mean 'train'?" in message)


@pytest.mark.parametrize("override", ["train.lr=2024-13-45", "train.lr=" + "[" * 1200, "train.lr=0x" + "f" * 5000])
def test_strange_values_of_overrides_are_a_sentence(write, override):
    error_of(write(MODEL), override)


@pytest.mark.parametrize("override", ["train={lr: 1, lr: 2}", "train={lr: &a 0.5, momentum: *a}"])
def test_overrides_obey_the_rules_of_files(write, override):
    error_of(write(MODEL), override)


def test_an_override_with_another_name_drops_the_old_options(write, other_neck):
    settings = config.load(write(MODEL), ["model.neck.name=OtherNeck"])
    assert settings.model.neck == {"name": "OtherNeck"}


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("1.0e-3", 0.001), ("5", 5.0), ("1e0", 1.0)])
def test_numbers_without_a_dot_are_numbers(write, text, value):
    assert config.load(write(MODEL + f"train: {{lr: {text}}}")).train.lr == value
    assert config.load(write(MODEL), [f"train.lr={text}"]).train.lr == value


def test_numbers_without_a_dot_are_numbers_in_parts_too(write):
    settings = config.load(write(MODEL.replace("{name: YOLOv3}", "{name: YOLOv3, scale_x_y: 2e0}")))
    assert settings.model.head["scale_x_y"] == 2.0


@pytest.mark.parametrize("value", ["[a, b, c]", "-3", "0"])
def test_a_wrong_reach_of_the_centre_is_refused(write, value):
    error_of(write(MODEL.replace("{name: YOLOv3}", f"{{name: YOLOv3, scale_x_y: {value}}}")))


# ---- another length ------------------------------------------------------------------------------------------------


def test_another_length_keeps_the_shares_of_burn_in_and_milestones(write):
    path = write(MODEL + "train: {steps: 1000, burn_in: 100, milestones: [800, 900]}")
    train = config.load(path, ["train.epochs=50"]).train
    assert (train.steps, train.epochs, train.burn_in, train.milestones) == (None, 50.0, 5.0, [40.0, 45.0])
    train = config.load(path, ["train.epochs=50", "train.steps=2000"]).train
    assert (train.steps, train.epochs, train.burn_in, train.milestones) == (2000, None, 200.0, [1600.0, 1800.0])
    train = config.load(path, ["train.epochs=50", "train.burn_in=1"]).train
    assert (train.epochs, train.burn_in) == (50.0, 1.0)


def test_another_length_in_the_same_unit_keeps_the_shares_too(write):
    path = write(MODEL + "train: {epochs: 10, burn_in: 2, milestones: [8]}")
    train = config.load(path, ["train.epochs=20"]).train
    assert (train.epochs, train.burn_in, train.milestones) == (20.0, 4.0, [16.0])


@pytest.mark.parametrize(
    ("text", "override", "burn_in"),
    [
        ("{steps: 1000, burn_in: 1e2}", "train.epochs=50", 5.0),
        ("{steps: 1000, burn_in: 100}", "train.epochs=5e1", 5.0),
        ("{steps: 1000, burn_in: 100, milestones: [8e2]}", "train.epochs=50", 5.0),
    ],
)
def test_another_length_rescales_numbers_without_a_dot(write, text, override, burn_in):
    assert config.load(write(MODEL + f"train: {text}"), [override]).train.burn_in == burn_in


def test_another_length_instead_of_none(write):
    assert config.load(write(MODEL + "train: {steps: 0, burn_in: 1}"), ["train.epochs=5"]).train.epochs == 5


# ---- places --------------------------------------------------------------------------------------------------------


def test_relative_paths_start_where_they_are_written(write, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write(MODEL + "data: {root: images}\ntrain: {init: w.pt}", "parents/parent.yaml")
    path = write("base: ../parents/parent.yaml\ntrain: {init: w.pt}", "runs/run.yaml")
    settings = config.load(path)
    assert settings.data.root == str(tmp_path / "parents" / "images")
    assert settings.train.init == str(tmp_path / "runs" / "w.pt")
    settings = config.load(path, ["data.root=mine", "train.init=w.pt"])
    assert settings.data.root == str(tmp_path / "elsewhere" / "mine")
    assert settings.train.init == str(tmp_path / "elsewhere" / "w.pt")


def test_data_is_a_folder_a_file_or_a_section(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sets" / "cells").mkdir(parents=True)
    write("root: cells\nbad_boxes: drop", "sets/cells.yaml")
    cells = str(tmp_path / "sets" / "cells")
    assert config.load(write(MODEL + "data: sets/cells")).data.root == cells
    data = config.load(write(MODEL + "data: sets/cells.yaml")).data
    assert (data.root, data.bad_boxes) == (cells, "drop")
    assert config.load(write(MODEL + "data: {root: sets/cells}")).data.root == cells
    assert config.load(write(MODEL), ["data=sets/cells.yaml"]).data == data
    assert config.load(write(MODEL + "data: sets/cells.yaml"), ["data.bad_boxes=stop"]).data.bad_boxes == "stop"
    assert config.load(write(MODEL)).data is None
    assert config.read_data("sets/cells.yaml") == data
    assert config.read_data("sets/cells").root == cells


def test_missing_or_wrong_data_is_named(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write("root: x\nbad_box: drop", "cells.yaml")
    path = write(MODEL + "data: cell.yaml")
    expected = f"{path}:5: data: no such file or folder {tmp_path / 'cell.yaml'}; did you mean 'cells.yaml'?"
    assert error_of(path) == expected
    message = error_of(write(MODEL + "data: cells.yaml"))
    assert message == f"{data}:2: unknown key 'data.bad_box'; did you mean 'bad_boxes'?"
    with pytest.raises(UserError, match=r"^no such file or folder .*did you mean 'cells.yaml'"):
        config.read_data("cell.yaml")
    with pytest.raises(UserError, match=r"cells.yaml:2: unknown key 'data.bad_box'"):
        config.read_data("cells.yaml")


def test_a_data_file_without_a_word_is_named(tmp_path):
    (tmp_path / "data.yaml").write_text("")
    with pytest.raises(UserError, match=r"^/.*/data\.yaml: 'data\.root' is missing$"):
        config.read_data(tmp_path / "data.yaml")


def test_a_list_of_data_is_the_first_with_the_others_beside_it(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sets" / "cells").mkdir(parents=True)
    write("root: cells\npseudo: {learn: 0.6}\nshare: 2", "sets/cells.yaml")
    cells, mine = str(tmp_path / "sets" / "cells"), str(tmp_path / "mine")
    data = config.load(write(MODEL + "data: [sets/cells.yaml, {root: mine, share: 1}]")).data
    assert (data.root, data.share, data.pseudo.learn, data.pseudo.ignore) == (cells, 2, 0.6, 0.2)
    assert [(one.root, one.share, one.pseudo.learn) for one in data.beside] == [(mine, 1, 0.5)]
    overridden = config.load(write(MODEL), ["data=[sets/cells, sets/cells]"]).data
    assert [overridden.root, overridden.beside[0].root] == [cells, cells]
    again = config.from_dict(config.to_dict(config.load(write(MODEL + "data: [sets/cells, {root: mine}]"))))
    assert [one.root for one in (again.data, *again.data.beside)] == [cells, mine]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("[]", ":5: data: the list names no set"),
        ("[cells, 7]", ":5: data: a set of a list is a folder, a data YAML or a mapping with root"),
        ("[{root: a, beside: []}]", ":5: data: a set of a list is a folder"),
        ("\n- {root: a}\n- {rot: b}", ":7: unknown key 'data.beside[0].rot'; did you mean 'root'?"),
        ("\n- {root: a}\n- {share: 1}", ": 'data.beside[0].root' is missing"),
        ("\n- {root: a}\n- {root: b, share: 1}", "data: give every set a share of the training's images, or none"),
        (
            "\n- {root: a}\n- root: b\n  pseudo: {ignore: 0.6}",
            ":8: data.beside[0].pseudo.ignore is 0.6, above learn, 0.5; lower it",
        ),
        ("{root: a, pseudo: {learn: 1.1}}", "data.pseudo.learn must be at most 1, not '1.1'"),
        ("{root: a, share: 0}", "data.share must be greater than 0"),
        ("[a, nowhere]", ":5: data: no such file or folder"),
    ],
)
def test_what_is_wrong_with_one_of_several_sets_is_named(write, tmp_path, monkeypatch, data, expected):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "cells"):
        (tmp_path / name).mkdir()
    assert expected in error_of(write(MODEL + f"data: {data}"))


@pytest.mark.parametrize("text", ['data: {root: "a\\0b"}', 'train: {init: "a\\0b"}'])
def test_impossible_paths_are_a_sentence(write, text):
    error_of(write(MODEL + text))


@pytest.mark.parametrize("key", ["base", "recipe", "data"])
@pytest.mark.parametrize("path", ["a\\0/b.yaml", "\\ud800/b.yaml"])
def test_impossible_names_of_files_are_a_sentence(write, key, path):
    assert f"{key}: no such file" in error_of(write(f'{key}: "{path}"\n' + MODEL))


@pytest.mark.parametrize("text", ["train: {init: loop}", "data: {root: loop}"])
def test_a_link_to_itself_is_like_any_other_path_at_first(write, tmp_path, text):
    (tmp_path / "loop").symlink_to("loop")
    settings = config.load(write(MODEL + text), needs_data=False)
    assert str(tmp_path / "loop") in (settings.train.init, settings.data and settings.data.root)


def test_names_that_are_long_are_refused(write):
    assert "the name 'aaaa" in error_of(write("a" * 301 + ": 1\n" + MODEL))
    deep = "data: {splits: {" + "b." * 140 + ": {images: i, annotations: a}}}"
    assert "is too long" in error_of(write(MODEL + deep))


@pytest.mark.parametrize("text", ["input: {size: 0x%s}" % ("f" * 5000), "train: {lr: !!binary aaa}"])
def test_strange_values_are_a_sentence(write, text):
    error_of(write(MODEL + text))


# ---- what comes out ------------------------------------------------------------------------------------------------


def test_dumped_settings_load_as_the_same(write, tmp_path):
    text = "data: {root: x, splits: {val: {images: a, annotations: 'b: #.json'}}}\ninput: {train_sizes: [64, 96]}\n"
    text += "train: {epochs: 1e-7, lr: 1e22, milestones: [0.25, 3], init: 'yes'}\n"
    settings = config.load(write(MODEL + text))
    assert config.load(write(config.dump(settings), "elsewhere/dumped.yaml")) == settings
    assert config.from_dict(config.to_dict(settings)) == settings
    assert config.from_dict(yaml.safe_load(config.dump(settings))) == settings


@pytest.mark.parametrize("name", ["*.norm", "[a-c]*", "!x", "a: b", "&x", "1", "yes", "größe"])
def test_dumped_names_of_parts_load_as_the_same(write, name):
    settings = config.load(write(MODEL + f'train: {{lr_scale: {{"{name}": 0.5}}}}'))
    assert settings.train.lr_scale == {name: 0.5}
    assert config.load(write(config.dump(settings), "dumped.yaml")) == settings


def test_dump_says_where_each_value_was_written(write):
    parent = write(MODEL + "train: {lr: 0.5}", "parent.yaml")
    path = write("base: parent.yaml\ntrain: {batch: 4}")
    settings = config.load(path, ["input.size=64"])
    text = config.dump(settings, show_origins=True)
    assert config.load(write(text, "dumped.yaml")) == settings
    lines = {line.strip().split(":")[0]: line for line in text.splitlines()}
    assert lines["lr"].endswith(f"# {parent}:5")
    assert lines["batch"].endswith(f"# {path}:2")
    assert lines["steps"].endswith("# default")


def test_dump_shows_where_a_value_of_a_short_section_was_written(write):
    text = config.dump(config.load(write(MODEL), ["input.size=64"], override_name="--set"), show_origins=True)
    assert "--set input.size" in text


def test_dump_of_long_words_loads(write):
    path = write(MODEL + f"data: {{root: '{'word ' * 40}x'}}")
    settings = config.load(path)
    assert config.load(write(config.dump(settings, show_origins=True), "dumped.yaml")) == settings


def test_loading_twice_shares_nothing(write):
    text = "data: {root: x, splits: {val: {images: a, annotations: b}}}\ninput: {train_sizes: [64, 96]}"
    path = write(MODEL.replace("sam: true", "widths: [8, 16, 32]") + text)
    untouched = config.to_dict(config.load(path))
    first = config.load(path)
    first.train.milestones.append(7)
    first.input.train_sizes.append(7)
    first.data.splits.clear()
    first.model.neck["widths"].append(7)
    first.model.head["anchors"] = 7
    first.predict.min_score = 1
    assert config.to_dict(config.load(path)) == untouched


def test_settings_do_not_share_lists_with_the_mapping_they_came_from(write):
    values = config.to_dict(config.load(write(MODEL + "train: {milestones: [1, 2]}")))
    before = copy.deepcopy(values)
    settings = config.from_dict(values)
    settings.train.milestones.append(3)
    settings.model.neck["name"] = "changed"
    assert values == before


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configs_load_and_build(path, request):
    text = path.read_text()
    if "../../shared/" in text:
        request.getfixturevalue("shared")
    if path.parent.name == "recipes":
        settings = config.load(CONFIGS / "csppelee_prn.yaml", [f"recipe={path}"], needs_data=False)
        assert {"steps", "epochs"} <= yaml.safe_load(text)["train"].keys()  # one of them null, whatever it lies over
        assert (settings.train.steps is None) != (settings.train.epochs is None)
        return
    if not {"model", "base"} & yaml.safe_load(text).keys():
        assert config.read_data(path).root  # a data file
        return
    fetched = path.parent.name == "imagenet" or path.stem == "bccd"  # by the user, into data/
    settings = config.load(path, needs_data=not fetched, settings_type=None)
    with torch.device("meta"):
        model = config.build_model(settings, 80)
    assert settings.input.size % model.stride == 0
    assert settings.train.epochs or settings.train.steps


def test_every_imagenet_config_keeps_to_the_recipe():
    """What differs: the net, 224 or 256 px, and the 800,000 steps of nets that are not dense."""
    paths = sorted((CONFIGS / "imagenet").glob("*.yaml"))
    recipe = config.to_dict(config.load(CONFIGS / "imagenet" / "csppeleenet.yaml", (), False, ClassifierSettings))
    assert len(paths) == 54
    lengths = set()
    for path in paths:
        values = yaml.safe_load(path.read_text())
        if values.get("base") != "csppeleenet.yaml":
            assert path.name in ("csppeleenet.yaml", "pplcnet_100.yaml") or values["base"] == "pplcnet_100.yaml"
            continue
        assert values.keys() <= {"base", "model", "input", "train"}
        lengths.add((values.get("input", {}).get("size", 224), values.get("train", {}).get("steps", 1_600_000)))
        header = path.read_text().split("base:")[0]
        assert "Not trained on ImageNet by us" in header and "BFLOPs" in header and "Published" in header
    assert lengths == {(224, 1_600_000), (256, 800_000)}
    train = recipe["train"]
    assert (train["batch"], train["lr"], train["schedule"], train["power"]) == (128, 0.1, "poly", 4.0)
    assert (train["burn_in"], train["momentum"], train["weight_decay"], train["ema"]) == (1000, 0.9, 0.0005, 0)
    assert recipe["augment"]["short_side"] == [128, 448] and recipe["augment"]["angle"] == 7


# ---- recipes --------------------------------------------------------------------------------------------------------


def test_a_recipe_lies_over_the_parent_and_under_the_file(write):
    write(MODEL + "recipe: long.yaml\ntrain: {lr: 0.5}\naugment: {flip: 0}", "parent.yaml")
    write("train: {epochs: 90, lr: 0.3, batch: 2}", "long.yaml")
    recipe = write("train: {batch: 4,\n  momentum: 0.8, nesterov: true}\nloss: {box: ciou}", "recipes/short.yaml")
    child = write("base: parent.yaml\nrecipe: recipes/short.yaml\ntrain: {nesterov: false}")
    settings = config.load(child)
    assert (settings.train.epochs, settings.train.lr, settings.augment.flip) == (90, 0.5, 0)
    assert (settings.train.batch, settings.train.momentum, settings.loss.box) == (4, 0.8, "ciou")
    assert settings.train.nesterov is False
    assert settings.origins["train.momentum"].text == f"{recipe}:2"
    assert "recipe" not in config.to_dict(settings)


def test_another_recipe_by_override_holds_over_the_file_and_under_other_overrides(write):
    path = write(MODEL + "train: {epochs: 9, batch: 8, lr: 0.5}")
    recipe = write("train: {batch: 4, lr: 0.3, epochs: 2}", "short.yaml")
    settings = config.load(path, ["train.lr=0.1", f"recipe={recipe}"])
    assert (settings.train.epochs, settings.train.batch, settings.train.lr) == (2, 4, 0.1)
    assert config.from_dict(config.to_dict(settings), None, "x", [f"recipe={recipe}"]).train.lr == 0.3


def test_a_recipe_is_of_training_only(write, tmp_path):
    recipe = write("# short\ninput: {size: 64}", "short.yaml")
    path = write(MODEL + "recipe: short.yaml")
    assert error_of(path) == f"{recipe}:2: input: a recipe holds augment, loss, train, predict only"
    path = write(MODEL + "recipe: sort.yaml")
    line = len(MODEL.splitlines()) + 1
    expected = f"{path}:{line}: recipe: no such file {tmp_path / 'sort.yaml'}; did you mean 'short.yaml'?"
    assert error_of(path) == expected


# ---- detectors and classifiers --------------------------------------------------------------------------------------

CLASSIFIER = "model: {backbone: {name: CSPPeleeNet, partial_ratio: 0.5}}\ninput: {size: 64}\n"


def test_what_is_cut_from_a_scaled_image_must_fit_in_it(write):
    path = write(CLASSIFIER)
    assert config.load(path, ["input.resize=64"], settings_type=None).input.resize == 64
    with pytest.raises(UserError, match=r"input\.resize 63 must be at least input\.size, 64, which is cut from it"):
        config.load(path, ["input.resize=63"], settings_type=None)


def test_a_classifier_has_settings_of_its_own(write):
    path = write(CLASSIFIER + "train: {steps: 9, schedule: poly, power: 2}\naugment: {short_side: [64, 80]}")
    settings = config.load(path, ["augment.angle=0"], settings_type=ClassifierSettings)
    assert (settings.train.schedule, settings.train.power) == ("poly", 2.0)
    assert (settings.augment.short_side, settings.augment.angle) == ([64, 80], 0.0)
    assert config.load(path, ["augment.angle=0"], settings_type=None) == settings
    assert config.from_dict(config.to_dict(settings), settings_type=ClassifierSettings) == settings
    assert config.load(write(config.dump(settings), "dumped.yaml"), settings_type=ClassifierSettings) == settings
    assert isinstance(config.load(write(MODEL), settings_type=None), Settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss: {box: mse}", "3: unknown key 'loss'"),
        ("augment: {jitter: 0.1}", "3: unknown key 'augment.jitter'"),
        ("augment:\n  short_side: [64]", "4: augment.short_side must be [least, most] in px, not [64]"),
        ("augment: {short_side: [80, 64]}", "3: augment.short_side must be [least, most] in px, not [80, 64]"),
        ("augment: {aspect: 0.75}", "3: augment.aspect must be at least 1, not '0.75'"),
        ("train: {schedule: polly}", "3: train.schedule is 'polly'; did you mean 'poly'?"),
        ("train: {power: 0}", "3: train.power must be greater than 0, not '0.0'"),
        ("data: {root: ., splits: {}}", "3: unknown key 'data.splits'; known: root"),
    ],
)
def test_mistakes_in_a_classifiers_file_are_named_with_their_line(write, text, expected):
    path = write(CLASSIFIER + text)
    with pytest.raises(UserError) as caught:
        config.load(path, settings_type=ClassifierSettings)
    assert str(caught.value).startswith(f"{path}:{expected}")


def test_a_classifiers_backbone_and_size_are_checked(write):
    for text, expected in (
        (CLASSIFIER.replace("64", "65"), "2: input.size 65 px is no multiple of the model's stride 32"),
        (CLASSIFIER.replace("partial_ratio", "partial_ration"), "1: CSPPeleeNet has no option 'partial_ration'"),
        (CLASSIFIER.replace("0.5", "5"), "1: backbone CSPPeleeNet: partial_ratio is 5.0"),
    ):
        path = write(text)
        with pytest.raises(UserError) as caught:
            config.check_model(config.load(path, settings_type=ClassifierSettings))
        assert str(caught.value).startswith(f"{path}:{expected}")


def test_one_kind_is_not_taken_for_the_other(write):
    classifier, detector = write(CLASSIFIER, "classifier.yaml"), write(MODEL)
    assert error_of(classifier) == f"{classifier}: is a classifier, no detector; use tools/classify.py"
    with pytest.raises(UserError, match="'model' is missing"):
        config.load(write("train: {lr: 1}", "empty.yaml"), settings_type=ClassifierSettings)
    with pytest.raises(UserError, match=r"run\.yaml: is a detector, no classifier; use tools/train\.py"):
        config.load(detector, settings_type=ClassifierSettings)


# ---- whatever is written --------------------------------------------------------------------------------------------

LETTERS = list("{}[]:,-#'\"|>&*!%@\n\té\x07")
WORDS = LETTERS + ["0", "-1", "1e9", ".nan", "null", "true", "~", "name", "base", "data", "model", "train"]


def mutated(text, rng):
    """`text` with one to four random changes: letters and lines removed, doubled, moved or replaced."""
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text))
        stop = min(start + rng.choice((1, 1, 3, 10)), len(text))
        lines = text.splitlines(keepends=True)
        text = rng.choice(
            (
                text[:start] + text[stop:],
                text[:start] + text[start:stop] * 2 + text[stop:],
                text[:start] + rng.choice(WORDS) + text[start:],
                text[:start] + rng.choice(WORDS) + text[stop:],
                "".join(rng.sample(lines, len(lines))),
                "".join(lines + [rng.choice(lines)]),
            )
        )
        text = text or "x"
    return text


@pytest.mark.parametrize("settings_type", [Settings, ClassifierSettings, None])
def test_random_changes_of_a_configuration_give_settings_or_a_sentence(write, tmp_path, settings_type):
    (tmp_path / "set").mkdir()
    parent = CLASSIFIER if settings_type is ClassifierSettings else MODEL
    write(parent + "train: {lr: 0.5, milestones: [1, 2]}\n", "parent.yaml")
    text = "base: parent.yaml\ndata: set\ninput: {size: 64, train_sizes: [64, 96]}\ntrain:\n  epochs: 3\n  batch: 4\n"
    if settings_type is ClassifierSettings:
        text += "augment: {short_side: [64, 80]}\nmodel:\n  backbone: {activation: swish}\n"
    else:
        text += "model:\n  neck: {widths: [8, 16, 32]}\n  head: {anchors: [[1, 2], [3, 4], [5, 6]]}\n"
    rng, outcomes = random.Random(0), []
    for _ in range(250):
        path = write(mutated(text, rng))
        try:
            outcomes.append(
                type(config.load(path, rng.choice(((), ("train.steps=9",))), settings_type=settings_type)).__name__
            )
        except UserError as error:
            assert str(error)
            outcomes.append("UserError")
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} for:\n{path.read_text()!r}") from error
    expected = "ClassifierSettings" if settings_type is ClassifierSettings else "Settings"
    assert {expected, "UserError"} <= set(outcomes) <= {expected, "UserError", "ClassifierSettings"}


def test_a_burn_in_as_long_as_the_training_is_refused(write):
    assert "must be shorter than the training of 30 epochs" in error_of(
        write(MODEL + "train: {epochs: 30, burn_in: 1000}")
    )


def test_a_child_file_drops_the_part_of_another_name_only(write, tmp_path):
    (tmp_path / "base.yaml").write_text(MODEL + "train: {epochs: 3}\n")
    child = tmp_path / "child.yaml"
    child.write_text("base: base.yaml\ntrain: {lr: 0.5}\n")
    train = config.load(child).train
    assert (train.epochs, train.lr) == (3.0, 0.5)
