"""A PP-LCNet of PaddleDetection computes the same here, in both modes, and starts a detector."""

import itertools
import tracemalloc
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from detect.errors import UserError
from detect.models.detector import build_detector
from detect.models.registry import BACKBONES
from detect.weights.files import read, write_safetensors
from detect.weights.pplcnet import MEAN, MOST_BYTES, SCALES, SIZE, STD, convert, read_folded
from detect.weights.start import load_matching

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # of the depthwise convolutions
ENDS = (2, 4, 10, 12)  # the blocks that give C2..C5


def arrays_of(scale=0.25):
    """The arrays of a .npz with random numbers."""
    generator = np.random.default_rng(0)
    backbone = BACKBONES.build({"name": "PPLCNet", "scale": scale})
    convolutions = [module for module in backbone.modules() if isinstance(module, torch.nn.Conv2d)]
    arrays = {}
    for number, conv in enumerate(convolutions):
        shape = tuple(conv.weight.shape)
        size = 3 * (2 / np.prod(shape[1:])) ** 0.5
        arrays[f"conv2d_{number}_w_0.weight"] = generator.normal(0, size, shape).astype(np.float32)
        arrays[f"conv2d_{number}_w_0.bias"] = generator.normal(0, 1, shape[0]).astype(np.float32)
    return arrays


