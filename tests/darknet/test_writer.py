"""Our models as Darknet files: written, read back equal, run by OpenCV."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detect import config, darknet
from detect.config.schema import ClassifierSettings
from detect.darknet.cfg import read
from detect.darknet.translate import translate
from detect.errors import UserError
from detect.exporters.darknet import write_darknet
from detect.exporters.formats import Request
from detect.weights.files import Weights
from detect.weights.zoo import RELEASED
from tests.models.seeded import randomise_norms

CONFIGS = Path(__file__).parents[2] / "configs"
READ_BY_OPENCV = (  # it reads neither Maxout nor average pooling with a window, nor a shortcut across a stride
    "csppelee_prn", "csppelee_prn3l", "csppelee_prn_swish", "csppelee_ref_prn3l", "cspdense_ref_prn", "yolov3_tiny",
    "yolov3_tiny_prn", "yolov4_tiny",
)  # fmt: skip
OTHERS = (
    "peleenet_prn",
    "csppelee_efm", "csppelee_efm_spp", "cspdense_ref_efm", "vovnet27slim_efm", "imagenet/resnet10",
    "imagenet/speleenet", "imagenet/secsppeleenet_swish", "imagenet/darknet_ref", "imagenet/cspresnet10",
)  # fmt: skip


def loaded(name, num_classes=3, size=64):
    """A `Weights` of a shipped configuration with random numbers."""
    torch.manual_seed(0)
    settings = config.load(CONFIGS / f"{name}.yaml", needs_data=False, settings_type=None)
    settings.input.size = size
    network = config.build_model(settings, num_classes).eval()
    randomise_norms(network)
    return Weights.of(network, settings, [{"id": i, "name": f"thing {i}"} for i in range(num_classes)], Path(name))


def by_size(maps):
    return sorted(maps, key=lambda x: x.shape[-1])


@pytest.mark.parametrize("name", [*READ_BY_OPENCV, *OTHERS])
def test_a_written_model_is_read_back_equal(name, tmp_path):
    model = loaded(name)
    path, cfg, names = write_darknet(tmp_path / "net.weights", model, Request())
    assert (cfg, names) == (tmp_path / "net.cfg", tmp_path / "net.names")
    network = darknet.load(cfg, path)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        ours, theirs = model.network(images), network(images)
    if isinstance(model.settings, ClassifierSettings):
        assert_close(theirs.flatten(1), ours.softmax(1), rtol=1e-4, atol=1e-5)
        return
    for x, y in zip(by_size(ours), by_size(theirs), strict=True):
        assert_close(y, x, rtol=1e-4, atol=1e-4)
    assert darknet.read_names(names, 3) == ["thing 0", "thing 1", "thing 2"]


@pytest.mark.parametrize("name", READ_BY_OPENCV)
def test_opencv_gets_the_same_boxes_from_a_written_model(name, tmp_path):
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        pytest.skip("this OpenCV has no Darknet reader")
    path, cfg, _ = write_darknet(tmp_path / "net.weights", loaded(name), Request())
    images = torch.rand(1, 3, 64, 64)
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(path))
    net.setInput(images.numpy())
    theirs = sorted(net.forward(net.getUnconnectedOutLayersNames()), key=len)
    ours = sorted(darknet.load(cfg, path).region_outputs(images), key=len)
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x, y.reshape(x.shape), rtol=0, atol=1e-4)


@pytest.mark.parametrize("released", RELEASED, ids=lambda released: released.name)
def test_a_released_model_finds_the_same_objects_as_its_darknet_files(released, tmp_path):
    from detect.api.load import NMS_ARGUMENTS, predictor_of
    from detect.weights.files import read

    model = read(released.path)
    path, cfg, names = write_darknet(tmp_path / "net.weights", model, Request())
    image = np.random.default_rng(0).integers(0, 255, (200, 320, 3), np.uint8)
    options = {"min_score": 1e-5, "max_detections": 50, "device": "cpu"}  # there is nothing in the image
    options |= {name: getattr(model.settings.predict, name) for name in NMS_ARGUMENTS}
    (ours,) = predictor_of(model, **options).detect_batch([image])
    other = read(path, cfg=cfg, names=names)
    assert other.names == model.names
    (theirs,) = predictor_of(other, **options).detect_batch([image])
    assert len(ours.boxes) > 5
    assert_close(torch.as_tensor(theirs.scores), torch.as_tensor(ours.scores), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("csppelee_gfm", "the operation expand"),
        ("csppelee_cem", "the operation add"),
        ("lcnet_efm", "the activation Hardswish"),
        ("imagenet/densenet201_elastic", "the operation batch_norm"),
    ],
)
def test_parts_that_darknet_lacks_are_named(name, what, tmp_path):
    with pytest.raises(UserError, match=f"Darknet has no layer for {what}; write the model in another format"):
        write_darknet(tmp_path / "net.weights", loaded(name), Request())
    assert not list(tmp_path.iterdir())


def test_translation_leaves_the_model_as_it_was():
    model = loaded("csppelee_prn").network
    before = {name: value.clone() for name, value in model.state_dict().items()}
    translate(model, 64)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert_close(model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["net.cfg", "net.names"])
def test_another_cfg_or_names_beside_is_not_replaced(tmp_path, name):
    model = loaded("csppelee_prn")
    write_darknet(tmp_path / "net.weights", model, Request())
    write_darknet(tmp_path / "net.weights", model, Request())  # the same once more
    (tmp_path / name).write_text("mine")
    (tmp_path / "net.weights").write_bytes(b"mine")
    with pytest.raises(UserError, match=f"{name}: is there already and holds something else"):
        write_darknet(tmp_path / "net.weights", model, Request())
    assert (tmp_path / "net.weights").read_bytes() == b"mine"


def test_written_options_of_net_say_how_the_model_was_trained(tmp_path):
    _, cfg, _ = write_darknet(tmp_path / "net.weights", loaded("csppelee_prn"), Request())
    net = read(cfg).net
    assert (net["batch"], net["subdivisions"], net["max_batches"], net["burn_in"]) == (64, 4, 500500, 1000)
    assert (net["learning_rate"], net["momentum"], net["decay"], net["policy"]) == (0.001, 0.9, 0.0005, "steps")
    assert (net["steps"], net["scales"], net["letter_box"]) == ((400000, 450000), (0.1, 0.1), 1)


def test_a_written_model_is_trained_on_with_the_settings_it_had(tmp_path):
    model = loaded("bccd")
    _, cfg, _ = write_darknet(tmp_path / "net.weights", model, Request())
    again = config.load(cfg, needs_data=False)
    assert again.loss == model.settings.loss
    assert (again.predict.nms, again.predict.nms_beta) == (model.settings.predict.nms, model.settings.predict.nms_beta)
    assert (again.augment.jitter, again.augment.hue) == (model.settings.augment.jitter, model.settings.augment.hue)
    assert (again.train.batch, again.train.lr, again.train.momentum) == (4, 0.01, 0.9)
