"""A .cfg is read as Darknet reads it, and every mistake in it is named with file and line."""

import pytest

from detect.darknet.cfg import parse, read
from detect.darknet.network import DarknetNetwork, load
from detect.errors import UserError
from tests.small_nets import conv, net, section, yolo

CFGS = (
    "MobileNetV2-YOLOv3-Nano-voc", "csresnet50", "csresnext50-panet-spp", "csresnext50", "yolo-fastest-1.1",
    "yolov3-tiny-prn",
)  # fmt: skip


def test_comments_blanks_and_aliases():
    text = """
        # a comment
        [ network ]      ; another
        width = 64
        he ight=3 2      # blanks count nowhere, not even within a word
        channels=3
        [conv]
        filters = 1 6
        activation = leaky  # of ReLUs
        [max]
    """
    cfg = parse(text, "my.cfg")
    assert (cfg.net["width"], cfg.net["height"], cfg.net["channels"]) == (64, 32, 3)
    assert [(layer.type, layer.line) for layer in cfg.layers] == [("convolutional", 7), ("maxpool", 10)]
    assert cfg.layers[0]["filters"] == 16
    assert cfg.layers[0]["activation"] == "leaky"
    assert cfg.layers[0].lines == {"filters": 8, "activation": 9}
    assert cfg.notes == ()


def test_windows_line_ends_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.cfg"
    path.write_bytes(b"\xef\xbb\xbf" + (net() + conv(4)).replace("\n", "\r\n").encode() + b"# \xc4\xe3\r\n")
    assert read(path).layers[0]["filters"] == 4


def test_absent_options_have_darknets_defaults():
    layers = parse(net() + "[convolutional]\n[maxpool]\n[yolo]\n[shortcut]\n").layers
    convolution, _, detection, shortcut = layers
    assert (convolution["filters"], convolution["size"], convolution["pad"]) == (1, 1, 0)
    assert convolution["activation"] == "logistic"
    assert shortcut["activation"] == "linear"
    assert (detection["iou_normalizer"], detection["ignore_thresh"], detection["beta_nms"]) == (0.75, 0.5, 0.6)


def test_of_an_option_given_twice_the_first_counts():
    cfg = parse(net() + "[convolutional]\nfilters=4\nfilters=6\nsize=3\nsize=3\n", "my.cfg")
    assert cfg.layers[0]["filters"] == 4
    assert cfg.notes == ("my.cfg:7: filters is given twice in [convolutional]; Darknet takes the first",)


def test_options_for_training_are_no_news_to_who_runs_the_network():
    cfg = parse(net() + "momentum=0.9\nmosaic=4\n" + conv(4, stopbackward=800, train_only_bn=3) + conv(4), "my.cfg")
    assert cfg.notes == () and cfg.layers[0]["stopbackward"] == 800


@pytest.mark.parametrize("head", ["[yolo]\nclasses=3", "[region]\nsoftmax=1\nclasses=3"])
def test_of_more_anchors_than_num_the_first_ones_count(head):
    text = f"{head}\nanchors=10,14, 23,27, 37,58, 81\nnum=2\n"
    cfg = parse(net() + conv(16, 1) + text, "my.cfg")
    assert cfg.layers[-1]["anchors"] == (10, 14, 23, 27)
    line = 13 + head.count("softmax")
    assert cfg.notes == (f"my.cfg:{line}: num=2, so of 3 anchors the first 2 are taken",)
    assert DarknetNetwork(cfg).head.num_classes == 3


@pytest.mark.parametrize("name", CFGS)
def test_published_cfgs_are_read_without_remarks(shared, name):
    assert read(shared / "darknet" / f"{name}.cfg").notes == ()


