"""From a `Cfg` to layers that fit together, all checked before memory is taken."""

from fractions import Fraction

from detect.darknet.sections import PLANS, shown, size

IMAGES = -1  # the index of the network's input among sources
MAX_FLOATS = 1 << 29  # weights: 2 GiB; yolov4-p7 has 0.3 * 10^9
MAX_MAP = 1 << 28  # numbers in one map
MAX_MAPS = 1 << 31  # numbers in all maps of an image together
MAX_PRODUCTS = 10**13  # multiplications for one image; yolov4-p7 at 1536 px needs 10^12
DETECTIONS = ("yolo", "region")


class Place:
    """The place where the next layer goes: what stands before it."""

    def __init__(self, net):
        self.net = net
        missing = [name for name in ("width", "height", "channels") if not net[name]]
        if missing:
            raise net.error(f"{missing[0]} is missing; say how large the input is")
        self.shape = (net["channels"], net["height"], net["width"])
        if net["inputs"] not in (None, size(self.shape)):
            raise net.error("inputs differs from width x height x channels; leave it out", "inputs")
        self.layers = []

    def add(self, section):
        layer = PLANS[section.type](section, self)
        if min(layer.shape) < 1:
            raise section.error(f"nothing is left of its input, {shown(self.before()[1])}")
        if size(layer.shape) > MAX_MAP:
            raise section.error(f"makes a map of {shown(layer.shape)}; more than {MAX_MAP} numbers are refused")
        self.layers.append(layer)

    # ---- where a layer's input comes from --------------------------------------------------------------------------

    def before(self):
        """(index, shape, scale) of the previous layer."""
        return self.source(len(self.layers) - 1)

    def source(self, index):
        if index == IMAGES:
            return index, self.shape, (Fraction(1), Fraction(1))
        return index, self.layers[index].shape, self.layers[index].scale

    def refer(self, section, option, number):
        """(index, shape, scale) of the layer that `number`, absolute or relative to this layer, names."""
        here = len(self.layers)
        index = number if number >= 0 else here + number
        if not 0 <= index < here:
            raise section.error(f"{option}={number} of layer {here} is no earlier layer (0 to {here - 1})", option)
        if self.layers[index].section.type in DETECTIONS:
            raise section.error(
                f"{option}={number} is a [{self.layers[index].section.type}]; it hands on no map", option
            )
        return self.source(index)

    def previous(self, section):
        index, shape, scale = self.before()
        if index != IMAGES and self.layers[index].section.type in DETECTIONS:
            raise section.error("follows a detection layer, which hands on no map; put a [route] before it")
        return index, shape, scale


def plan(cfg):
    """The `Layer`s of a `Cfg`.  Raises UserError with file and line when they do not fit together or are too large."""
    place = Place(cfg.net)
    floats = products = numbers = 0
    for section in cfg.layers:
        place.add(section)
        layer = place.layers[-1]
        floats, products, numbers = floats + layer.floats, products + layer.products, numbers + size(layer.shape)
        for what, count, limit in (
            ("weights", floats, MAX_FLOATS),
            ("multiplications", products, MAX_PRODUCTS),
            ("numbers in its maps", numbers, MAX_MAPS),
        ):
            if count > limit:
                raise section.error(f"brings the network to {count} {what}; more than {limit} are refused")
    return tuple(place.layers)