def folded_maps(arrays, images, border):
    """C2..C5 of `images` [B, 3, H, W] in 0..1, computed from the arrays alone; beyond the image lies `border` (RGB)."""

    def numbers(index):
        return (torch.as_tensor(arrays[f"conv2d_{index}_w_0.{kind}"]) for kind in ("weight", "bias"))

    def conv(x, index, stride=1, padded=True):
        weight, bias = numbers(index)
        padding = weight.shape[-1] // 2 if padded else 0
        y = F.conv2d(x, weight, bias, stride, padding, groups=x.shape[1] // weight.shape[1])
        return y * (y + 3).clamp(0, 6) / 6

    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    height, width = images.shape[-2:]
    framed = torch.tensor(border).view(1, 3, 1, 1).expand(len(images), 3, height + 2, width + 2).clone()
    framed[..., 1:-1, 1:-1] = images
    x, index, maps = conv((framed - mean) / std, 0, 2, padded=False), 1, []
    for block, stride in enumerate(STRIDES):
        x, index = conv(x, index, stride), index + 1
        if block >= 11:
            (weight, bias), (back, back_bias) = numbers(index), numbers(index + 1)
            squeezed = F.conv2d(x.mean((2, 3), keepdim=True), weight, bias).relu()
            x, index = x * (F.conv2d(squeezed, back, back_bias) / 6 + 0.5).clamp(0, 1), index + 2
        x, index = conv(x, index), index + 1
        if block in ENDS:
            maps.append(x)
    assert index * 2 == len(arrays)
    return maps


def saved(tmp_path, arrays):
    np.savez(tmp_path / "backbone.npz", **arrays)
    return tmp_path / "backbone.npz"


def photos(count=2):
    generator = np.random.default_rng(1)
    return [generator.integers(0, 255, (SIZE, SIZE, 3), np.uint8) for _ in range(count)]


def as_input(images):
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def assert_close_maps(found, expected, share):
    """Equal within `share` of each map's largest number."""
    for x, y in zip(found, expected, strict=True):
        assert_close(x, y, rtol=0, atol=share * y.abs().max().item())


@pytest.mark.parametrize("count", [0, 2], ids=["identities", "measured"])
def test_backbone_computes_what_the_files_convolutions_do(tmp_path, count):
    arrays = arrays_of()
    backbone = convert(saved(tmp_path, arrays), photos(count)).network.backbone
    images = torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        assert_close_maps(backbone(images), folded_maps(arrays, images, border=(0.0, 0.0, 0.0)), 1e-5)


def test_away_from_the_top_and_left_it_is_what_paddledetection_pads_with_the_mean(tmp_path):
    arrays = arrays_of()
    backbone = convert(saved(tmp_path, arrays)).network.backbone
    images = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        found, expected = backbone(images)[0], folded_maps(arrays, images, border=MEAN)[0]
    assert_close_maps([found[..., 4:, 4:]], [expected[..., 4:, 4:]], 1e-5)
    assert (found - expected)[..., 0, :].abs().max() > 0.01 * expected.abs().max()


def test_norms_that_were_measured_compute_the_same_in_training(tmp_path):
    path, images = saved(tmp_path, arrays_of()), photos()
    measured, identities = (convert(path, given).network.backbone for given in (images, ()))
    x = as_input(images)
    with torch.no_grad():
        expected = measured.eval()(x)
        assert_close_maps(measured.train()(x), expected, 1e-4)
        wrong = identities.train()(x)
    assert (wrong[-1] - expected[-1]).std() > 0.5 * expected[-1].std()


def test_filters_that_were_measured_have_the_size_of_fresh_ones(tmp_path):
    torch.manual_seed(0)
    backbone = convert(saved(tmp_path, arrays_of()), photos()).network.backbone
    fresh = BACKBONES.build({"name": "PPLCNet", "scale": 0.25})
    sizes = [net.stages[2][0][2].conv.weight.square().mean().sqrt() for net in (backbone, fresh)]
    assert_close(sizes[0], sizes[1], rtol=0.05, atol=0)


def test_a_detector_with_this_backbone_starts_from_it(tmp_path):
    weights = convert(saved(tmp_path, arrays_of()))
    write_safetensors(tmp_path / "x.safetensors", weights)
    head = {"name": "YOLOv3", "anchors": "coco6_tiny"}
    detector = build_detector(
        {"backbone": {"name": "PPLCNet", "scale": 0.25}, "neck": {"name": "PRN"}, "head": head}, num_classes=3
    )
    report = load_matching(detector, [{"id": i, "name": n} for i, n in enumerate("abc")], tmp_path / "x.safetensors")
    count = len(detector.backbone.state_dict())
    assert report.startswith(f"{count} of {count} backbone tensors from ")
    assert_close(detector.backbone.state_dict(), weights.network.backbone.state_dict(), rtol=0, atol=0)
    assert read(tmp_path / "x.safetensors", settings_type=None).names == ("untrained",)


@pytest.mark.parametrize("scale", SCALES)
def test_every_published_width_is_known_by_its_shapes(tmp_path, scale):
    weights = convert(saved(tmp_path, arrays_of(scale)))
    assert weights.settings.model.backbone == {"name": "PPLCNet", "scale": scale, "wide_classifier": False}


def test_the_published_backbone_computes_the_same_here(shared):
    path = shared / "weights" / "pplcnet_x035_coco.npz"
    arrays = dict(np.load(path))
    assert sum(array.size for array in arrays.values()) == 134890
    weights = convert(path)
    assert weights.settings.model.backbone["scale"] == 0.35
    images = torch.rand(1, 3, 320, 320)
    with torch.no_grad():
        found = weights.network.backbone(images)
        assert_close_maps(found, folded_maps(arrays, images, border=(0.0, 0.0, 0.0)), 1e-4)


# ---- files that do not fit -----------------------------------------------------------------------------------------

DAMAGED = r"backbone\.npz: not a .npz of real numbers, or a damaged one; give another file"


def changed(**changes):
    """The arrays with some of them replaced, or left out (None)."""
    arrays = arrays_of() | {name.replace("_dot_", "."): array for name, array in changes.items()}
    return {name: array for name, array in arrays.items() if array is not None}


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (changed(head=np.zeros(3)), "holds 'head', no convolution of PP-LCNet's"),
        (changed(conv2d_4_w_0_dot_bias=None), "does not hold a weight and a bias of each convolution"),
        ({}, "does not hold a weight and a bias of each convolution"),
        (changed(conv2d_4_w_0_dot_bias=np.full(16, np.nan)), "bias of convolution 4 holds numbers that are not finite"),
        (
            changed(conv2d_4_w_0_dot_bias=np.zeros(3)),
            r"its 31 convolutions, the first \[8, 3, 3, 3\], are not those of a PP-LCNet of width 0.25, .*, 2.5; give",
        ),
        (
            changed(conv2d_30_w_0_dot_bias=None, conv2d_30_w_0_dot_weight=None),
            r"its 30 convolutions, the first \[8, 3, 3, 3\], are not those of a PP-LCNet",
        ),
        (changed(conv2d_4_w_0_dot_bias=np.array([{}], dtype=object)), "not a .npz of real numbers, or a damaged one"),
        (changed(conv2d_4_w_0_dot_bias=np.array(["a"])), "not a .npz of real numbers, or a damaged one"),
        (changed(conv2d_4_w_0_dot_bias=np.ones(16, complex)), "not a .npz of real numbers, or a damaged one"),
        (changed(conv2d_4_w_0_dot_bias=np.ones(16, bool)), "not a .npz of real numbers, or a damaged one"),
        (changed(conv2d_4_w_0_dot_bias=np.full(16, 1e300)), "bias of convolution 4 holds numbers that are not finite"),
    ],
)
def test_a_file_that_does_not_fit_is_one_sentence(tmp_path, arrays, sentence):
    with pytest.raises(UserError, match=f"backbone.npz: {sentence}"):
        convert(saved(tmp_path, arrays))


