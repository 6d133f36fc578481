"""What is on a token: kmskit's keys, read from the attributes of objects.

    CKA_ID      the key's id, a UUID of version 7: 16 bytes                       of a first version, and of all halves
                id 16 | version u32 | position u16, big-endian                    of a later version
    CKA_LABEL   the key's first alias, the same for all its versions; empty if it has none

A UUID of version 7 (RFC 9562) begins with the time at which it was made, so keys sort by their age and tell when they
were made. The first version's number is the last four bytes of the id, which are random. A version that may encrypt or
sign has CKA_ENCRYPT or CKA_SIGN; of a disabled key none has, and none may decrypt. The public half of an asymmetric key
keeps its flags, which tell the key's usage. A key is there if its secret or private half is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from struct import Struct
from uuid import UUID

from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType

from kmskit.algorithms import SPECS, Spec
from kmskit.backends.pkcs11.cryptoki import FALSE, TRUE, CryptokiError, ulong
from kmskit.backends.pkcs11.publichalf import curve_of
from kmskit.backends.pkcs11.session import Session
from kmskit.types import KeyUsage

__all__ = [
    "GONE",
    "Material",
    "TokenKey",
    "created",
    "new_key_id",
    "pack_id",
    "parse_id",
    "read_keys",
    "renewed",
    "unfinished",
]

_LATER = Struct(">16sIH")
GONE = (0x060, 0x082)  # CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID
_A = Attribute
_SECRET = (_A.KEY_TYPE, _A.ID, _A.LABEL, _A.ENCRYPT, _A.DECRYPT, _A.SIGN, _A.NEVER_EXTRACTABLE, _A.LOCAL, _A.VALUE_LEN)
_PRIVATE = (_A.KEY_TYPE, _A.ID, _A.LABEL, _A.DECRYPT, _A.SIGN, _A.NEVER_EXTRACTABLE, _A.LOCAL)
_PUBLIC = (_A.ID, _A.VERIFY)
_SECRET_FLAGS = (_A.LABEL, _A.DECRYPT, _A.SIGN, _A.ENCRYPT)
_PRIVATE_FLAGS = (_A.LABEL, _A.DECRYPT, _A.SIGN)
_Values = Mapping[Attribute, bytes | None]
_ON_TOKEN: Mapping[int, bytes] = {_A.TOKEN: TRUE}


def new_key_id(now: float) -> str:
    """A UUID of version 7 for a key made at `now`, in seconds since 1970."""
    value = int.from_bytes(int(now * 1000).to_bytes(6) + os.urandom(10))
    return str(UUID(int=value & ~(0xF << 76) & ~(3 << 62) | 7 << 76 | 2 << 62))


def created(key_id: str) -> datetime:
    """When a key was made, as its id says."""
    return datetime.fromtimestamp((UUID(key_id).int >> 80) / 1000, UTC)


def pack_id(key_id: str, version: int, position: int) -> bytes:
    """The CKA_ID of a version."""
    identity = UUID(key_id).bytes
    return _LATER.pack(identity, version, position) if position else identity


def parse_id(value: bytes) -> tuple[str, int, int] | None:
    """Key id, version and position in a CKA_ID; None if no kmskit made it."""
    if len(value) not in (16, _LATER.size) or value[6] >> 4 != 7 or value[8] >> 6 != 2:
        return None
    key_id = str(UUID(bytes=value[:16]))
    if len(value) == 16:
        return key_id, first_version(key_id), 0
    _, version, position = _LATER.unpack(value)
    return key_id, version, position


def first_version(key_id: str) -> int:
    return UUID(key_id).int & 0xFFFFFFFF


@dataclass(slots=True)
class Material:
    """One version: a secret or private key object.

    Attributes:
        handle: of the object, good within an epoch.
        may_begin: whether it may encrypt, or sign.
        may_open: whether it may decrypt.
    """

    handle: int
    version: int
    position: int
    label: str
    may_begin: bool
    may_open: bool

    @property
    def enabled(self) -> bool:
        return self.may_begin or self.may_open


@dataclass(slots=True)
class TokenKey:
    """One key, as the token shows it.

    Attributes:
        generated: whether it was made in the token.
        epoch: in which its handles are good.
        materials: its versions, oldest first.
        public: the handle of its public half; None if it has none.
        spares: second copies of its objects, left by a process that was killed while it replaced one.
    """

    id: str
    spec: Spec
    usage: KeyUsage
    generated: bool
    epoch: int
    materials: list[Material]
    public: int | None = None
    spares: list[int] = field(default_factory=list)

    @property
    def newest(self) -> Material:
        return self.materials[-1]

    @property
    def label(self) -> str:
        """Its first alias, or empty."""
        return self.newest.label

    @property
    def enabled(self) -> bool:
        return self.newest.enabled

    @property
    def was_rotated_elsewhere(self) -> bool:
        """Whether there must be a newer version than those read: this one opens, and begins nothing any more."""
        return self.spec.symmetric and self.newest.may_open and not self.newest.may_begin

    def handles(self) -> list[int]:
        """Of all its objects, one of each."""
        return [material.handle for material in self.materials] + ([] if self.public is None else [self.public])


def read_keys(session: Session) -> dict[str, TokenKey]:
    """kmskit's keys on the token by id, oldest first."""
    publics = _publics(session)
    keys: dict[str, TokenKey] = {}
    for handle, values, (key_id, version, position) in _secrets(session):
        if not _is_whole(session, values):
            continue
        if key_id not in keys and (key := _new_key(session, key_id, handle, values, publics)):
            keys[key_id] = key
        if key_id in keys:
            keys[key_id].materials.append(_material(handle, version, position, values))
    for key in keys.values():
        _order(key)
    return dict(sorted(keys.items()))


