"""Key material from outside, wrapped under a public key that is given out for it."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from hmac import compare_digest

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from kmskit.emulator.clock import timestamp
from kmskit.emulator.errors import ServiceError, invalid, unsupported
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.state import ImportParameters, Key

_TOKEN_SECONDS = 24 * 3600.0
_END_OF_9999 = 253_402_300_799  # The last second whose date has a year of four digits.
_PADDINGS = {
    "RSAES_OAEP_SHA_256": padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
    "RSAES_OAEP_SHA_1": padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303
    "RSAES_PKCS1_V1_5": padding.PKCS1v15(),
}


def _external_key(call: Call) -> Key:
    key = call.key(alias=False)
    if key.origin != "EXTERNAL":
        raise ServiceError(400, "Unsupported.Origin", "This key origin is not valid for this api")
    return key


@operation("GetParametersForImport", slow=True, quota=30, partly="EC_SM2", evidence="SDK source")
def get_parameters_for_import(call: Call) -> Answer:
    algorithm = call.choice("WrappingAlgorithm", *_PADDINGS, "SM2PKE")
    if call.choice("WrappingKeySpec", "RSA_2048", "EC_SM2") == "EC_SM2" or algorithm == "SM2PKE":
        raise unsupported("SM2 is not built.")
    key = _external_key(call)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    token = secrets.token_urlsafe(96)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    given = ImportParameters(
        id=_known_as(token),
        key=key.id,
        algorithm=algorithm,
        expires=call.now + _TOKEN_SECONDS,
        private_key=b64encode(der).decode(),
    )
    with call.state.change() as change:
        change.put(given)
        for old in call.state.all(ImportParameters):
            if old.expires + _TOKEN_SECONDS < call.now:  # Kept a day longer, so as to be told as expired.
                change.drop(old)
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "KeyId": key.id,
        "ImportToken": token,
        "PublicKey": b64encode(public).decode(),
        "TokenExpireTime": timestamp(given.expires),
    }


def _known_as(token: str) -> str:
    """The token itself is nowhere kept."""
    return sha256(token.encode()).hexdigest()


@operation("ImportKeyMaterial", writes=True, partly="EC_SM2", evidence="SDK source")
def import_key_material(call: Call) -> Answer:
    token, wrapped = call.text("ImportToken", most=1024), call.binary("EncryptedKeyMaterial")
    expires = call.integer("KeyMaterialExpireUnix", 0, _END_OF_9999)
    key = _external_key(call)
    if key.state == "PendingDeletion":
        call.account.require_state(key, "Enabled", "Disabled", "PendingImport")
    given = call.state.get(ImportParameters, _known_as(token))
    if given is None or given.key != key.id:
        raise ServiceError(400, "InvalidImportToken", "import token is invalid")
    if given.expires <= call.now:
        raise ServiceError(400, "ExpiredImportToken", "import token is expired")
    if expires and expires <= call.now:
        raise invalid("KeyMaterialExpireUnix", "It lies in the past.")
    material = _unwrap(given, wrapped)
    mark = sha256(material).hexdigest()
    if len(material) * 8 != call.spec(key).bits or (key.material_mark and not compare_digest(mark, key.material_mark)):
        raise ServiceError(400, "InvalidKeyMaterial", "key material is invalid")
    state = "Enabled" if key.state == "PendingImport" else key.state
    with call.state.change() as change:
        change.put(replace(call.primary(key), material=b64encode(material).decode()))
        change.put(replace(key, state=state, material_mark=mark, material_expires=float(expires) if expires else None))
    return {}


def _unwrap(given: ImportParameters, wrapped: bytes) -> bytes:
    private = load_der_private_key(b64decode(given.private_key), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(private, rsa.RSAPrivateKey)  # noqa: S101  # It was made here.
    try:
        return private.decrypt(wrapped, _PADDINGS[given.algorithm])
    except ValueError:
        return b""


@operation("DeleteKeyMaterial", writes=True, evidence="SDK source")
def delete_key_material(call: Call) -> Answer:
    key = _external_key(call)
    with call.state.change() as change:
        call.account.without_material(change, key)
    return {}
