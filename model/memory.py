"""How this process gets its memory from the system. No torch."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of mallopt(3)
_KEPT = 2**30


def keep_freed_memory() -> None:
    """Have freed memory used again instead of given back and asked for anew.

    A tile allocates and frees hundreds of megabytes, layer by layer. The C library gives large
    pieces back at once, and the system then clears every page when it hands it out again: 80,000
    pages a tile of 256 px, a fifth of its time (measured). A process that keeps them holds on to
    its peak memory, which it will need for the next tile.

    Only where the GNU C library is used. Before threads are started: each keeps to the part of
    the memory it was given first, and large pieces only come from that of the main thread.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return
    for parameter, value in (
        (_MMAP_THRESHOLD, _KEPT),
        (_TRIM_THRESHOLD, _KEPT),
        (_ARENA_MAX, 1),
    ):
        mallopt(parameter, value)
