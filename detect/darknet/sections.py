"""What each section of a .cfg makes of its input: shape, cost, and how to build its module. No memory is taken here.

Each function takes a `Section` and the `Place` in the network where it stands, and gives a `Layer`.
"""

from collections.abc import Callable
from fractions import Fraction

from torch import nn

from detect.darknet import layers
from detect.darknet.cfg import Section
from detect.darknet.head import mask_of
from detect.darknet.place import Layer, Place, Scale, shown, size
from detect.models.layers import Maxout


def convolutional(section: Section, place: Place) -> Layer:
    index, (channels, height, width), scale = place.previous(section)
    filters, kernel, groups = section["filters"], section["size"], section["groups"]
    padding = kernel // 2 if section["pad"] else section["padding"]
    dilation = section["dilation"] if kernel > 1 else 1
    if channels % groups or filters % groups:
        raise section.error(f"groups={groups} divide neither {channels} channels and {filters} filters", "groups")
    if (dilation - 1) * (kernel - 1 - 2 * padding):
        raise section.error(f"dilation={dilation} needs pad=1 and an odd size", "dilation")
    strides = strides_of(section)
    shape = (filters, *((s + 2 * padding - kernel) // t + 1 for s, t in zip((height, width), strides, strict=True)))
    weights = filters * (channels // groups) * kernel * kernel
    normalize = bool(section["batch_normalize"] or section["cbn"])
    return Layer(
        section,
        (index,),
        shape,
        scaled(scale, strides),
        lambda: layers.Convolution(
            channels, filters, kernel, strides, padding, dilation, groups, normalize, section["activation"]
        ),
        filters * (4 if normalize else 1) + weights,
        weights * shape[1] * shape[2],
    )


def connected(section: Section, place: Place) -> Layer:
    index, shape, _ = place.previous(section)
    inputs, outputs, normalize = size(shape), section["output"], bool(section["batch_normalize"])
    return Layer(
        section,
        (index,),
        (outputs, 1, 1),
        None,
        lambda: layers.Connected(inputs, outputs, normalize, section["activation"]),
        outputs * (4 if normalize else 1) + inputs * outputs,
        inputs * outputs,
    )


def maxpool(section: Section, place: Place) -> Layer:
    if not section["maxpool_depth"]:
        return _pool(section, place, average=False)
    index, (channels, height, width), scale = place.previous(section)
    kept = section["out_channels"]
    if kept > channels:
        raise section.error(f"out_channels={kept} of {channels} channels", "out_channels")
    return Layer(section, (index,), (kept, height, width), scale, lambda: Maxout(channels, kept))


def local_avgpool(section: Section, place: Place) -> Layer:
    return _pool(section, place, average=True)


def _pool(section: Section, place: Place, average: bool) -> Layer:
    index, (channels, height, width), scale = place.previous(section)
    kernel = section["stride"] if section["size"] is None else section["size"]
    padding = kernel - 1 if section["padding"] is None else section["padding"]
    strides = strides_of(section)
    if (padding + 1) // 2 >= kernel:
        raise section.error(f"padding={padding} leaves windows of size {kernel} empty", "padding")
    sides = ((s + padding - kernel) // t + 1 for s, t in zip((height, width), strides, strict=True))
    shape = (channels, *sides)
    return Layer(
        section,
        (index,),
        shape,
        scaled(scale, strides),
        lambda: layers.Pool(kernel, strides, padding, average),
        products=size(shape) * kernel * kernel,
    )


def avgpool(section: Section, place: Place) -> Layer:
    index, (channels, _, _), _ = place.previous(section)
    return Layer(section, (index,), (channels, 1, 1), None, layers.GlobalAverage)


def route(section: Section, place: Place) -> Layer:
    if section["layers"] is None:
        raise section.error("layers is missing; name the layers it takes")
    sources = [place.refer(section, "layers", number) for number in section["layers"]]
    shapes = [shape for _, shape, _ in sources]
    groups, group = section["groups"], section["group_id"]
    if len({shape[1:] for shape in shapes}) > 1:
        raise section.error(f"puts maps of different sizes together: {', '.join(map(shown, shapes))}", "layers")
    if any(shape[0] % groups for shape in shapes) or group >= groups:
        raise section.error(f"group_id={group} of groups={groups} does not fit {', '.join(map(shown, shapes))}")
    shape = (sum(shape[0] for shape in shapes) // groups, *shapes[0][1:])
    indices = tuple(index for index, _, _ in sources)
    return Layer(section, indices, shape, sources[0][2], lambda: layers.Route(groups, group))


def shortcut(section: Section, place: Place) -> Layer:
    if section["from"] is None:
        raise section.error("from is missing; name the layer to add")
    index, shape, scale = place.previous(section)
    sources = [place.refer(section, "from", number) for number in section["from"]]
    per_channel = section["weights_type"] == "per_channel"
    weights = 0 if section["weights_type"] == "none" else shape[0] if per_channel else 1
    for _, other, _ in sources:
        for ours, theirs in zip(shape[1:], other[1:], strict=True):
            fits = ours % theirs == 0 or theirs % ours == 0
            if not fits or (weights and ours != theirs):
                raise section.error(f"cannot add a map of {shown(other)} to one of {shown(shape)}", "from")
    terms = len(sources) + 1
    normalization = section["weights_normalization"].removeprefix("avg_")
    return Layer(
        section,
        (index, *(index for index, _, _ in sources)),
        shape,
        scale,
        lambda: layers.Shortcut(terms, weights, normalization, section["activation"]),
        terms * weights,
        terms * size(shape),
    )


def upsample(section: Section, place: Place) -> Layer:
    index, (channels, height, width), scale = place.previous(section)
    stride = section["stride"]
    finer = scaled(scale, (Fraction(1, stride), Fraction(1, stride)))
    make = lambda: layers.Upsample(stride, section["scale"])  # noqa: E731
    return Layer(section, (index,), (channels, height * stride, width * stride), finer, make)


def scale_channels(section: Section, place: Place) -> Layer:
    index, shape, _ = place.previous(section)
    other, theirs, scale = place.refer(section, "from", required(section, "from"))
    expected = (1, *theirs[1:]) if section["scale_wh"] else (theirs[0], 1, 1)
    if shape != expected:
        raise section.error(f"scales {shown(theirs)} by a map of {shown(shape)}, not of {shown(expected)}", "from")
    return Layer(section, (index, other), theirs, scale, lambda: layers.Product(section["activation"]))


def sam(section: Section, place: Place) -> Layer:
    index, shape, scale = place.previous(section)
    other, theirs, _ = place.refer(section, "from", required(section, "from"))
    if shape != theirs:
        raise section.error(f"multiplies maps of different shapes: {shown(shape)} and {shown(theirs)}", "from")
    return Layer(section, (index, other), shape, scale, lambda: layers.Product(section["activation"]))


def reorg(section: Section, place: Place) -> Layer:
    index, (channels, height, width), scale = place.previous(section)
    stride = section["stride"]
    if channels % (stride * stride) or height % stride or width % stride:
        raise section.error(f"stride={stride} does not divide a map of {shown((channels, height, width))}", "stride")
    shape = (channels * stride * stride, height // stride, width // stride)
    return Layer(section, (index,), shape, scaled(scale, (stride, stride)), lambda: layers.Reorg(stride))


def softmax(section: Section, place: Place) -> Layer:
    index, shape, scale = place.previous(section)
    if size(shape) % section["groups"]:
        raise section.error(f"groups={section['groups']} does not divide {size(shape)} numbers", "groups")
    make = lambda: layers.Softmax(section["groups"], section["temperature"])  # noqa: E731
    return Layer(section, (index,), shape, scale, make)


def yolo(section: Section, place: Place) -> Layer:
    return _detection(section, place)


def gaussian_yolo(section: Section, place: Place) -> Layer:
    anchors = len(mask_of(section))
    return _detection(section, place, coordinates=8, make=lambda: layers.CertainBoxes(anchors))


def region(section: Section, place: Place) -> Layer:
    if not section["softmax"]:
        raise section.error("needs softmax=1; classes without it are not supported", "softmax")
    return _detection(section, place)


def _detection(
    section: Section, place: Place, coordinates: int = 4, make: Callable[[], nn.Module] = nn.Identity
) -> Layer:
    index, shape, scale = place.previous(section)
    anchors, classes, mask = section["anchors"], section["classes"], mask_of(section)
    if anchors is None or len(anchors) != 2 * section["num"] or not all(0 < side < 1e5 for side in anchors):
        raise section.error(f"anchors must be {2 * section['num']} positive numbers: num={section['num']}", "anchors")
    if not all(0 <= number < section["num"] for number in mask):
        raise section.error(f"mask={','.join(map(str, mask))} must number anchors 0 to {section['num'] - 1}", "mask")
    expected = len(mask) * (coordinates + 1 + classes)
    if shape[0] != expected:
        raise section.error(
            f"needs {expected} channels ({len(mask)} anchors x ({coordinates + 1} + {classes} classes)), "
            f"gets {shape[0]}; "
            "set filters of the layer before it"
        )
    if scale is None or [s * f for s, f in zip(shape[1:], scale, strict=True)] != list(place.shape[1:]):
        raise section.error(
            f"has a grid of {shape[2]}x{shape[1]} for an input of {place.shape[2]}x{place.shape[1]} px, "
            "which is no multiple of it; set width and height to multiples of the network's stride"
        )
    if scale[0] != scale[1] or scale[0].denominator > 1:
        raise section.error("has cells that are not squares of whole px")
    return Layer(section, (index,), shape, scale, make)


def crop(section: Section, place: Place) -> Layer:
    index, (channels, height, width), scale = place.previous(section)
    rows, columns = section["crop_height"], section["crop_width"]
    if rows > height or columns > width:
        raise section.error(f"cuts {rows} x {columns} of {height} x {width}; give smaller sides")
    whole = (rows, columns) == (height, width)
    make = lambda: layers.Crop(rows, columns, not section["noadjust"])  # noqa: E731
    return Layer(section, (index,), (channels, rows, columns), scale if whole else None, make)


def dropout(section: Section, place: Place) -> Layer:
    index, shape, scale = place.previous(section)
    return Layer(section, (index,), shape, scale, lambda: nn.Dropout(section["probability"]))


def cost(section: Section, place: Place) -> Layer:
    """Only a loss: it hands on what it gets."""
    index, shape, scale = place.previous(section)
    return Layer(section, (index,), shape, scale, nn.Identity)


def strides_of(section: Section) -> tuple[int, int]:
    """(rows, columns)"""
    rows, columns = (section["stride"] if section[name] is None else section[name] for name in ("stride_y", "stride_x"))
    return rows, columns


def scaled(scale: Scale | None, strides: tuple[int, int] | Scale) -> Scale | None:
    """The scale of a map that is `strides` times coarser than one of `scale`."""
    return None if scale is None else (scale[0] * strides[0], scale[1] * strides[1])


def required(section: Section, option: str) -> int:
    """The layer that an option without a default names.  Raises UserError where it is left out."""
    if section[option] is None:
        raise section.error(f"{option} is missing; name a layer")
    return section[option]


PLANS: dict[str, Callable[[Section, Place], Layer]] = {
    "convolutional": convolutional,
    "connected": connected,
    "maxpool": maxpool,
    "local_avgpool": local_avgpool,
    "avgpool": avgpool,
    "route": route,
    "shortcut": shortcut,
    "upsample": upsample,
    "scale_channels": scale_channels,
    "sam": sam,
    "reorg": reorg,
    "crop": crop,
    "dropout": dropout,
    "softmax": softmax,
    "cost": cost,
    "yolo": yolo,
    "Gaussian_yolo": gaussian_yolo,
    "region": region,
}
