"""What the necks share: how many scales a neck has, and the levels of the pyramid they stand on."""


def levels_of(neck, widths, in_channels, strides):
    """(channels, strides) of the pyramid's levels that get a detection scale, one per width: the coarsest ones.

    Args:
        neck: name of the neck, for the error.
        widths: one per scale, fine to coarse.
        in_channels, strides: of the pyramid, fine to coarse.

    Raises:
        ValueError: there are fewer than 2 or more than 4 widths, one is too small, or the pyramid has too few levels.
    """
    scales = len(widths)
    if not 2 <= scales <= 4:
        raise ValueError(f"widths has {scales} numbers; {neck} takes one for each of its 2 to 4 scales, fine to coarse")
    if min(widths) < 2:
        raise ValueError(f"widths are {list(widths)}; each must be at least 2")
    if scales > len(in_channels):
        raise ValueError(f"widths has {scales} numbers, but the backbone gives only {len(in_channels)} levels")
    return tuple(in_channels[-scales:]), tuple(strides[-scales:])