def ids_labelled(session: Session, label: str) -> list[str]:
    """The ids of the keys of which a version has a label, oldest first."""
    # One search, whose few results are sorted out here: a token looks at all of its objects for each.
    kinds = (ulong(ObjectClass.SECRET_KEY), ulong(ObjectClass.PRIVATE_KEY))
    found = {
        parse_id(values[_A.ID] or b"")
        for _, values in _objects(session, (_A.CLASS, _A.ID), {**_ON_TOKEN, _A.LABEL: label.encode()})
        if values[_A.CLASS] in kinds
    }
    return sorted({parts[0] for parts in found if parts is not None})


def unfinished(session: Session) -> list[tuple[str, int]]:
    """Id and handle of what a process that was killed leaves: lone public halves, and keys that are half made."""
    secrets = [(parts[0], handle, _is_whole(session, values)) for handle, values, parts in _secrets(session)]
    there = {key_id for key_id, _, whole in secrets if whole}
    publics = _publics(session)
    lone = [(key_id, handle) for key_id in publics if key_id not in there for handle, _ in publics[key_id]]
    return lone + [(key_id, handle) for key_id, handle, whole in secrets if not whole]


def renewed(session: Session, key: TokenKey) -> TokenKey:
    """The key with its label and flags as they are now. CryptokiError if an object is gone."""
    flags = _PRIVATE_FLAGS if key.spec.asymmetric else _SECRET_FLAGS
    materials = [
        _material(old.handle, old.version, old.position, _values(session, old.handle, flags)) for old in key.materials
    ]
    return replace(key, materials=materials)


def _values(session: Session, handle: int, attributes: tuple[Attribute, ...]) -> _Values:
    return dict(zip(attributes, session.attributes(handle, attributes), strict=True))


def _objects(
    session: Session, attributes: tuple[Attribute, ...], wanted: Mapping[int, bytes]
) -> Iterator[tuple[int, _Values]]:
    for handle in session.find(wanted):
        try:
            yield handle, _values(session, handle, attributes)
        except CryptokiError as error:
            if error.code not in GONE:  # Another program may have destroyed it just now.
                raise


def _secrets(session: Session) -> Iterator[tuple[int, _Values, tuple[str, int, int]]]:
    """The secret and private key objects with an id of kmskit's: handle, attributes, and what is in the id."""
    for kind, attributes in ((ObjectClass.SECRET_KEY, _SECRET), (ObjectClass.PRIVATE_KEY, _PRIVATE)):
        for handle, values in _objects(session, attributes, {**_ON_TOKEN, _A.CLASS: ulong(kind)}):
            if found := parse_id(values[_A.ID] or b""):
                yield handle, values, found


