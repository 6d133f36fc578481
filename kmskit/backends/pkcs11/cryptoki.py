"""A PKCS#11 module's functions by ctypes: what python-pkcs11 does not have. `session` has those of every use of a key.

python-pkcs11 initialises a module without telling it to lock, and then works with it from several threads at once; it
cannot initialise a token; it sets one attribute at a time; and its buffers are not what every module's AES-GCM takes.
What is called here works on plain handles, which are valid in all sessions of a process (PKCS#11 v3.0, 2.6).

Arguments are bytes in the module's own form: a CK_ULONG and a CK_BBOOL come from `ulong` and `boolean`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from ctypes import (
    CFUNCTYPE,
    Structure,
    addressof,
    c_char,
    c_char_p,
    c_ubyte,
    c_ulong,
    c_void_p,
    sizeof,
    string_at,
)
from functools import cached_property
from typing import Any

from pkcs11.exceptions import PKCS11Error

__all__ = ["FALSE", "TRUE", "Cryptoki", "CryptokiError", "boolean", "ulong"]

TRUE, FALSE = b"\x01", b"\x00"

# The order is that of CK_FUNCTION_LIST, whose first member is the version (PKCS#11 v2.40, pkcs11f.h).
_FUNCTIONS = """
Initialize Finalize GetInfo GetFunctionList GetSlotList GetSlotInfo GetTokenInfo GetMechanismList GetMechanismInfo
InitToken InitPIN SetPIN OpenSession CloseSession CloseAllSessions GetSessionInfo GetOperationState SetOperationState
Login Logout CreateObject CopyObject DestroyObject GetObjectSize GetAttributeValue SetAttributeValue FindObjectsInit
FindObjects FindObjectsFinal EncryptInit Encrypt EncryptUpdate EncryptFinal DecryptInit Decrypt DecryptUpdate
DecryptFinal DigestInit Digest DigestUpdate DigestKey DigestFinal SignInit Sign
"""

_OS_LOCKING_OK = 2
_CANT_LOCK, _ALREADY_INITIALIZED = 0x0A, 0x191
_ALREADY_LOGGED_IN = 0x100
_UNAVAILABLE = c_ulong(-1).value
_USER_STATES = (1, 3)  # CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS
_FOUND_AT_A_TIME = 256
_ATTRIBUTE_ROOM = 1056  # A label of 249 characters, a modulus of 8,192 bits.
_LARGEST_ATTRIBUTE = 1 << 16


def ulong(value: int) -> bytes:
    return value.to_bytes(sizeof(c_ulong), sys.byteorder)


def boolean(value: bool) -> bytes:
    return TRUE if value else FALSE


class CryptokiError(PKCS11Error):
    """A function's return value that is not CKR_OK.

    Attributes:
        code: the CK_RV.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"CK_RV 0x{code:x}")
        self.code = code


class _InitializeArgs(Structure):
    _fields_ = (
        ("create_mutex", c_void_p),
        ("destroy_mutex", c_void_p),
        ("lock_mutex", c_void_p),
        ("unlock_mutex", c_void_p),
        ("flags", c_ulong),
        ("reserved", c_char_p),
    )


class _Info(Structure):
    _fields_ = (
        ("version", c_ubyte * 2),
        ("manufacturer", c_char * 32),
        ("flags", c_ulong),
        ("description", c_char * 32),
        ("library_version", c_ubyte * 2),
    )


class _MechanismInfo(Structure):
    _fields_ = (("least", c_ulong), ("most", c_ulong), ("flags", c_ulong))


class _SessionInfo(Structure):
    _fields_ = (("slot", c_ulong), ("state", c_ulong), ("flags", c_ulong), ("device_error", c_ulong))


class _Attribute(Structure):
    _fields_ = (("type", c_ulong), ("value", c_void_p), ("length", c_ulong))


