"""Small registries: the named parts a detector is put together from.

A part joins by its class name, or, where one class builds a whole family, by the names in the family's table::

    @BACKBONES.register
    class CSPPeleeNet(nn.Module): ...

    @BACKBONES.register_variants(VARIANTS)  # {"ResNet50": ..., "CSPResNet50": ...}
    class ResNet(nn.Module):
        def __init__(self, variant, activation="leaky_relu", ...): ...

and a configuration names it with its keyword arguments: `{name: CSPPeleeNet, partial_ratio: 0.5}`. A constructor that
cannot use the value of an option raises `OptionError`, which becomes the user's `PartError`; whatever else it raises is
a bug of the part and stays as it is.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from torch import nn

from detect.errors import OptionError, PartError, nearest

PartClass = TypeVar("PartClass", bound=type)
Make = Callable[..., Any]  # options -> a part
Change = Callable[[nn.Module, object], None]  # what an option of all parts does to a finished part with its value


class Registry:
    """Classes by name, with the options their constructors take.

    `wired` are the constructor arguments that follow from other parts (`in_channels`, `num_classes`, ...): they are
    passed by the builder and refused in a configuration.
    """

    def __init__(self, role: str, wired: Iterable[str] = ()) -> None:
        self.role = role
        self.wired = frozenset({"variant", *wired})
        self._classes: dict[str, Make] = {}
        self._common: dict[str, Change] = {}  # options that every part takes

    def register(self, cls: PartClass) -> PartClass:
        """Class decorator: the part's name is the class's."""
        self._add(cls.__name__, cls)
        return cls

    def register_as(self, name: str) -> Callable[[PartClass], PartClass]:
        """Class decorator: the part's name is `name`."""

        def register(cls: PartClass) -> PartClass:
            self._add(name, cls)
            return cls

        return register

    def register_variants(self, table: Iterable[str]) -> Callable[[PartClass], PartClass]:
        """Class decorator: every key of `table` is a name; the constructor gets it as its argument `variant`."""

        def register(cls: PartClass) -> PartClass:
            for name in table:
                self._add(name, functools.partial(cls, variant=name))
            return cls

        return register

    def _add(self, name: str, make: Make) -> None:
        if name in self._classes:
            raise ValueError(f"{self.role} {name} is registered twice")
        self._classes[name] = make

    def option_of_all(self, change: Change) -> Change:
        """Decorator: every part takes the option `change.__name__`; when it is given, `change(part, value)` is called
        on the finished part."""
        self._common[change.__name__] = change
        return change

    def names(self) -> list[str]:
        """Names of all parts, in alphabetical order."""
        return sorted(self._classes)

    def get(self, name: str) -> Make:
        """What makes the part `name`.  Raises PartError: no part has this name."""
        if name not in self._classes:
            raise PartError(self.role, "name", f"unknown {self.role} '{name}'{nearest(name, self.names())}")
        return self._classes[name]

    def options(self, name: str) -> list[str]:
        """Names of the options that a configuration may give to the part `name`.  Raises PartError as `get`."""
        own = [p for p in inspect.signature(self.get(name)).parameters if p not in self.wired]
        return own + list(self._common)

    def default(self, name: str, option: str) -> object:
        """Default value of an option of the part `name`."""
        if option in self._common:
            return None
        return inspect.signature(self.get(name)).parameters[option].default

    def check(self, spec: Mapping[str, Any]) -> None:
        """Raise PartError unless the name of `spec` and the names of its options are known."""
        name, known = spec["name"], self.options(spec["name"])
        for option in spec:
            if option != "name" and option not in known:
                raise PartError(self.role, option, f"{name} has no option '{option}'{nearest(option, known)}")

    def build(self, spec: Mapping[str, Any], **wiring: object) -> Any:
        """The part that `spec` (`{"name": ..., option: value, ...}`) describes, wired with `wiring`.

        Raises:
            PartError: the name or an option is unknown, or an option's value does not fit.
        """
        self.check(spec)
        options = dict(spec)
        name = options.pop("name")
        changes = {option: options.pop(option) for option in self._common if option in options}
        try:
            part = self.get(name)(**wiring, **options)
            for option, value in changes.items():
                if value is not None:
                    self._change(part, option, value)
        except OptionError as error:
            raise PartError(self.role, error.option, f"{self.role} {name}: {error.sentence}") from error
        return part

    def _change(self, part: nn.Module, option: str, value: object) -> None:
        """Apply an option of all parts; what is wrong with a part inside its value is wrong with the option."""
        try:
            self._common[option](part, value)
        except PartError as error:
            raise PartError(self.role, option, error.sentence) from error


CONVOLUTIONS = Registry("convolution", wired=("in_channels", "out_channels", "kernel_size", "stride"))
BACKBONES = Registry("backbone")
NECKS = Registry("neck", wired=("in_channels", "strides"))
HEADS = Registry("head", wired=("in_channels", "strides", "num_classes"))
