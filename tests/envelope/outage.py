"""A backend that can be taken away: keys as in the software backend, until its `outage` is set."""

from __future__ import annotations

from typing import ClassVar

import kmskit
from kmskit.backend import Context
from kmskit.backends.software import SoftwareBackend
from kmskit.types import Buffer
from kmskit.uri import parse

__all__ = ["Remote", "connect"]

_MARK = b"remote:"  # Wrapped data keys of another size than the software backend's.


class Remote(SoftwareBackend):
    """Stands for a service behind a network: every use of a key may fail with `outage`."""

    name: ClassVar[str] = "remote"
    outage: kmskit.KmsError | None = None

    def _go(self) -> None:
        if self.outage is not None:
            raise self.outage

    def generate_data_key(self, key_id: str, length: int, context: Context, /) -> tuple[bytearray, bytes]:
        self._go()
        plaintext, wrapped = super().generate_data_key(key_id, length, context)
        return plaintext, _MARK + wrapped

    def wrap_data_key(self, key_id: str, data_key: Buffer, context: Context, /) -> bytes:
        self._go()
        return _MARK + super().wrap_data_key(key_id, data_key, context)

    def decrypt_data_key(self, key_id: str, ciphertext: Buffer, context: Context, /) -> bytearray:
        self._go()
        return super().decrypt_data_key(key_id, bytes(ciphertext).removeprefix(_MARK), context)

    def wrapped_size(self, length: int, /) -> int:
        return len(_MARK) + super().wrapped_size(length)


def connect() -> tuple[kmskit.Kms, Remote]:
    """A Kms over such a backend, and the backend."""
    backend = Remote.open(parse("software:?memory=1"))
    return kmskit.Kms("remote:", backend), backend