MISTAKES = {
    "no section": ("width=3\n", "my.cfg:1: 'width=3' stands before the first section"),
    "empty": ("", "my.cfg:1: the first section must be [net]"),
    "no net": ("[convolutional]\n", "my.cfg:1: section '[convolutional]' is not supported here; known: net"),
    "no layer": (net(), "my.cfg:1: there is no layer after [net]"),
    "two nets": (net() + conv() + net(), "my.cfg:11: section '[net]' is not supported here"),
    "unknown section": (net() + "[convolutinal]\n", "my.cfg:5: section '[convolutinal]'"),
    "did you mean": (net() + "[convolutinal]\n", "did you mean 'convolutional'?"),
    "local": (net() + conv() + "[local]\n", "my.cfg:11: section '[local]' is not supported here"),
    "recurrent": (net() + conv() + "[conv_lstm]\n", "my.cfg:11: section '[conv_lstm]' is not supported here"),
    "detection": (net() + conv() + "[detection]\n", "my.cfg:11: section '[detection]' is not supported here"),
    "open bracket": (net() + "[conv\n", "my.cfg:5: section '[conv'"),
    "unknown option": (net() + conv(filtres=3), "my.cfg:11: [convolutional] has no option 'filtres'; did you mean"),
    "no value": (net() + "[conv]\nfilters=\n", "my.cfg:6: 'filters=' is no option"),
    "no name": (net() + "[conv]\n=3\n", "my.cfg:6: '=3' is no option"),
    "no equals": (net() + "[conv]\nfilters 3\n", "my.cfg:6: 'filters3' is no option"),
    "text for a number": (net() + conv(filters="many"), "my.cfg:7: [convolutional] filters=many must be"),
    "fraction": (net() + conv(filters=2.5), "filters=2.5 must be a whole number"),
    "number and text": (net() + conv(filters="3x"), "filters=3x must be a whole number"),
    "not a number": (net() + conv(4, 3) + yolo(scale_x_y="nan"), "my.cfg:16: [yolo] scale_x_y=nan must be a number"),
    "infinite": (net() + conv(4, 3) + yolo(scale_x_y="1e999"), "must be a number"),
    "other digits": (net() + conv(filters="٣"), "must be a whole number"),
    "negative": (net() + conv(filters=-3), "must be a whole number from 1"),
    "too many channels": (net() + conv(filters=2**31), "filters=2147483648 must be a whole number from 1 to 131072"),
    "too wide": (net(2**31) + conv(), "my.cfg:2: [net] width=2147483648 must be"),
    "endless number": (net() + conv(filters="9" * 5000), "filters=" + "9" * 37 + "... must be a whole number"),
    "unknown activation": (net() + conv(activation="leeky"), "activation=leeky must be one of linear, leaky"),
    "antialiasing": (net() + conv(antialiasing=1), "antialiasing=1 must be 0, the only value supported"),
    "binary": (net() + conv(xnor=1), "xnor=1 must be 0"),
    "tree": (net() + conv(8, 1) + section("softmax", tree="t.tree"), "tree=t.tree must be left out"),
    "swish where Darknet has none": (net() + conv() + section("sam", from_=0, activation="swish"), "must be one of"),
    "trailing comma": (net() + conv() + section("route", layers="-1,"), "layers=-1, must be whole numbers"),
    "no size": ("[net]\nchannels=3\n" + conv(), "my.cfg:1: [net] width is missing"),
    "from itself": (net() + conv() + section("route", layers=1), "layers=1 of layer 1 is no earlier layer (0 to 0)"),
    "from the future": (net() + conv() + section("route", layers=7), "my.cfg:12: [route] layers=7 of layer 1"),
    "from before": (net() + conv() + section("shortcut", from_=-2), "from=-2 of layer 1 is no earlier layer"),
    "from nowhere": (net() + conv() + section("sam"), "my.cfg:11: [sam] from is missing"),
    "no layers": (net() + conv() + section("route"), "[route] layers is missing"),
    "from a detection": (net() + conv(32, 1) + yolo() + section("route", layers=-1), "it hands on no map"),
    "after a detection": (net() + conv(32, 1) + yolo() + conv(), "put a [route] before it"),
    "different sizes": (
        net() + conv(stride=2) + conv(stride=2) + section("route", layers="-1,0"),
        "puts maps of different sizes together: 8 x 6 x 8, 8 x 12 x 16",
    ),
    "groups": (net() + conv(8, groups=3), "my.cfg:11: [convolutional] groups=3"),
    "group_id": (net() + conv() + section("route", layers=-1, groups=2, group_id=2), "group_id=2 of groups=2"),
    "nothing left": (net(4, 4) + conv(8, 7, pad=0), "nothing is left of its input, 3 x 4 x 4"),
    "shortcut": (net(30, 24) + conv() + conv(stride=4) + section("shortcut", from_=0), "cannot add a map of 8 x 24"),
    "sam": (net() + conv(8) + conv(4) + section("sam", from_=0), "different shapes: 4 x 24 x 32 and 8 x 24 x 32"),
    "scale_channels": (net() + conv() + conv() + section("scale_channels", from_=0), "not of 8 x 1 x 1"),
    "reorg": (net(31, 24) + conv(8) + section("reorg", stride=2), "stride=2 does not divide a map of 8 x 24 x 31"),
    "maxout": (net() + conv(8) + section("maxpool", maxpool_depth=1, out_channels=9), "out_channels=9 of 8 channels"),
    "empty windows": (net() + conv() + section("maxpool", size=2, padding=4), "padding=4 leaves windows of size 2"),
    "dilation": (net() + conv(8, 4, dilation=2), "dilation=2 needs pad=1 and an odd size"),
    "filters of yolo": (net() + conv(31, 1) + yolo(), "my.cfg:11: [yolo] needs 32 channels (4 anchors x (5"),
    "mask": (net() + conv(8, 1) + yolo("4"), "my.cfg:12: [yolo] mask=4 must number anchors 0 to 3"),
    "anchors": (net() + conv(8, 1) + section("yolo", num=2, anchors="1,2,3"), "anchors must be 4 positive numbers"),
    "negative anchors": (net() + conv(8, 1) + section("yolo", num=1, anchors="1,-2"), "anchors must be 2 positive"),
    "grid": (net(31, 24) + conv(32, stride=2) + yolo(), "has a grid of 16x12 for an input of 31x24 px"),
    "region": (net() + conv(8, 1) + section("region", classes=3, anchors="1,1"), "[region] needs softmax=1"),
    "classes": (
        net() + conv(8, 1) + yolo("0") + section("route", layers=0) + conv(9, 1) + yolo("0", classes=4),
        "has 4 classes, another 3",
    ),
    "new_coords": (net() + conv(32, 1, "linear") + yolo(new_coords=1), "a [convolutional] with activation=logistic"),
    "crop": (net() + section("crop", crop_height=25, crop_width=32), "my.cfg:5: [crop] cuts 25 x 32 of 24 x 32"),
    "gaussian": (net() + conv(32, 1) + section("Gaussian_yolo", classes=3, anchors="1,1"), "needs 12 channels (1 anch"),
    "two kinds": (
        net() + conv(32, 1) + yolo() + section("route", layers=0) + conv(12, 1)
        + section("Gaussian_yolo", classes=3, anchors="1,1"),
        "stands beside a [yolo]",
    ),
    "large map": (net(16384, 16384) + conv(), "makes a map of 8 x 16384 x 16384; more than"),
    "many weights": (net() + conv(131072, 1) + conv(131072, 1, stride=32), "weights; more than"),
    "much work": (net(2048, 2048) + conv(64, 301) + conv(64, 301), "multiplications; more than"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_with_file_and_line(mistake):
    text, sentence = MISTAKES[mistake]
    with pytest.raises(UserError) as error:
        DarknetNetwork(parse(text, "my.cfg"))
    message = str(error.value)
    assert sentence in message
    assert message.startswith("my.cfg:")
    assert "\n" not in message


def test_a_missing_or_large_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no\.cfg: no such file"):
        load(tmp_path / "no.cfg")
    (tmp_path / "large.cfg").write_bytes(b"#" * (5 << 20))
    with pytest.raises(UserError, match=r"large\.cfg: larger than 4 MiB"):
        load(tmp_path / "large.cfg")


def test_more_layers_than_any_network_has_are_refused():
    with pytest.raises(UserError, match="there are more than 1000 layers"):
        parse(net() + "[dropout]\n" * 1001)
