"""A session of a PKCS#11 module, with what every use of a key calls in it."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import Structure, addressof, c_char_p, c_ulong, c_void_p, sizeof
from typing import Any

from kmskit.backends.pkcs11.cryptoki import Cryptoki, CryptokiError

__all__ = ["Session", "VerdictError"]

_AES_GCM = 0x1087
_HEAD = 17  # Of a local ciphertext: its first byte, the version and the IV.
# CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_ENCRYPTED_DATA_INVALID, and CKR_AEAD_DECRYPT_FAILED of version 3.0.
_VERDICTS = (0x05, 0x06, 0x40, 0x42)


class VerdictError(CryptokiError):
    """A decryption that had begun was not finished: the ciphertext is wrong, if the token is still well."""


class _Mechanism(Structure):
    _fields_ = (("mechanism", c_ulong), ("parameter", c_void_p), ("length", c_ulong))


class _GcmParams(Structure):
    _fields_ = (
        ("iv", c_void_p),
        ("iv_length", c_ulong),
        ("iv_bits", c_ulong),
        ("aad", c_char_p),
        ("aad_length", c_ulong),
        ("tag_bits", c_ulong),
    )


class Session:
    """A session of the module, with the buffers that its calls fill. For one thread at a time.

    Attributes:
        handle: the CK_SESSION_HANDLE.
        epoch: of the login that it belongs to; handles of objects are good within one epoch.
        generation: of the module's initialisation; the handle itself is good within one.
        p11: the same session as python-pkcs11 has it.
        alone: whether the thread that has it holds the module's lock, because the module does not lock for itself.
    """

    alone: bool = False

    def __init__(self, cryptoki: Cryptoki, p11: Any, epoch: int, generation: int) -> None:
        self.cryptoki = cryptoki
        self.generation = generation
        self.handle: int = p11.handle
        self.epoch = epoch
        self.p11 = p11
        # AES-GCM is everyone's first loop. A call without declared types converts nothing and takes half the time; so
        # its arguments are ctypes objects, made once, or bytes. A plain int would be cut to 32 bits.
        self._encrypt_init = cryptoki.function("EncryptInit")
        self._encrypt = cryptoki.function("Encrypt")
        self._decrypt_init = cryptoki.function("DecryptInit")
        self._decrypt = cryptoki.function("Decrypt")
        self._sign_init = cryptoki.function("SignInit", c_ulong, c_void_p, c_ulong)
        self._sign = cryptoki.function("Sign", c_ulong, c_char_p, c_ulong, c_void_p, c_void_p)
        self._handle, self._key, self._size, self._length = c_ulong(self.handle), c_ulong(), c_ulong(), c_ulong()
        self._length_at = c_void_p(addressof(self._length))
        self._gcm_params = _GcmParams(iv_length=12, iv_bits=96, aad=b"", tag_bits=128)
        self._gcm_mechanism = _Mechanism(_AES_GCM, addressof(self._gcm_params), sizeof(_GcmParams))
        self._gcm = c_void_p(addressof(self._gcm_mechanism))
        self._aad = b""
        self._make_room(4096)

    def _make_room(self, size: int) -> None:
        """Room for a head, whose end is the IV, and after it for what a call gives."""
        self._room: Any = ctypes.create_string_buffer(_HEAD + size)  # A slice of it is bytes.
        self._view = memoryview(self._room).cast("B")
        self._gcm_params.iv = addressof(self._room) + _HEAD - 12
        self._room_at, self._room_size = c_void_p(addressof(self._room) + _HEAD), size

    def _bind(self, aad: bytes) -> None:
        self._aad = self._gcm_params.aad = aad
        self._gcm_params.aad_length = len(aad)

    def encrypt_gcm(self, key: int, head: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """AES-GCM with a 16-byte tag (NIST SP 800-38D).

        Args:
            head: 17 bytes; the last 12 are the IV.

        Returns:
            the head, the ciphertext and its tag.
        """
        size = len(plaintext)
        if size + 32 > self._room_size:
            self._make_room(size + 4096)
        self._view[:_HEAD] = head
        if aad or self._aad:
            self._bind(aad)
        self._key.value = key
        if code := self._encrypt_init(self._handle, self._gcm, self._key):
            raise CryptokiError(code)
        self._size.value = size
        self._length.value = self._room_size
        if code := self._encrypt(self._handle, plaintext, self._size, self._room_at, self._length_at):
            raise CryptokiError(code)
        sealed: bytes = self._room[: _HEAD + self._length.value]
        return sealed

    def decrypt_gcm(self, key: int, head: bytes, body: bytes, aad: bytes) -> bytes:
        """The plaintext of what `encrypt_gcm` returned, as head and rest; VerdictError if it does not authenticate."""
        size = len(body)
        if size + 32 > self._room_size:
            self._make_room(size + 4096)
        self._view[:_HEAD] = head
        if aad or self._aad:
            self._bind(aad)
        return self._opened(key, self._gcm, body)

    def decrypt(self, key: int, mechanism: int, parameter: bytes | None, ciphertext: bytes) -> bytes:
        """The plaintext; VerdictError if it does not open."""
        kept = _mechanism(mechanism, parameter)
        return self._opened(key, c_void_p(addressof(kept)), ciphertext)

    def _opened(self, key: int, mechanism: c_void_p, ciphertext: bytes) -> bytes:
        self._key.value = key
        if code := self._decrypt_init(self._handle, mechanism, self._key):
            raise CryptokiError(code)
        self._size.value = len(ciphertext)
        self._length.value = self._room_size
        if code := self._decrypt(self._handle, ciphertext, self._size, self._room_at, self._length_at):
            raise (VerdictError if code in _VERDICTS else CryptokiError)(code)
        end = _HEAD + self._length.value
        plaintext: bytes = self._room[_HEAD:end]
        self._view[_HEAD:end] = bytes(end - _HEAD)  # Not through the array, which would set one byte after the other.
        return plaintext

    def sign(self, key: int, mechanism: int, parameter: bytes | None, data: bytes) -> bytes:
        """A signature, or a MAC."""
        kept = _mechanism(mechanism, parameter)
        if code := self._sign_init(self.handle, addressof(kept), key):
            raise CryptokiError(code)
        self._length.value = self._room_size
        if code := self._sign(self.handle, data, len(data), self._room_at, self._length_at):
            raise CryptokiError(code)
        signature: bytes = self._room[_HEAD : _HEAD + self._length.value]
        return signature

    # Objects, as Cryptoki has them.

    def find(self, wanted: Mapping[int, bytes]) -> list[int]:
        return self.cryptoki.find(self.handle, wanted)

    def attributes(self, handle: int, types: Sequence[int]) -> list[bytes | None]:
        return self.cryptoki.attributes(self.handle, handle, types)

    def set_attributes(self, handle: int, values: Mapping[int, bytes]) -> None:
        self.cryptoki.set_attributes(self.handle, handle, values)

    def copy(self, handle: int, values: Mapping[int, bytes]) -> int:
        return self.cryptoki.copy(self.handle, handle, values)

    def destroy(self, handle: int) -> None:
        self.cryptoki.destroy(self.handle, handle)


def _mechanism(number: int, parameter: bytes | None) -> _Mechanism:
    mechanism = _Mechanism(number, None, 0)
    if parameter is not None:
        mechanism.parameter = ctypes.cast(c_char_p(parameter), c_void_p)
        mechanism.length = len(parameter)
        mechanism.owner = parameter  # The pointer alone does not keep it.
    return mechanism
