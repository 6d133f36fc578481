"""Memory of large results, in huge pages where Linux has them.

A new buffer of 64 MiB is handed out by the system page by page, each when it is first touched, and with pages of 4 KiB
that costs several times what AES-GCM costs. Pages of 2 MiB are asked for by advice, which the system may leave aside:
then nothing changes but the time.

Source: madvise(2).
"""

from __future__ import annotations

import sys

__all__ = ["in_huge_pages"]

_LEAST = 4 << 20  # Below it memory is mostly used again without going back to the system.


def in_huge_pages(buffer: memoryview) -> None:
    """Advise the system to back a writable buffer by huge pages, if it is large."""
    if sys.platform != "linux" or len(buffer) < _LEAST:
        return
    import ctypes
    import mmap

    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    start = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    size = (address + len(buffer) - start) // mmap.PAGESIZE * mmap.PAGESIZE  # Of whole pages: the rest is others'.
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    if madvise is not None:
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), mmap.MADV_HUGEPAGE)
