"""Where a layer of a .cfg stands: what it takes its input from, and what is planned before it."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from torch import nn

from detect.darknet.cfg import Section

IMAGES = -1  # the index of the network's input among sources
DETECTIONS = ("yolo", "Gaussian_yolo", "region")

Shape = tuple[int, int, int]  # channels, height, width
Scale = tuple[Fraction, Fraction]  # input px per px of a map, (rows, columns)


@dataclass(frozen=True)
class Layer:
    """One planned layer; `make()` builds its module."""

    section: Section
    sources: tuple[int, ...]  # indices of earlier layers, IMAGES for the network's input
    shape: Shape  # of its map at the cfg's input size
    scale: Scale | None  # None: of no place
    make: Callable[[], nn.Module]
    floats: int = 0  # numbers in the .weights file
    products: int = 0  # multiplications for one image


class Place:
    """The place where the next layer goes: what stands before it.

    Attributes:
        shape: of the network's input.
        layers: the `Layer`s before this one; whoever plans appends to them.

    Raises:
        UserError: the `[net]` does not say how large the input is.
    """

    def __init__(self, net: Section) -> None:
        missing = [name for name in ("width", "height", "channels") if not net[name]]
        if missing:
            raise net.error(f"{missing[0]} is missing; say how large the input is")
        self.shape: Shape = (net["channels"], net["height"], net["width"])
        if net["inputs"] not in (None, size(self.shape)):
            raise net.error("inputs differs from width x height x channels; leave it out", "inputs")
        self.layers: list[Layer] = []

    def before(self) -> tuple[int, Shape, Scale | None]:
        """(index, shape, scale) of the previous layer."""
        return self.source(len(self.layers) - 1)

    def source(self, index: int) -> tuple[int, Shape, Scale | None]:
        """(index, shape, scale) of the layer `index`, or of the network's input."""
        if index == IMAGES:
            return index, self.shape, (Fraction(1), Fraction(1))
        return index, self.layers[index].shape, self.layers[index].scale

    def refer(self, section: Section, option: str, number: int) -> tuple[int, Shape, Scale | None]:
        """(index, shape, scale) of the layer that `number`, absolute or relative to this layer, names.

        Raises:
            UserError: it is no earlier layer, or one that hands on no map.
        """
        here = len(self.layers)
        index = number if number >= 0 else here + number
        if not 0 <= index < here:
            raise section.error(f"{option}={number} of layer {here} is no earlier layer (0 to {here - 1})", option)
        if self.layers[index].section.type in DETECTIONS:
            raise section.error(
                f"{option}={number} is a [{self.layers[index].section.type}]; it hands on no map", option
            )
        return self.source(index)

    def previous(self, section: Section) -> tuple[int, Shape, Scale | None]:
        """(index, shape, scale) of the previous layer.  Raises UserError where it hands on no map."""
        index, shape, scale = self.before()
        if index != IMAGES and self.layers[index].section.type in DETECTIONS:
            raise section.error("follows a detection layer, which hands on no map; put a [route] before it")
        return index, shape, scale


def size(shape: Shape) -> int:
    """How many numbers a map of this shape has."""
    channels, height, width = shape
    return channels * height * width


def shown(shape: Shape) -> str:
    """'32 x 26 x 26': channels x height x width."""
    return " x ".join(map(str, shape))
