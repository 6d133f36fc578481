"""Keys on a PKCS#11 token: SoftHSM first, any module by its URI. Key material is made in the token and stays there.

From below: `cryptoki` calls a module's functions, `module` loads and initialises one, `sessions` logs in and keeps
sessions, `inventory` reads which keys are there, `mechanisms` makes and uses them, `notes` keeps what a token has no
place for, and `backend` puts them together.
"""

from kmskit.backends.pkcs11.backend import Pkcs11Backend

__all__ = ["Pkcs11Backend"]
