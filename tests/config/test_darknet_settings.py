"""A .cfg as a configuration: [net] and the last [yolo] say how to train."""

import pytest

from detect import config
from detect.config.darknet import FOLLOWED, WITHOUT_EFFECT, net_options, values_of, yolo_options
from detect.config.schema import ClassifierSettings, DarknetSettings
from detect.darknet.cfg import read
from detect.darknet.network import DarknetNetwork
from detect.darknet.options import LAYERS, options_of
from detect.engine.freeze import freeze
from detect.errors import UserError
from tests.small_nets import conv, net, section, yolo

TRAINING = section(
    "net", width=64, height=64, channels=3, batch=32, subdivisions=4, momentum=0.949, decay=0.0001, learning_rate=0.002,
    burn_in=100, max_batches=5000, policy="steps", steps="4000,4500", scales=".1,.1", hue=0.05, saturation=0.75,
    exposure=2, mosaic=1, flip=0,
)  # fmt: skip
HEAD = conv(32, 3, stride=8) + conv(32, 1, "linear", 0) + yolo(
    iou_loss="ciou", iou_normalizer=0.07, cls_normalizer=0.5, ignore_thresh=0.6, iou_thresh=0.213, jitter=0.25,
    resize=1.5, random=1, nms_kind="diounms", beta_nms=0.8,
)  # fmt: skip


@pytest.fixture
def cfg(tmp_path):
    def write(text):
        path = tmp_path / "net.cfg"
        path.write_text(text)
        return path

    return write


def test_training_settings_are_the_cfgs(cfg):
    settings = config.load(cfg(TRAINING + HEAD), needs_data=False)
    train, augment, loss, predict = settings.train, settings.augment, settings.loss, settings.predict
    assert type(settings) is DarknetSettings
    assert (train.batch, train.accumulate, train.lr, train.momentum, train.weight_decay) == (
        32,
        4,
        0.002,
        0.949,
        0.0001,
    )
    assert (train.steps, train.burn_in, train.schedule, train.milestones) == (5000, 100, "step", [4000, 4500])
    assert (augment.hue, augment.saturation, augment.exposure) == (0.05, 1 / 0.75, 2.0)
    assert (augment.mosaic, augment.flip, augment.jitter, augment.zoom) == (0.5, 0.0, 0.25, 1.5)
    assert (loss.box, loss.box_weight, loss.cls_weight, loss.ignore_iou, loss.assign) == (
        "ciou",
        0.07,
        0.5,
        0.6,
        {"name": "best_anchor", "iou_thresh": 0.213},
    )
    assert (predict.nms, predict.nms_threshold, predict.nms_beta) == ("diou_beta", 0.45, 0.8)
    assert (settings.input.size, settings.input.train_sizes) == (64, [64, 128])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("policy=constant", ("step", [])), ("policy=poly\npower=2", ("poly", [])), ("policy=sgdr", ("cosine", []))],
)
def test_policies_have_their_schedules(cfg, policy, expected):
    settings = config.load(cfg(net(64, 64) + policy + "\n" + HEAD), needs_data=False)
    assert (settings.train.schedule, settings.train.milestones) == expected


def test_printed_configuration_names_the_lines_of_the_cfg(cfg):
    path = cfg(TRAINING + HEAD)
    shown = config.dump(config.load(path, needs_data=False), show_origins=True).splitlines()
    lines = path.read_text().splitlines()
    assert f"  momentum: 0.949  # {path}:{lines.index('momentum=0.949') + 1}" in shown
    assert f"  box_weight: 0.07  # {path}:{lines.index('iou_normalizer=0.07') + 1}" in shown
    assert f"  obj_weight: 1.0  # {path}, Darknet's default" in shown


def test_settings_go_through_a_checkpoint_and_build_the_same_network(cfg):
    settings = config.load(cfg(TRAINING + HEAD), needs_data=False)
    again = config.from_dict(config.to_dict(settings))
    assert again == settings
    network = config.build_model(again, None)
    assert (network.num_classes, network.stride, network.head.strides) == (3, 8, (8,))


