"""Small registries: the named parts a detector is put together from.

A part joins by its class name, or, where one class builds a whole family, by the names in the family's table::

    @BACKBONES.register
    class CSPPeleeNet(nn.Module): ...

    @BACKBONES.register_variants(VARIANTS)  # {"ResNet50": ..., "CSPResNet50": ...}
    class ResNet(nn.Module):
        def __init__(self, variant, in_channels=3, ...): ...

and a configuration names it with its keyword arguments: `{name: CSPPeleeNet, partial_ratio: 0.5}`.
"""

import functools
import inspect

from detect.errors import PartError, nearest


class Registry:
    """Classes by name, with the options their constructors take.

    `wired` are the constructor arguments that follow from other parts (`in_channels`, `num_classes`, ...): they are
    passed by the builder and refused in a configuration.
    """

    def __init__(self, role, wired=()):
        self.role = role
        self.wired = frozenset({"variant", *wired})
        self._classes = {}
        self._common = {}  # options that every part takes: name -> function(part, value)

    def register(self, cls, name=None):
        name = name or cls.__name__
        if name in self._classes:
            raise ValueError(f"{self.role} {name} is registered twice")
        self._classes[name] = cls
        return cls

    def register_variants(self, table):
        """Class decorator: every key of `table` is a name; the constructor gets it as its argument `variant`."""

        def register(cls):
            for name in table:
                self.register(functools.partial(cls, variant=name), name)
            return cls

        return register

    def option_of_all(self, change):
        """Decorator: every part takes the option `change.__name__`; when it is given, `change(part, value)` is called
        on the finished part."""
        self._common[change.__name__] = change
        return change

    def names(self):
        return sorted(self._classes)

    def get(self, name):
        if name not in self._classes:
            raise PartError(self.role, "name", f"unknown {self.role} '{name}'{nearest(name, self.names())}")
        return self._classes[name]

    def options(self, name):
        """Names of the options that a configuration may give to the part `name`."""
        own = [p for p in inspect.signature(self.get(name)).parameters if p not in self.wired]
        return own + list(self._common)

    def default(self, name, option):
        """Default value of an option of the part `name`."""
        if option in self._common:
            return None
        return inspect.signature(self.get(name)).parameters[option].default

    def build(self, spec, **wiring):
        """The part that `spec` (`{"name": ..., option: value, ...}`) describes, wired with `wiring`."""
        options = dict(spec)
        name = options.pop("name")
        known = self.options(name)
        for option in options:
            if option not in known:
                raise PartError(
                    self.role, option, f"{self.role} {name} has no option '{option}'{nearest(option, known)}"
                )
        changes = {option: options.pop(option) for option in self._common if option in options}
        try:
            part = self.get(name)(**wiring, **options)
            for option, value in changes.items():
                if value is not None:
                    self._common[option](part, value)
            return part
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise PartError(self.role, None, f"{self.role} {name}: {error}") from error


CONVOLUTIONS = Registry("convolution", wired=("in_channels", "out_channels", "kernel_size", "stride"))
BACKBONES = Registry("backbone", wired=("in_channels",))
NECKS = Registry("neck", wired=("in_channels", "strides"))
HEADS = Registry("head", wired=("in_channels", "strides", "num_classes"))
