"""`UndescribedKey`: a key that the user may use and may not describe.

Such a user, whom the service's own policy AliyunKMSCryptoUserAccess makes, gives `kms.key()` the spec, and the version
where a call needs one. The backend finds out the rest: whether there is such a key, and which id an alias has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmskit.algorithms import Algorithm, choose
from kmskit.assumed import AssumedInfo
from kmskit.backend import Backend
from kmskit.errors import UnsupportedError
from kmskit.key import Key
from kmskit.types import KeyUsage

if TYPE_CHECKING:
    from kmskit.kms import Kms

__all__ = ["UndescribedKey"]


class UndescribedKey(Key):
    """A Key whose properties are not known. Its id is the alias it was opened by until the first answer tells it."""

    _opened_as: str

    def __init__(self, kms: Kms, backend: Backend, assumed: AssumedInfo) -> None:
        super().__init__(kms, assumed.id, backend, assumed.as_info)
        self._assumed = assumed

    @property
    def id(self) -> str:
        return self._backend.known_id(self._opened_as)

    @id.setter
    def id(self, value: str) -> None:
        self._opened_as = value

    def __reduce__(self) -> tuple[object, ...]:
        version = self._assumed.__dict__.get("primary_version") or None
        return (_reopen, (self.kms, self.id, self._assumed.spec, version))

    def _choose(self, usage: KeyUsage, algorithm: str | None) -> Algorithm:
        """Whether an RSA key signs or decrypts is not known here; the service refuses what it is not for."""
        if usage not in self._spec.algorithms:
            raise UnsupportedError(
                f"this key is taken for {self._spec.name}, which is not for {usage}",
                hint="this user may not describe it, so say which spec it has: kms.key(id, spec=...)",
            )
        return choose(self._spec, usage, algorithm)


def _reopen(kms: Kms, key_id: str, spec: str, version: str | None) -> Key:
    return kms.key(key_id, spec=spec, version=version)