def test_overrides_apply_to_a_cfg(cfg):
    settings = config.load(cfg(TRAINING + HEAD), ["train.lr=0.5", "input.size=96"], needs_data=False)
    assert (settings.train.lr, settings.input.size) == (0.5, 96)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (net(64, 64) + conv(8), "has no \\[yolo\\] or \\[region\\] layer, so it is no detector"),
        (net(64, 64) + "policy=random\n" + HEAD, ":5: \\[net\\] policy=random is not supported; use steps"),
        (net(64, 64) + "policy=steps\nsteps=5\nscales=.5\n" + HEAD, ":7: \\[net\\] scales=0.5: only steps by 0.1"),
        (net(64, 64) + "policy=steps\nsteps=5,6\nscales=.1\n" + HEAD, ":6: .*needs as many scales as steps"),
        (net(64, 64) + "policy=sgdr\nlearning_rate=0\n" + HEAD, ":6: \\[net\\] learning_rate must be greater than 0"),
        (net(64, 64) + "adam=1\n" + HEAD, ":5: \\[net\\] adam=1 is not supported in training; remove it$"),
        (net(64, 64) + "power=1\nburn_in=5\nmax_batches=9\n" + HEAD, ":5: .* the burn-in rises with the fourth power"),
        (net(64, 64) + "policy=sgdr\nmax_batches=9\nsgdr_cycle=3\n" + HEAD, ":7: .*sgdr_cycle: only one cycle"),
        (
            net(64, 64) + HEAD + section("route", layers=-2) + HEAD.replace("0.213", "0.3"),
            ":\\d+: \\[yolo\\] iou_thresh differs from that of the \\[yolo\\] in line \\d+; training needs the same",
        ),
        (net(64, 64) + "max_batches=5\nburn_in=9\n" + HEAD, ":6: train.burn_in 9 must be shorter"),
        (net(64, 64, channels=1) + HEAD, "channels=1: images have 3 here"),
        (net(64, 64) + "momentun=1\n" + HEAD, ":5: .*momentun"),
        (net(65, 64) + HEAD, "65"),
        (net(64, 64) + HEAD.replace("resize=1.5", "resize=0.5"), "resize=0.5: only 1 or more is supported in training"),
    ],
)
def test_what_has_no_counterpart_is_one_sentence(cfg, text, message):
    with pytest.raises(UserError, match=message):
        config.check_model(config.load(cfg(text), needs_data=False))


def test_layers_that_darknet_does_not_train_are_frozen(cfg):
    layers = conv(8, 3) + conv(8, 3, stopbackward=1) + conv(8, 3)
    path = cfg(TRAINING + layers + HEAD)
    settings = config.load(path, needs_data=False)
    assert settings.train.freeze == ["layers.0", "layers.1"]
    line = path.read_text().splitlines().index("stopbackward=1") + 1
    shown = config.dump(settings, show_origins=True).splitlines()
    assert f"  freeze: [layers.0, layers.1]  # {path}:{line}" in shown
    freeze(config.build_model(settings, None), settings.train.freeze)