class Cryptoki:
    """A loaded module.

    Attributes:
        locks: whether it may be called from several threads at once. Not so if it cannot lock, or if someone else has
            initialised it, who may not have told it to.
    """

    locks: bool = True

    def __init__(self, path: str) -> None:
        """OSError if it cannot be loaded, AttributeError if it is no PKCS#11 module."""
        self._library = ctypes.CDLL(path)
        functions = c_void_p()
        _check(self._library.C_GetFunctionList(ctypes.byref(functions)))
        start = (functions.value or 0) + sizeof(c_void_p)
        self._addresses = {
            name: c_void_p.from_address(start + index * sizeof(c_void_p)).value or 0
            for index, name in enumerate(_FUNCTIONS.split())
        }
        self._get_session_info = self.function("GetSessionInfo", c_ulong, c_void_p)
        self._get_attributes = self.function("GetAttributeValue", c_ulong, c_ulong, c_void_p, c_ulong)
        self._set_attributes = self.function("SetAttributeValue", c_ulong, c_ulong, c_void_p, c_ulong)
        self._find_init = self.function("FindObjectsInit", c_ulong, c_void_p, c_ulong)
        self._find = self.function("FindObjects", c_ulong, c_void_p, c_ulong, c_void_p)
        self._find_final = self.function("FindObjectsFinal", c_ulong)

    def function(self, name: str, *types: Any) -> Any:
        """One function, by its name without `C_`, with the types of its arguments."""
        return CFUNCTYPE(c_ulong, *types)(self._addresses[name])

    # The module and its tokens

    def initialize(self, reserved: bytes | None) -> bool:
        """Initialise the module, and tell it to lock for itself.

        Args:
            reserved: parameters that only this module understands, such as NSS's.

        Returns:
            False if it was initialised already, by someone else in this process.
        """
        self.locks = True
        initialize = self.function("Initialize", c_void_p)
        arguments = _InitializeArgs(flags=_OS_LOCKING_OK, reserved=reserved)
        code = initialize(addressof(arguments))
        if code == _CANT_LOCK:
            self.locks = False
            arguments.flags = 0
            code = initialize(addressof(arguments) if reserved is not None else None)
        if code == _ALREADY_INITIALIZED:
            self.locks = False
            return False
        _check(code)
        return True

    def finalize(self) -> None:
        _check(self.function("Finalize", c_void_p)(None))

    @cached_property
    def manufacturer(self) -> str:
        """Who made the module, as it says itself once it is initialised."""
        maker: bytes = self._info().manufacturer
        return maker.decode(errors="replace").rstrip()

    @property
    def version(self) -> str:
        """The library's version, as it says itself."""
        major, minor = self._info().library_version
        return f"{major}.{minor}"

    def _info(self) -> _Info:
        info = _Info()
        _check(self.function("GetInfo", c_void_p)(addressof(info)))
        return info

    def mechanism(self, slot: int, number: int) -> tuple[int, int, int] | None:
        """Least and greatest key size of a mechanism and its flags; None if the slot does not tell.

        SoftHSM only sets bits in what it is given, so it is given zeros; python-pkcs11 gives it what lies there.
        """
        info = _MechanismInfo()
        if self.function("GetMechanismInfo", c_ulong, c_ulong, c_void_p)(slot, number, addressof(info)):
            return None
        return info.least, info.most, info.flags

    def init_token(self, slot: int, so_pin: bytes, label: str) -> None:
        """Make a token in a slot. What was in it is lost."""
        padded = label.encode().ljust(32)
        _check(self.function("InitToken", c_ulong, c_char_p, c_ulong, c_char_p)(slot, so_pin, len(so_pin), padded))

    def login(self, session: int, user_type: int, pin: bytes | None) -> bool:
        """Log the process in. A PIN of None is entered at the token itself.

        Returns:
            False if the process was logged in already, so that the PIN was not looked at.
        """
        code = self.function("Login", c_ulong, c_ulong, c_char_p, c_ulong)(session, user_type, pin, len(pin or b""))
        if code == _ALREADY_LOGGED_IN:
            return False
        _check(code)
        return True

    def logout(self, session: int) -> None:
        _check(self.function("Logout", c_ulong)(session))

    def answers(self, session: int, *, logged_in: bool) -> bool:
        """Whether a session is there, and the user is logged in, where that is wanted."""
        info = _SessionInfo()
        return not self._get_session_info(session, addressof(info)) and (not logged_in or info.state in _USER_STATES)

    def close_session(self, session: int) -> None:
        """Close a session. It may be gone already."""
        self.function("CloseSession", c_ulong)(session)

    # Objects

    def find(self, session: int, wanted: Mapping[int, bytes]) -> list[int]:
        """The handles of the objects that have all these attributes."""
        template = _template(wanted)
        _check(self._find_init(session, template, len(wanted)))
        room, count, found = (c_ulong * _FOUND_AT_A_TIME)(), c_ulong(), []
        while True:
            _check(self._find(session, addressof(room), _FOUND_AT_A_TIME, addressof(count)))
            found += room[: count.value]
            if not count.value:
                break
        _check(self._find_final(session))
        return found

    def attributes(self, session: int, handle: int, types: Sequence[int]) -> list[bytes | None]:
        """The values of an object's attributes, in this order; None for one that it does not have or does not show."""
        template = (_Attribute * len(types))()
        room = ctypes.create_string_buffer(_ATTRIBUTE_ROOM * len(types))
        for index, kind in enumerate(types):
            template[index] = _Attribute(kind, addressof(room) + index * _ATTRIBUTE_ROOM, _ATTRIBUTE_ROOM)
        if self._get_attributes(session, handle, addressof(template), len(types)):
            # One is missing, secret or large. What a module then says of the others differs: ask one by one.
            return [self._attribute(session, handle, kind) for kind in types]
        return [string_at(attribute.value, attribute.length) for attribute in template]

    def _attribute(self, session: int, handle: int, kind: int) -> bytes | None:
        attribute = _Attribute(kind, None, 0)
        code = self._get_attributes(session, handle, addressof(attribute), 1)
        if code in (0x11, 0x12) or (not code and attribute.length == _UNAVAILABLE):  # ATTRIBUTE_SENSITIVE, TYPE_INVALID
            return None
        _check(code)
        length = min(attribute.length, _LARGEST_ATTRIBUTE)
        room = ctypes.create_string_buffer(length or 1)
        attribute.value, attribute.length = addressof(room), length
        _check(self._get_attributes(session, handle, addressof(attribute), 1))
        return room.raw[: attribute.length]

    def set_attributes(self, session: int, handle: int, values: Mapping[int, bytes]) -> None:
        """Change attributes of an object, all in one call."""
        _check(self._set_attributes(session, handle, _template(values), len(values)))

    def copy(self, session: int, handle: int, values: Mapping[int, bytes]) -> int:
        """A copy of an object, with some attributes changed."""
        made = c_ulong()
        copy = self.function("CopyObject", c_ulong, c_ulong, c_void_p, c_ulong, c_void_p)
        _check(copy(session, handle, _template(values), len(values), addressof(made)))
        return made.value

    def destroy(self, session: int, handle: int) -> None:
        _check(self.function("DestroyObject", c_ulong, c_ulong)(session, handle))


def _template(values: Mapping[int, bytes]) -> Any:
    """A CK_ATTRIBUTE array. It holds its values by pointer only, so `values` must live as long."""
    template = (_Attribute * max(1, len(values)))()
    for index, (kind, value) in enumerate(values.items()):
        template[index] = _Attribute(kind, ctypes.cast(c_char_p(value), c_void_p).value, len(value))
    return template


def _check(code: int) -> None:
    if code:
        raise CryptokiError(code)
