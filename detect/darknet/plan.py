"""From a `Cfg` to layers that fit together, all checked before memory is taken."""

from detect.darknet.cfg import Cfg, Section
from detect.darknet.place import Layer, Place, shown, size
from detect.darknet.sections import PLANS

MAX_FLOATS = 1 << 29  # weights: 2 GiB; yolov4-p7 has 0.3 * 10^9
MAX_MAP = 1 << 28  # numbers in one map
MAX_MAPS = 1 << 31  # numbers in all maps of an image together
MAX_PRODUCTS = 10**13  # multiplications for one image; yolov4-p7 at 1536 px needs 10^12


def plan(cfg: Cfg) -> tuple[Layer, ...]:
    """The `Layer`s of a `Cfg`.  Raises UserError with file and line when they do not fit together or are too large."""
    place = Place(cfg.net)
    floats = products = numbers = 0
    for section in cfg.layers:
        layer = _layer(section, place)
        place.layers.append(layer)
        floats, products, numbers = floats + layer.floats, products + layer.products, numbers + size(layer.shape)
        for what, count, limit in (
            ("weights", floats, MAX_FLOATS),
            ("multiplications", products, MAX_PRODUCTS),
            ("numbers in its maps", numbers, MAX_MAPS),
        ):
            if count > limit:
                raise section.error(f"brings the network to {count} {what}; more than {limit} are refused")
    return tuple(place.layers)


def _layer(section: Section, place: Place) -> Layer:
    """The section's layer at this place.  Raises UserError when its map would be empty or too large."""
    layer = PLANS[section.type](section, place)
    if min(layer.shape) < 1:
        raise section.error(f"nothing is left of its input, {shown(place.before()[1])}")
    if size(layer.shape) > MAX_MAP:
        raise section.error(f"makes a map of {shown(layer.shape)}; more than {MAX_MAP} numbers are refused")
    return layer
