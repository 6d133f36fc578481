"""RSA and elliptic curves. Digests are signed as they are given; ciphertexts and signatures are the standard bytes.

ECDSA signatures are DER and PSS salts are as long as the hash: both emulator-defined, and usual.
"""

from __future__ import annotations

from base64 import b64encode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kmskit.algorithms import ALGORITHMS
from kmskit.emulator.errors import ServiceError, invalid, unsupported
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.specs import ENCRYPT, SIGN
from kmskit.emulator.state import Key, KeyVersion
from kmskit.errors import InvalidCiphertextError, LimitExceededError

__all__ = ["private_decrypt"]

_QPS = 200
_DIGEST_SIZE = 32


def private_decrypt(call: Call, key: Key, version: KeyVersion, algorithm: str, ciphertext: bytes) -> bytes:
    try:
        return call.account.keyring.pair(key, version).decrypt(ciphertext, None, ALGORITHMS[algorithm])
    except InvalidCiphertextError:
        pass
    raise invalid("CiphertextBlob")


def _pair_of(call: Call, usage: str) -> tuple[Key, KeyVersion, str]:
    for name in ("KeyId", "KeyVersionId", "Algorithm"):
        call.text(name)
    key = call.usable_key(usage)
    if not call.spec(key).asymmetric:
        raise ServiceError(400, "Rejected.UnsupportedOperation", "Unsupported operation.")
    return key, call.version(key), call.algorithm(key)


def _told(key: Key, version: KeyVersion, **more: object) -> Answer:
    return {"KeyId": key.id, "KeyVersionId": version.id, **more}


@operation("AsymmetricEncrypt", data_plane=True, dry_run=True, quota=_QPS, partly="SM2PKE")
def asymmetric_encrypt(call: Call) -> Answer:
    plaintext = call.binary("Plaintext")
    key, version, algorithm = _pair_of(call, ENCRYPT)
    call.ready()
    try:
        ciphertext = call.account.keyring.pair(key, version).encrypt(plaintext, None, ALGORITHMS[algorithm])
    except LimitExceededError:
        ciphertext = b""
    if not ciphertext:
        raise invalid("Plaintext", "It is too long for this key and algorithm.")
    return _told(key, version, CiphertextBlob=b64encode(ciphertext).decode())


@operation(
    "AsymmetricDecrypt",
    data_plane=True,
    dry_run=True,
    slow=True,
    quota=_QPS,
    partly="SM2PKE; Recipient (attested enclaves)",
)
def asymmetric_decrypt(call: Call) -> Answer:
    if call.parameters.get("Recipient"):
        raise unsupported("Recipient is not built.")
    ciphertext = call.binary("CiphertextBlob")
    key, version, algorithm = _pair_of(call, ENCRYPT)
    call.ready()
    plaintext = private_decrypt(call, key, version, algorithm, ciphertext)
    return _told(key, version, Plaintext=b64encode(plaintext).decode())


def _digest(call: Call) -> bytes:
    digest = call.binary("Digest")
    if len(digest) != _DIGEST_SIZE:
        raise invalid("Digest", f"{_DIGEST_SIZE} bytes are expected.")
    return digest


@operation(
    "AsymmetricSign",
    evidence="inferred",
    data_plane=True,
    dry_run=True,
    slow=True,
    quota=_QPS,
    partly="SM2DSA",
    note="DER and the salt's length are emulator-defined",
)
def asymmetric_sign(call: Call) -> Answer:
    digest = _digest(call)
    key, version, algorithm = _pair_of(call, SIGN)
    call.ready()
    value = call.account.keyring.pair(key, version).sign(digest, ALGORITHMS[algorithm], hashed=True)
    return _told(key, version, Value=b64encode(value).decode())


@operation("AsymmetricVerify", evidence="inferred", data_plane=True, dry_run=True, quota=_QPS, partly="SM2DSA")
def asymmetric_verify(call: Call) -> Answer:
    """A signature that does not fit is an answer, Value false, and no error."""
    digest, value = _digest(call), call.binary("Value")
    key, version, algorithm = _pair_of(call, SIGN)
    call.ready()
    return _told(key, version, Value=_verifies(call, key, version, algorithm, digest, value))


def _verifies(call: Call, key: Key, version: KeyVersion, algorithm: str, digest: bytes, value: bytes) -> bool:
    """PSS with a salt of any length."""
    prehashed = utils.Prehashed(hashes.SHA256())
    pair = call.account.keyring.pair(key, version)
    try:
        if algorithm.startswith("ECDSA"):
            pair.public_key.verify(value, digest, ec.ECDSA(prehashed))
        elif algorithm == "RSA_PSS_SHA_256":
            salted = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
            pair.public_key.verify(value, digest, salted, prehashed)
        else:
            pair.public_key.verify(value, digest, padding.PKCS1v15(), prehashed)
    except InvalidSignature:
        return False
    return pair.has_size(value)


@operation("GetPublicKey", data_plane=True, dry_run=True, quota=_QPS)
def get_public_key(call: Call) -> Answer:
    call.text("KeyVersionId")
    key = call.key()
    call.require_use(key)
    if not call.spec(key).asymmetric:
        raise unsupported("The key has no public half.")
    version = call.version(key)
    call.ready()
    pem = call.account.keyring.pair(key, version).public_key.public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return _told(key, version, PublicKey=pem.decode())