def _is_whole(session: Session, values: _Values) -> bool:
    """Whether the making of a key was finished.

    SoftHSM makes an object without its material, then puts that in and says where it came from. Between the two it is a
    key that was neither made there nor brought in.
    """
    if not session.cryptoki.manufacturer.startswith("SoftHSM"):
        return True
    return _flag(values[_A.LOCAL]) or not _flag(values[_A.NEVER_EXTRACTABLE])


def _publics(session: Session) -> dict[str, list[tuple[int, bool]]]:
    """Key id -> handles of its public half, and whether that verifies. There is one, but for copies left behind."""
    publics: dict[str, list[tuple[int, bool]]] = {}
    for handle, values in _objects(session, _PUBLIC, {**_ON_TOKEN, _A.CLASS: ulong(ObjectClass.PUBLIC_KEY)}):
        if found := parse_id(values[_A.ID] or b""):
            publics.setdefault(found[0], []).append((handle, _flag(values[_A.VERIFY])))
    return publics


def _new_key(
    session: Session, key_id: str, handle: int, values: _Values, publics: Mapping[str, list[tuple[int, bool]]]
) -> TokenKey | None:
    """A key without its versions, as one of its objects describes it; None if it is no whole key of kmskit's."""
    spec = _spec(session, handle, values)
    if spec is None or (spec.asymmetric and key_id not in publics):
        return None
    generated = _flag(
        values[_A.NEVER_EXTRACTABLE]
    )  # So of what is generated here, and by the standard of nothing else.
    if not spec.asymmetric:
        return TokenKey(key_id, spec, spec.default_usage, generated, session.epoch, [])
    (public, verifies), *others = publics[key_id]
    usage = KeyUsage.ENCRYPT_DECRYPT if spec.family == "RSA" and not verifies else spec.default_usage
    return TokenKey(key_id, spec, usage, generated, session.epoch, [], public, [spare for spare, _ in others])


def _order(key: TokenKey) -> None:
    """Bring the versions into order. Of two copies of one the second is a spare: the one that may do less."""
    key.materials.sort(key=lambda part: (part.position, part.version, not part.may_begin, not part.may_open))
    for index in range(len(key.materials) - 1, 0, -1):
        if key.materials[index].version == key.materials[index - 1].version:
            key.spares.append(key.materials.pop(index).handle)


def _material(handle: int, version: int, position: int, values: _Values) -> Material:
    label = (values[_A.LABEL] or b"").decode(errors="replace")
    begins = _flag(values.get(_A.ENCRYPT)) or _flag(values[_A.SIGN])
    return Material(handle, version, position, label, begins, _flag(values[_A.DECRYPT]))


def _flag(value: bytes | None) -> bool:
    return value not in (None, b"", FALSE)


def _spec(session: Session, handle: int, values: _Values) -> Spec | None:
    """The spec of an object; None if it is none of kmskit's."""
    kind = _number(values[_A.KEY_TYPE])
    if kind == KeyType.AES:
        return _named("AES", _number(values[_A.VALUE_LEN]) * 8)
    if kind == KeyType.GENERIC_SECRET:
        return _named("HMAC", _number(values[_A.VALUE_LEN]) * 8)
    if kind == KeyType.RSA:
        (modulus,) = session.attributes(handle, (_A.MODULUS,))
        return _named("RSA", int.from_bytes(modulus or b"").bit_length())
    if kind in (KeyType.EC, KeyType.EC_EDWARDS):
        (parameters,) = session.attributes(handle, (_A.EC_PARAMS,))
        return curve_of(parameters or b"")
    return None


def _number(value: bytes | None) -> int:
    return int.from_bytes(value or b"", sys.byteorder)


def _named(family: str, bits: int) -> Spec | None:
    return next((row for row in SPECS.values() if (row.family, row.bits) == (family, bits)), None)
