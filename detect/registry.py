"""Three small registries: the named parts a detector is put together from.

A part joins by its class name::

    @BACKBONES.register
    class CSPPeleeNet(nn.Module): ...

and a configuration names it with its keyword arguments: `{name: CSPPeleeNet, partial_ratio: 0.5}`.
"""

import inspect

from detect.errors import UserError, nearest


class Registry:
    """Classes by name, with the options their constructors take.

    `wired` are the constructor arguments that follow from other parts (`in_channels`, `num_classes`, ...): they are
    passed by the builder and refused in a configuration.
    """

    def __init__(self, kind, wired=()):
        self.kind = kind
        self.wired = frozenset(wired)
        self._classes = {}

    def register(self, cls):
        if cls.__name__ in self._classes:
            raise ValueError(f"{self.kind} {cls.__name__} is registered twice")
        self._classes[cls.__name__] = cls
        return cls

    def names(self):
        return sorted(self._classes)

    def get(self, name):
        if name not in self._classes:
            raise UserError(f"unknown {self.kind} '{name}'{nearest(name, self.names())}")
        return self._classes[name]

    def options(self, name):
        """Names of the options that a configuration may give to the part `name`."""
        return [p for p in inspect.signature(self.get(name)).parameters if p not in self.wired]

    def default(self, name, option):
        """Default value of an option of the part `name`."""
        return inspect.signature(self.get(name)).parameters[option].default

    def build(self, spec, **wiring):
        """The part that `spec` (`{"name": ..., option: value, ...}`) describes, wired with `wiring`."""
        options = dict(spec)
        name = options.pop("name")
        known = self.options(name)
        for option in options:
            if option not in known:
                raise UserError(f"{self.kind} {name} has no option '{option}'{nearest(option, known)}")
        try:
            return self.get(name)(**wiring, **options)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise UserError(f"{self.kind} {name}: {error}") from error


BACKBONES = Registry("backbone", wired=("in_channels",))
NECKS = Registry("neck", wired=("in_channels", "strides"))
HEADS = Registry("head", wired=("in_channels", "strides", "num_classes"))
