"""What the necks share: how many scales a neck has, and the levels of the pyramid they stand on."""

from collections.abc import Sequence

from detect.errors import OptionError

MAX_CHANNELS = 4096  # twice the widest published map


def levels_of(
    neck: str, widths: Sequence[int], in_channels: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(channels, strides) of the pyramid's levels that get a detection scale, one per width: the coarsest ones.

    Args:
        neck: name of the neck, for the error.
        widths: one per scale, fine to coarse.
        in_channels, strides: of the pyramid, fine to coarse.

    Raises:
        OptionError: there are fewer than 2 or more than 4 widths, one is too small or too large, or the pyramid has
            too few levels.
    """
    scales = len(widths)
    if not 2 <= scales <= 4:
        sentence = f"widths has {scales} numbers; {neck} takes one for each of its 2 to 4 scales, fine to coarse"
        raise OptionError("widths", sentence)
    check_channels("widths", *widths, least=2)
    if scales > len(in_channels):
        sentence = f"widths has {scales} numbers, but the backbone gives only {len(in_channels)} levels"
        raise OptionError("widths", sentence)
    return tuple(in_channels[-scales:]), tuple(strides[-scales:])


def check_channels(option: str, *channels: int, least: int = 1) -> None:
    """Raise OptionError unless every number of channels lies between `least` and `MAX_CHANNELS`."""
    subject = f"{option} is {channels[0]}; it" if len(channels) == 1 else f"{option} are {list(channels)}; each"
    if min(channels) < least:
        raise OptionError(option, f"{subject} must be at least {least}")
    if max(channels) > MAX_CHANNELS:
        raise OptionError(option, f"{subject} must be at most {MAX_CHANNELS}")
