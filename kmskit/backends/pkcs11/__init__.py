"""Keys on a PKCS#11 token: SoftHSM first, any module by its URI. Key material is made in the token and stays there.

From below: `cryptoki` calls a module's functions, `module` loads and initialises one, `sessions` logs in and keeps
sessions, `inventory` reads which keys are there, `mechanisms` makes and uses them, `notes` keeps what a token has no
place for, and `backend` puts them together. `places` and `location` need no package, so that the doctor can look where
python-pkcs11 is not installed.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Pkcs11Backend"]


def __getattr__(name: str) -> Any:
    if name == "Pkcs11Backend":
        from kmskit.backends.pkcs11.backend import Pkcs11Backend

        return Pkcs11Backend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