# what stock cfgs of Darknet hold, and what nobody here reads
UNSUPPORTED = {
    "net": ("mixup=2", "cutmix=1", "label_smooth_eps=0.1", "angle=7", "gaussian_noise=3", "weights_reject_freq=1"),
    "convolutional": (
        "stopbackward=800", "dont_update=1", "burnin_update=2", "train_only_bn=1", "onlyforward=1", "learning_rate=0.1",
        "clip=1", "assisted_excitation=4000", "grad_centr=1", "cbn=1",
    ),
    "yolo": (
        "max_delta=5", "iou_thresh_kind=giou", "objectness_smooth=1", "focal_loss=1",
        "delta_normalizer=0.5", "counters_per_class=1,2,3", "label_smooth_eps=0.1", "truth_thresh=0.9",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("section_type", "line"), [(kind, line) for kind in UNSUPPORTED for line in UNSUPPORTED[kind]])
def test_what_training_does_not_follow_is_refused_there_and_only_there(cfg, section_type, line):
    head = f"[{section_type}]\n"
    path = cfg((TRAINING + HEAD).replace(head, f"{head}{line}\n", 1))
    number = path.read_text().splitlines().index(line) + 1
    option = line.partition("=")[0]
    expected = rf"{path}:{number}: \[{section_type}\] {option}=.* is not supported in training; remove it"
    with pytest.raises(UserError, match=expected):
        config.load(path, needs_data=False)
    assert config.load(path, needs_data=False, training=False).input.size == 64
    assert DarknetNetwork(read(path)).num_classes == 3


@pytest.mark.parametrize(
    ("section_type", "lines"),
    [
        ("net", "cudnn_half=1\nadam=0\nangle=0\nmax_crop=400\nworkspace_size_limit_MB=8000\nlabel_smooth_eps=0"),
        ("convolutional", "stopbackward=0\nlearning_rate=1\nstream=2\nbatch_normalize=1"),
        ("yolo", "max=90\ntruth_thresh=1\niou_thresh_kind=iou\nshow_details=0\ntrack_history_size=9"),
    ],
)
def test_what_changes_nothing_that_is_learned_is_no_obstacle(cfg, section_type, lines):
    plain = config.load(cfg(TRAINING + HEAD), needs_data=False)
    head = f"[{section_type}]\n"
    settings = config.load(cfg((TRAINING + HEAD).replace(head, f"{head}{lines}\n", 1)), needs_data=False)
    assert (settings.train, settings.augment, settings.loss) == (plain.train, plain.augment, plain.loss)


# as the heads of yolov4-csp-swish.cfg and its kin
CSP_HEAD = conv(8, 3, "swish", stride=8, stopbackward=900) + conv(32, 1, "logistic", 0) + yolo(
    jitter=0.1, scale_x_y=2.0, objectness_smooth=1, ignore_thresh=0.7, truth_thresh=1, resize=1.5, iou_normalizer=0.05,
    cls_normalizer=0.5, obj_normalizer=0.4, iou_loss="ciou", nms_kind="diounms", beta_nms=0.6, new_coords=1,
    max_delta=2,
)  # fmt: skip


def test_the_stock_cfgs_of_yolov4_csp_run_and_say_all_that_training_them_would_miss(cfg):
    path = cfg(TRAINING + CSP_HEAD)
    assert DarknetNetwork(read(path)).num_classes == 3
    missed = r"stopbackward=900 is not .*, also in lines \d+ \(objectness_smooth\), \d+ \(max_delta\)$"
    with pytest.raises(UserError, match=missed):
        config.load(path, needs_data=False)
    trainable = path.read_text().replace("stopbackward=900", "stopbackward=1")
    settings = config.load(cfg(trainable.replace("objectness_smooth=1\n", "").replace("max_delta=2\n", "")), (), False)
    assert (settings.augment.zoom, settings.loss.obj_weight, settings.train.freeze) == (1.5, 0.4, ["layers.0"])


def test_a_list_of_augmentations_is_written_as_far_as_darknet_has_it():
    model = {"backbone": {"name": "CSPPeleeNet"}, "neck": {"name": "EFM"}, "head": {"name": "YOLOv3"}}
    augment = [{"name": "Mosaic"}, {"name": "Jitter", "share": 0.2, "zoom": 1.5}, {"name": "HSV", "hue": 0.05}]
    settings = config.from_dict({"model": model, "augment": augment})
    of_net, of_yolo = net_options(settings), yolo_options(settings)
    assert (of_net["hue"], of_net["saturation"], of_net["exposure"]) == ("0.05", "1.5", "1.5")
    assert (of_yolo["jitter"], of_yolo["resize"]) == ("0.2", "1.5")
    without = config.from_dict({"model": model, "augment": [{"name": "A.GaussNoise"}]})
    of_net, of_yolo = net_options(without), yolo_options(without)
    assert (of_net["hue"], of_net["saturation"], of_net["exposure"], of_yolo["jitter"]) == ("0", "1", "1", "0")
    assert "resize" not in of_yolo


def test_the_lists_of_what_training_follows_name_options_for_training():
    for section_type, names in FOLLOWED.items():
        assert all(options_of(section_type)[name].training for name in names)
    everywhere = {name for kind in ("net", *LAYERS) for name, option in options_of(kind).items() if option.training}
    assert everywhere >= WITHOUT_EFFECT and not WITHOUT_EFFECT & set().union(*FOLLOWED.values())


def test_all_options_at_fault_are_named_at_once(cfg):
    path = cfg(TRAINING + HEAD.replace("[yolo]\n", "[yolo]\nmax_delta=5\ntruth_thresh=0.9\nfocal_loss=1\n"))
    at = path.read_text().splitlines().index("max_delta=5") + 1
    with pytest.raises(UserError) as caught:
        config.load(path, needs_data=False)
    also = f"also in lines {at + 1} (truth_thresh), {at + 2} (focal_loss)"
    assert str(caught.value) == f"{path}:{at}: [yolo] max_delta=5 is not supported in training; remove it, {also}"


def test_of_many_options_at_fault_ten_are_named(cfg):
    layers = "".join(conv(8, 3, clip=1) for _ in range(20))
    with pytest.raises(UserError, match=r"also in lines (\d+ \(clip\), ){9}\d+ \(clip\) and 9 more$"):
        config.load(cfg(TRAINING + layers + HEAD), needs_data=False)


def test_notes_on_the_cfg_come_with_the_settings(cfg):
    path = cfg((TRAINING + HEAD).replace("82\n", "82, 99,99\n"))
    (note,) = config.load(path, needs_data=False).notes
    assert note.endswith("num=4, so of 5 anchors the first 4 are taken")


def test_a_cfg_is_no_classifier(cfg):
    with pytest.raises(UserError, match="is a detector, no classifier"):
        config.load(cfg(TRAINING + HEAD), needs_data=False, settings_type=ClassifierSettings)


def test_running_asks_nothing_of_the_training(cfg):
    text = net(64, 64) + "learning_rate=0\npolicy=random\nadam=1\nhue=-3\n" + HEAD
    values, _ = values_of("net.cfg", read(cfg(text)), training=False)
    assert set(values) == {"model", "input", "predict"}


def test_lines_are_kept_whatever_they_hold(cfg):
    path = cfg("")
    path.write_bytes((TRAINING + "# gr\u00fc\u00df \u2028 \x07\r\n\tfoo".replace("\tfoo", "") + HEAD).encode("utf-8"))
    settings = config.load(path, needs_data=False)
    assert config.from_dict(config.to_dict(settings)) == settings
    assert config.build_model(settings, None).num_classes == 3
