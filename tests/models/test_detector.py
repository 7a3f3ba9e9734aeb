"""The whole detector: images in, raw maps out, whatever its options, memory format or export.

`test_outputs_equal_the_recorded_ones` compares with tests/golden/csppelee_efm.json. When a change of the model's output
is wanted, record it anew and commit the file with the reason::

    RECORD_GOLDEN=1 python -m pytest tests/models/test_detector.py
"""

import copy
import json

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from detect.errors import UserError
from detect.models.detector import build_detector
from tests.models.seeded import GOLDEN, check_golden, randomise_norms, statistics


def spec(backbone=None, neck=None, head=None):
    return {
        "backbone": {"name": "CSPPeleeNet", **(backbone or {})},
        "neck": {"name": "EFM", "sam": True, **(neck or {})},
        "head": {"name": "YOLOv3", **(head or {})},
    }


def seeded_detector(num_classes=4, **options):
    """A detector whose norms are as uneven as after training."""
    torch.manual_seed(0)
    model = build_detector(spec(**options), num_classes)
    randomise_norms(model)
    for conv in model.head.predictions:
        nn.init.normal_(conv.weight, std=0.1)  # the initial 0.01 would hide differences
    return model.eval()


def random_images(height=64, width=64, batch=1, seed=1):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 96), (32, 32)])
def test_raw_maps_and_boxes_have_the_shapes_of_the_figure(height, width):
    model, images = seeded_detector(), random_images(height, width, batch=2)
    with torch.no_grad():
        raw = model(images)
        boxes, scores = model.decode(raw)
    assert [tuple(level.shape) for level in raw] == [(2, 3 * (5 + 4), height // s, width // s) for s in (8, 16, 32)]
    predictions = 3 * sum((height // s) * (width // s) for s in (8, 16, 32))
    assert boxes.shape == (2, predictions, 4)
    assert scores.shape == (2, predictions, 4)
    assert (boxes[..., 2:] >= boxes[..., :2]).all()
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize(("height", "width"), [(64, 65), (33, 64), (48, 64), (31, 31)])
def test_sizes_off_the_stride_are_refused(height, width):
    with pytest.raises(ValueError, match=f"input is {width}x{height} px; both sides must be multiples of 32"):
        seeded_detector()(random_images(height, width))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"backbone": {"activation": "swish"}, "neck": {"activation": "swish"}},
        {"backbone": {"activation": "mish"}, "neck": {"activation": "mish"}},
        {"backbone": {"fusion": "first"}},
        {"backbone": {"fusion": "last"}},
        {"backbone": {"squeeze_excite": True}, "neck": {"sam": False}},
        {"backbone": {"partial_ratio": 0.25}},
    ],
)
def test_every_parameter_gets_a_finite_gradient(options):
    model = seeded_detector(**options).train()
    sum(level.square().mean() for level in model(random_images(batch=2))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or "squeeze" in name, name  # a ReLU may silence the few units of a squeeze


def test_training_mode_normalises_by_the_batch_and_eval_does_not():
    model, images = seeded_detector(), random_images(batch=2)
    first = model.backbone.stem.conv.norm
    with torch.no_grad():
        before = model(images)
        assert_close(model(images), before, rtol=0, atol=0)  # eval changes nothing
        mean = first.running_mean.clone()
        trained = model.train()(images)
    assert not torch.equal(first.running_mean, mean)
    assert (trained[0] - before[0]).abs().max() > 1e-2


def test_channels_last_gives_the_same_output():
    model, images = seeded_detector(), random_images(64, 96, batch=2)
    with torch.no_grad():
        expected = model(images)
        model = model.to(memory_format=torch.channels_last)
        assert_close(model(images.contiguous(memory_format=torch.channels_last)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backbone", [{}, {"activation": "mish", "squeeze_excite": True}])
def test_fused_equals_unfused(backbone):
    model, images = seeded_detector(backbone=backbone), random_images(64, 96, batch=2)
    with torch.no_grad():
        fused = copy.deepcopy(model).fuse()
        assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
        assert_close(fused(images), model(images), rtol=1e-4, atol=1e-4)


def test_torch_export_gives_the_same_output():
    model, images = seeded_detector(), random_images()
    program = torch.export.export(model, (images,))
    other = random_images(seed=2)
    with torch.no_grad():
        assert_close(program.module()(other), model(other), rtol=1e-4, atol=1e-4)


def test_same_seed_gives_the_same_detector():
    torch.testing.assert_close(seeded_detector().state_dict(), seeded_detector().state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"backbone": {"name": "CSPPelenet"}}, "unknown backbone 'CSPPelenet'; did you mean 'CSPPeleeNet'"),
        ({"neck": {"sma": True}}, "EFM has no option 'sma'; did you mean 'sam'"),
        ({"head": {"anchors": "coco"}}, "head YOLOv3: unknown anchors 'coco'"),
    ],
)
def test_mistakes_in_a_specification_are_named(parts, message):
    with pytest.raises(UserError, match=message):
        build_detector(spec(**parts), 4)


def test_outputs_equal_the_recorded_ones():
    model = seeded_detector()
    with torch.no_grad():
        pyramid = model.backbone(random_images())
        fused = model.neck(pyramid)
        raw = model.head(fused)
        boxes, scores = model.decode(raw)
    names = ("C2", "C3", "C4", "C5", "P3", "P4", "P5", "raw3", "raw4", "raw5", "boxes", "scores")
    maps = dict(zip(names, [*pyramid, *fused, *raw, boxes, scores], strict=True))
    check_golden("csppelee_efm", {name: statistics(x) for name, x in maps.items()})
    assert json.loads((GOLDEN / "csppelee_efm.json").read_text()).keys() == maps.keys()  # no stale numbers


def test_a_detector_can_be_traced():
    """While it is traced, the sides of the images are tensors instead of numbers."""
    images = torch.zeros(1, 3, 64, 64)
    parts = {"backbone": {"name": "CSPPeleeNet"}, "neck": {"name": "EFM"}, "head": {"name": "YOLOv3"}}
    network = build_detector(parts, num_classes=2).eval()
    traced = torch.jit.trace(network, images, strict=False)
    for ours, theirs in zip(network(images), traced(images), strict=True):
        assert_close(ours, theirs)
