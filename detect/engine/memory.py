"""Memory of a training on the CPU."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of handing it back to the system after every large tensor.

    The next step needs the same sizes again, and fresh pages cost more than many layers: on two cores a step of
    CSPPeleeNet-EFM takes 1.2 instead of 1.7 seconds. Does nothing where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