@pytest.mark.parametrize("cut", [0, 10, 1000])
def test_a_file_that_was_cut_off_is_one_sentence(tmp_path, cut):
    path = saved(tmp_path, arrays_of())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"backbone\.npz: not a .npz of real numbers, or a damaged one"):
        convert(path)


def test_files_with_flipped_bytes_are_one_sentence(tmp_path):
    path = tmp_path / "backbone.npz"
    np.savez_compressed(path, **dict(itertools.islice(arrays_of().items(), 4)))
    whole, generator, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(500):
        content = bytearray(whole)
        for place in generator.integers(0, len(content), 3):
            content[place] ^= 1 << generator.integers(8)
        path.write_bytes(content)
        try:  # not each flip does harm: the time of a member, say
            read_folded(path)
        except UserError:
            refused += 1
    assert refused > 400


def npz_of(tmp_path, content, name="conv2d_0_w_0.weight.npy", encrypted=False):
    """A .npz of one member with this content, which may say that it is encrypted."""
    path = tmp_path / "backbone.npz"
    with ZipFile(path, "w", ZIP_DEFLATED) as file:
        file.writestr(name, content)
    if encrypted:
        packed = bytearray(path.read_bytes())
        packed[6] |= 1
        packed[packed.index(b"PK\1\2") + 8] |= 1
        path.write_bytes(packed)
    return path


def npy_of(shape, numbers=b"", descr="<f4"):
    file = BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + numbers


@pytest.mark.parametrize(
    "content",
    [
        npy_of((10**30,)),
        npy_of((1 << 40,)),
        npy_of((0, 10**30)),
        npy_of((-2, -2), bytes(16)),
        npy_of((2,), bytes(4)),
        npy_of((1,), bytes(8)),
        npy_of((1,), bytes(8), descr="<M8[s]"),
        b"\x93NUMPY\x07\x00" + bytes(100),
        b"",
    ],
)
def test_a_header_that_does_not_fit_its_numbers_is_one_sentence(tmp_path, content):
    with pytest.raises(UserError, match=DAMAGED):
        read_folded(npz_of(tmp_path, content))


def test_an_encrypted_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=DAMAGED):
        read_folded(npz_of(tmp_path, npy_of((1,), bytes(4)), encrypted=True))


def test_a_way_of_packing_that_nobody_knows_is_one_sentence(tmp_path):
    path = npz_of(tmp_path, npy_of((1,), bytes(4)))
    packed = bytearray(path.read_bytes())
    packed[8] = packed[packed.index(b"PK\1\2") + 10] = 99
    path.write_bytes(packed)
    with pytest.raises(UserError, match=DAMAGED):
        read_folded(path)


def test_a_file_larger_than_any_backbone_is_not_read_whole(tmp_path):
    path = tmp_path / "backbone.npz"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(UserError, match=r"backbone\.npz: larger than 64 MiB; no PP-LCNet is; give the backbone's"):
        read_folded(path)


def test_zeros_are_not_unpacked_beyond_what_a_backbone_needs(tmp_path):
    path = npz_of(tmp_path, npy_of((MOST_BYTES // 2,), bytes(2 * MOST_BYTES)))
    assert path.stat().st_size < MOST_BYTES / 400
    tracemalloc.start()
    with pytest.raises(UserError, match=r"backbone\.npz: unpacks to more than 64 MiB, as no PP-LCNet does; give"):
        read_folded(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1.1 * MOST_BYTES


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz: no such file"):
        convert(tmp_path / "none.npz")
