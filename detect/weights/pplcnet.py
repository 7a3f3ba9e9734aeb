"""PP-LCNet's numbers out of PaddleDetection's models, norms folded in, as weights to start a training from.

Such models take RGB images less `MEAN`, divided by `STD` (the readers in configs/picodet of PaddleDetection); ours take
RGB in 0..1, so both are folded into the first convolution. That is exact but for the top row and the left column of its
map, where it reads beyond the image: PaddleDetection pads with the mean colour there, a convolution of ours with black.
(Bottom and right are never read beyond: sides are even, the stride is 2.) What follows carries the difference inwards,
squeeze-and-excitation into all of C5: on photos of 320 px it is 4% of the spread of C2 to C4, 6% of that of C5.
"""

import math
import re
from collections.abc import Iterable
from io import BytesIO
from os import PathLike
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from torch import Tensor, nn

from detect import config
from detect.config.build import build_model
from detect.config.schema import ClassifierSettings
from detect.errors import UserError
from detect.files import printable, read_bounded
from detect.models.detector import as_input
from detect.models.layers import ConvNormAct, SqueezeExcite
from detect.ops.letterbox import Letterbox
from detect.weights.files import Weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of red, green and blue in 0..1
SCALES = (0.25, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5)  # the published widths
SIZE = 320  # px: side of the squares on which norms are measured, PicoDet-XS's
NAME = re.compile(r"conv2d_(\d+)_w_0\.(weight|bias)")
MOST_BYTES = 64 << 20  # of a file and of what it unpacks to; the widest has 6.1 million numbers

Folded = list[tuple[Tensor, Tensor]]  # weight [out, in / groups, k, k] and bias [out], in the order of computing


def convert(path: str | PathLike[str], images: Iterable[np.ndarray] = ()) -> Weights:
    """The `Weights` of a classifier with a file's backbone, which `train.init` takes; its one class is untrained.

    In eval mode the backbone computes what the file's convolutions do. In training norms take the statistics of the
    batch, which would turn norms that are identities into something else: with `images` they get the statistics that
    they have on these, so that both modes compute the same, and the filters the size of freshly made ones, as learning
    rates expect it. Without, norms are identities, and a training should fix them: `train.freeze: ["backbone.*.norm"]`.

    Args:
        path: a .npz with `conv2d_N_w_0.weight` [out, in / groups, k, k] and `conv2d_N_w_0.bias` [out], N rising in the
            order of computing.
        images: uint8 RGB [h, w, 3] of any sizes, like those that will be trained on; a few dozen are enough.

    Raises:
        UserError: the file cannot be read, or its arrays are not those of a published width of PP-LCNet.
    """
    folded = read_folded(path)
    settings = _settings_for(path, folded)
    classifier: Any = build_model(settings, num_classes=1)
    classifier.eval()
    with torch.no_grad():
        _fill(classifier.backbone, _with_normalised_input(folded))
        _measure(classifier.backbone, images)
    return Weights.of(classifier, settings, [{"id": 1, "name": "untrained"}], path)


def read_folded(path: str | PathLike[str]) -> Folded:
    """The convolutions in a .npz, in the order of their numbers.  Raises UserError."""
    content = read_bounded(path, MOST_BYTES, "no PP-LCNet is; give the backbone's alone")
    arrays: dict[str, dict[int, Tensor]] = {"weight": {}, "bias": {}}
    try:
        with ZipFile(BytesIO(content)) as file:
            if sum(member.file_size for member in file.infolist()) > MOST_BYTES:
                size = f"{MOST_BYTES >> 20} MiB"
                raise UserError(
                    f"{printable(path)}: unpacks to more than {size}, as no PP-LCNet does; give the backbone's alone"
                )
            for member in file.infolist():
                name = member.filename.removesuffix(".npy")
                fits = NAME.fullmatch(name)
                if fits is None:
                    raise UserError(f"{printable(path)}: holds '{printable(name)}', no convolution of PP-LCNet's")
                arrays[fits[2]][int(fits[1])] = _array(file.read(member))
    except UserError:
        raise
    except Exception as error:  # a stranger's file fails in many ways: zip, zlib, a password, headers of any numbers
        raise _damaged(path) from error
    numbers = sorted(arrays["weight"])
    if not numbers or numbers != sorted(arrays["bias"]):
        raise UserError(f"{printable(path)}: does not hold a weight and a bias of each convolution")
    for kind, found in arrays.items():
        for number, array in found.items():
            if not array.isfinite().all():
                raise UserError(f"{printable(path)}: {kind} of convolution {number} holds numbers that are not finite")
    return [(arrays["weight"][number], arrays["bias"][number]) for number in numbers]


def _damaged(path: str | PathLike[str]) -> UserError:
    return UserError(f"{printable(path)}: not a .npz of real numbers, or a damaged one; give another file")


