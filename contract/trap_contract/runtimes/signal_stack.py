"""The stack on which this thread takes signals, kept as it was.

OpenVINO's CPU plug-in puts one of its own there for every compiled model and takes it back when the model dies. Of two
models, the one that dies first may leave the other a stack that is gone, and the process dies at its next signal: at
SIGTERM, or when a child ends. A thread whose stack is no longer the plug-in's is left alone by it.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """`stack_t` of sigaltstack(2)."""

    _fields_ = (("place", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Put this thread's signal stack back at the end, whoever changed it; does nothing where Linux is not."""
    if not sys.platform.startswith("linux"):
        yield
        return
    libc, before = ctypes.CDLL(None), _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
