"""What a module leaves behind in OpenSSL.

On Debian, SoftHSM is linked with the OpenSSL that Python's `ssl` is linked with, and OpenSSL keeps a queue of errors
for each thread. SoftHSM does not clear it: an error that concerns nobody stays there when it is initialised, and
another when RSA padding is wrong. The next read from a TLS connection in that thread finds it and takes the connection
for broken: SSL_get_error(3) wants the queue to be empty.
"""

from __future__ import annotations

import _ssl
import ctypes
from collections.abc import Callable

__all__ = ["clear_errors"]


def _find() -> Callable[[], object]:
    """The function of the OpenSSL that `ssl` uses; where that is a part of Python, no module shares it."""
    path = getattr(_ssl, "__file__", None)
    if path is not None:
        try:
            # It does nothing that another thread would wait for, so the interpreter's lock is kept.
            clear: ctypes._NamedFuncPointer = ctypes.PyDLL(path).ERR_clear_error
        except (OSError, AttributeError):
            pass
        else:
            clear.argtypes, clear.restype = (), None
            return clear
    return lambda: None


clear_errors = _find()
"""Empty this thread's queue of errors. To be called after calls of a module, in the same thread."""