def _array(content: bytes) -> Tensor:
    """The array in a .npy, in 32 bits. Raises ValueError, and much else: it holds no real numbers, or is damaged."""
    file = BytesIO(content)
    major, _ = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.kind not in "fiu" or math.prod(shape) * dtype.itemsize != len(content) - file.tell():  # before it is made
        raise ValueError
    file.seek(0)
    with np.errstate(over="ignore"):  # infinite: said later
        return torch.from_numpy(np.lib.format.read_array(file, allow_pickle=False).astype(np.float32))


def _settings_for(path: str | PathLike[str], folded: Folded) -> ClassifierSettings:
    """Settings of the classifier whose backbone has convolutions of these shapes.  Raises UserError."""
    shapes = [tuple(weight.shape) for weight, _ in folded]
    biases = [tuple(bias.shape) for _, bias in folded]
    for scale in SCALES:
        model = {"backbone": {"name": "PPLCNet", "scale": scale, "wide_classifier": False}}
        settings = config.from_dict({"model": model, "input": {"size": SIZE}}, settings_type=ClassifierSettings)
        with torch.device("meta"):
            backbone: Any = build_model(settings, num_classes=1).backbone
        fits = shapes == [tuple(conv.weight.shape) for conv, _ in _convolutions(backbone)]
        if fits and biases == [shape[:1] for shape in shapes]:
            return settings
    count = len(shapes)
    raise UserError(
        f"{printable(path)}: its {count} convolutions, the first {list(shapes[0])}, are not those of a PP-LCNet of "
        f"width {', '.join(f'{scale:g}' for scale in SCALES)}; give the backbone's alone, in order"
    )


def _convolutions(backbone: nn.Module) -> list[tuple[Any, Any]]:
    """(convolution, its norm or None) of the backbone's, in the order of computing."""
    found: list[tuple[Any, Any]] = []
    for module in backbone.modules():
        if isinstance(module, ConvNormAct):
            found.append((module.conv, module.norm))
        elif isinstance(module, SqueezeExcite):
            found += [(module.squeeze, None), (module.excite, None)]
    return found


def _with_normalised_input(folded: Folded) -> Folded:
    """The same for images in 0..1, from which the first convolution itself takes the mean and the spread."""
    (weight, bias), *others = folded
    weight = weight.double() / torch.tensor(STD, dtype=torch.float64)[:, None, None]
    mean = torch.tensor(MEAN, dtype=torch.float64)[:, None, None]
    return [(weight.float(), (bias - (weight * mean).sum((1, 2, 3))).float()), *others]


def _fill(backbone: nn.Module, folded: Folded) -> None:
    """Copy the convolutions; norms become identities that add the bias."""
    for (conv, norm), (weight, bias) in zip(_convolutions(backbone), folded, strict=True):
        conv.weight.copy_(weight)
        if norm is None:
            conv.bias.copy_(bias)
        else:
            norm.weight.fill_(1.0)
            norm.bias.copy_(bias)
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0 - norm.eps)


def _measure(backbone: nn.Module, images: Iterable[np.ndarray]) -> None:
    """Give norms that are identities the statistics of `images`, if there are any, without changing what they compute.

    With filters times s, whose maps then have mean m and variance v, x becomes (s x - m) / sqrt(v + eps) * weight +
    bias: the same as before with weight = sqrt(v + eps) / s, and m / s more of bias.
    """
    normed = [(conv, norm) for conv, norm in _convolutions(backbone) if norm is not None]
    sums = [torch.zeros(3, norm.num_features, dtype=torch.float64) for _, norm in normed]  # count, sum, sum of squares

    def noting(total: Tensor) -> Any:
        def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
            values = output.double().transpose(0, 1).flatten(1)
            total.add_(torch.stack([torch.full_like(total[0], values.shape[1]), values.sum(1), values.square().sum(1)]))

        return note

    hooks = [conv.register_forward_hook(noting(total)) for (conv, _), total in zip(normed, sums, strict=True)]
    try:
        for image in images:
            square = Letterbox(image.shape[1], image.shape[0], SIZE).apply(image)
            backbone(as_input(torch.from_numpy(square).permute(2, 0, 1)[None]))
    finally:
        for hook in hooks:
            hook.remove()
    for (conv, norm), (count, total, squares) in zip(normed, sums, strict=True):
        if count.any():
            mean = total / count
            variance = (squares / count - mean.square()).clamp(min=0)
            size = conv.weight.double().square().mean((1, 2, 3)).sqrt().clamp(min=1e-12)
            s = (2 / 1.01 / conv.weight[0].numel()) ** 0.5 / size  # of ConvNormAct's own start, in the mean
            variance = variance * s.square()
            conv.weight.mul_(s[:, None, None, None])
            norm.running_mean.copy_(mean * s)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt() / s)
            norm.bias.add_(mean)
