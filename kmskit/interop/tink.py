"""`export_keyset`: an exportable key as a keyset of Tink, Google's cryptographic library.

    clear      {"primaryKeyId": u32, "key": [{"keyData": {"typeUrl": …, "value": …, "keyMaterialType": …},
                                              "status": "ENABLED", "keyId": u32, "outputPrefixType": …}, …]}
    encrypted  {"encryptedKeyset": …, "keysetInfo": {"primaryKeyId": u32, "keyInfo": [{"typeUrl": …, …}, …]}}

Each version of the key becomes one key of the keyset, and its version id the keyId. `value` is base64 of a protobuf
message, which depends on the spec:

    spec                        message of google.crypto.tink             prefix  with it Tink takes and makes
    AES_128 AES_256             AesGcmKey                                 TINK    what `key.encrypt` returns
    HMAC_256 HMAC_384 HMAC_512  HmacKey, the tag as long as the digest    RAW     what `key.mac` returns
    EC_P256 EC_P384 EC_P521     EcdsaPrivateKey, signatures in DER        RAW     what `key.sign` returns
    ED25519                     Ed25519PrivateKey                         RAW     what `key.sign` returns
    RSA_2048 RSA_3072 RSA_4096  RsaSsaPssPrivateKey, SHA-256, salt 32     RAW     what `key.sign` returns (PSS)

The prefix TINK means that the output begins with 01 and the keyId, RAW that nothing stands before it. Tink's associated
data are the bytes of the context, `kmskit.context.canonical(context)`. `encryptedKeyset` is base64 of the keyset as a
protobuf message, encrypted without a context.

Sources: Tink's wire format (developers.google.com/tink/wire-format), the messages in the folder `proto` of
github.com/tink-crypto/tink-java, and protobuf's encoding (protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from kmskit.algorithms import SPECS, Algorithm, Spec, choose
from kmskit.errors import UnsupportedError
from kmskit.key import Key
from kmskit.types import KeySpec, KeyUsage

__all__ = ["export_keyset"]

# Numbers of Tink's enumerations.
_HASHES = {"SHA384": 2, "SHA256": 3, "SHA512": 4}
_CURVES = {KeySpec.EC_P256: 2, KeySpec.EC_P384: 3, KeySpec.EC_P521: 4}
_DER = 2
_ENABLED = 1
_MATERIAL_TYPES = {"SYMMETRIC": 1, "ASYMMETRIC_PRIVATE": 2}
_PREFIXES = {"TINK": 1, "RAW": 3}

_RSA_EXPONENT = 65537


class _KeyType(NamedTuple):
    """What Tink calls a kind of key, and how its material becomes the message of that name."""

    message: str
    material_type: str
    prefix: str
    encode: Callable[[bytes, Spec, Algorithm], bytes]

    @property
    def type_url(self) -> str:
        return f"type.googleapis.com/google.crypto.tink.{self.message}"


def export_keyset(key: Key, *, wrap_with: Key | None = None) -> str:
    """The keyset with which Tink does what this key does; the table of this module says which specs Tink has.

    In Python `tink.json_proto_keyset_format.parse` reads the clear form; `parse_encrypted` the other, with an AEAD of
    the wrapping key and empty associated data. That AEAD may come from the keyset of an exported wrapping key.

    Args:
        key: a key made with `exportable=True`.
        wrap_with: an AES key, of any backend, to encrypt the keyset with. Without one the text holds the key itself:
            guard it as you would guard the key.

    Returns:
        JSON text.

    Raises:
        TypeError: not a Key.
        UnsupportedError: the key was not made exportable, Tink has none of its kind, or `wrap_with` is not an AES key.
        KeyStateError: one of the keys is disabled or pending deletion.
        LimitExceededError: the keyset has more versions than `wrap_with` can encrypt in one call.
    """
    _check("key", key)
    kind = _kind_of(key)
    if wrap_with is not None:
        _check("wrap_with", wrap_with)
        if SPECS[wrap_with.spec].family != "AES":
            raise UnsupportedError(
                f"wrap_with: Tink opens a keyset with an AEAD, and has none for {wrap_with.spec}",
                hint="wrap the keyset with an AES_256 key",
            )
    spec = SPECS[key.spec]
    algorithm = choose(spec, key.usage, None)
    # Newer than the caller's snapshot, in which a rotation by another process could be missing.
    primary = int(key.kms.key(key.id).primary_version, 16)
    keys = {
        int(version, 16): kind.encode(material, spec, algorithm) for version, material in key.export_material().items()
    }
    if wrap_with is None:
        clear = {"primaryKeyId": primary, "key": [_json_key(kind, number, value) for number, value in keys.items()]}
        return json.dumps(clear, indent=2)
    info = {"primaryKeyId": primary, "keyInfo": [{"typeUrl": kind.type_url, **_facts(kind, number)} for number in keys]}
    encrypted = wrap_with.encrypt(_keyset(kind, primary, keys))
    return json.dumps({"encryptedKeyset": b64encode(encrypted).decode(), "keysetInfo": info}, indent=2)


def _check(argument: str, key: object) -> None:
    if not isinstance(key, Key):
        raise TypeError(f"{argument}: a Key expected, not {type(key).__name__}")


def _kind_of(key: Key) -> _KeyType:
    family = SPECS[key.spec].family
    missing = {KeySpec.SM4: "SM4", KeySpec.EC_P256K: "secp256k1"}.get(key.spec)
    if family == "RSA" and key.usage is KeyUsage.ENCRYPT_DECRYPT:
        missing = "RSA-OAEP"
    if missing is not None:
        raise UnsupportedError(f"Tink has no {missing}, so no keyset for this key", hint="use the key through kmskit")
    return _KEY_TYPES[family]


# JSON


def _facts(kind: _KeyType, number: int) -> dict[str, Any]:
    return {"status": "ENABLED", "keyId": number, "outputPrefixType": kind.prefix}


def _json_key(kind: _KeyType, number: int, value: bytes) -> dict[str, Any]:
    data = {"typeUrl": kind.type_url, "value": b64encode(value).decode(), "keyMaterialType": kind.material_type}
    return {"keyData": data, **_facts(kind, number)}


# Protobuf. A message is its fields one after another; each is a tag of number and wire type, then an integer or counted
# bytes.


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _message(*fields: tuple[int, int | bytes]) -> bytes:
    """A message of (field number, value). Zero and nothing are the defaults and are left out."""
    return b"".join(
        _varint(number << 3) + _varint(value)
        if isinstance(value, int)
        else _varint(number << 3 | 2) + _varint(len(value)) + value
        for number, value in fields
        if value
    )


def _keyset(kind: _KeyType, primary: int, keys: dict[int, bytes]) -> bytes:
    def entry(number: int, value: bytes) -> bytes:
        data = _message((1, kind.type_url.encode()), (2, value), (3, _MATERIAL_TYPES[kind.material_type]))
        return _message((1, data), (2, _ENABLED), (3, number), (4, _PREFIXES[kind.prefix]))

    return _message((1, primary), *[(2, entry(number, value)) for number, value in keys.items()])


# Material


def _aes(material: bytes, spec: Spec, algorithm: Algorithm) -> bytes:
    return _message((3, material))


def _hmac(material: bytes, spec: Spec, algorithm: Algorithm) -> bytes:
    parameters = _message((1, _HASHES[algorithm.digest or ""]), (2, algorithm.digest_size))
    return _message((2, parameters), (3, material))


def _ecdsa(material: bytes, spec: Spec, algorithm: Algorithm) -> bytes:
    private: Any = load_der_private_key(material, None)
    size = (spec.bits + 7) // 8
    numbers = private.private_numbers()
    point = numbers.public_numbers
    parameters = _message((1, _HASHES[algorithm.digest or ""]), (2, _CURVES[spec.name]), (3, _DER))
    public = _message((2, parameters), (3, point.x.to_bytes(size)), (4, point.y.to_bytes(size)))
    return _message((2, public), (3, numbers.private_value.to_bytes(size)))


def _ed25519(material: bytes, spec: Spec, algorithm: Algorithm) -> bytes:
    private: Any = load_der_private_key(material, None)
    secret = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return _message((2, secret), (3, _message((2, public))))


def _rsa_pss(material: bytes, spec: Spec, algorithm: Algorithm) -> bytes:
    private: Any = load_der_private_key(material, None)
    numbers: rsa.RSAPrivateNumbers = private.private_numbers()
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    if e != _RSA_EXPONENT:  # No Tink takes a smaller one, and Tink for Go no other one.
        raise UnsupportedError(
            f"Tink wants RSA keys with the public exponent {_RSA_EXPONENT:,}, and this one has {e:,}",
            hint="use the key through kmskit",
        )
    digest = _HASHES[algorithm.digest or ""]
    parameters = _message((1, digest), (2, digest), (3, algorithm.digest_size))  # The salt is as long as the digest.
    public = _message((2, parameters), *_integers(3, (n, e)))
    secrets = (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    return _message((2, public), *_integers(3, secrets))


def _integers(first: int, values: Iterable[int]) -> list[tuple[int, bytes]]:
    """Unsigned big-endian integers in fields that follow one another."""
    return [(number, value.to_bytes((value.bit_length() + 7) // 8)) for number, value in enumerate(values, first)]


_KEY_TYPES = {
    "AES": _KeyType("AesGcmKey", "SYMMETRIC", "TINK", _aes),
    "HMAC": _KeyType("HmacKey", "SYMMETRIC", "RAW", _hmac),
    "EC": _KeyType("EcdsaPrivateKey", "ASYMMETRIC_PRIVATE", "RAW", _ecdsa),
    "EDWARDS": _KeyType("Ed25519PrivateKey", "ASYMMETRIC_PRIVATE", "RAW", _ed25519),
    "RSA": _KeyType("RsaSsaPssPrivateKey", "ASYMMETRIC_PRIVATE", "RAW", _rsa_pss),
}
