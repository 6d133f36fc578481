"""Encrypt, Decrypt and ReEncrypt with symmetric keys."""

from __future__ import annotations

from base64 import b64decode, b64encode
from contextlib import suppress

from kmskit.emulator.blob import associated_data, seal_blob, version_of
from kmskit.emulator.errors import invalid, not_found, unsupported
from kmskit.emulator.operations.asymmetric import private_decrypt
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.specs import ENCRYPT
from kmskit.emulator.state import Key, KeyVersion

__all__ = ["opened", "sealed"]

MAX_PLAINTEXT = 6144
"""Bytes. The documents do not say of what: here of the data where the text is base64, else of the text."""
_MAX_BLOB = 16_384
_CRYPTO_QPS = 1000


def sealed(call: Call, key: Key, plaintext: str, context: str = "EncryptionContext") -> Answer:
    """Text encrypted under a key's primary version, as most answers tell it."""
    version = call.primary(key)
    aad = associated_data(call.parameters.get(context) or None, context)
    blob = seal_blob(version.id, call.account.keyring.cipher(key, version), plaintext, aad)
    return {"KeyId": key.id, "KeyVersionId": version.id, "CiphertextBlob": blob}


def opened(
    call: Call, permission: str | None = None, context: str = "EncryptionContext"
) -> tuple[Key, KeyVersion, str]:
    """What the parameter CiphertextBlob holds, and under which key. Nobody learns anything of a blob whose key he may
    not use."""
    version_id, rest = version_of(call.text("CiphertextBlob", most=_MAX_BLOB))
    version = call.state.get(KeyVersion, version_id)
    key = None if version is None else call.account.current(version.key)
    if version is None or key is None or (call.gateway and key.instance != call.gateway):
        call.authorize("key/*", permission=permission)
        raise not_found("Key")
    call.authorize(f"key/{key.id}", permission=permission, key=key)
    call.keys.append(key.id)
    call.require_use(key)
    aad = associated_data(call.parameters.get(context) or None, context)
    if not call.spec(key).symmetric:
        raise unsupported("A symmetric key is needed.")
    return key, version, call.account.keyring.open(key, version, rest, aad)


def _check_size(text: str) -> None:
    size = len(text.encode())
    if size > MAX_PLAINTEXT:
        with suppress(ValueError):
            size = len(b64decode(text, validate=True))
    if size > MAX_PLAINTEXT:
        raise invalid("Plaintext", f"It is larger than {MAX_PLAINTEXT} bytes.")


@operation(
    "Encrypt",
    evidence="inferred",
    data_plane=True,
    dry_run=True,
    quota=_CRYPTO_QPS,
    note="the text as sent is encrypted",
)
def encrypt(call: Call) -> Answer:
    call.text("KeyId")
    plaintext = call.text("Plaintext")
    key = call.symmetric_key()
    _check_size(plaintext)
    call.ready()
    return sealed(call, key, plaintext)


@operation(
    "Decrypt",
    evidence="inferred",
    data_plane=True,
    dry_run=True,
    quota=_CRYPTO_QPS,
    partly="Recipient (attested enclaves)",
    note="bytes or context that do not fit are InvalidParameter: emulator-defined",
)
def decrypt(call: Call) -> Answer:
    if call.parameters.get("Recipient"):
        raise unsupported("Recipient is not built.")
    key, version, plaintext = opened(call)
    call.ready()
    return {"Plaintext": plaintext, "KeyId": key.id, "KeyVersionId": version.id}


@operation("ReEncrypt", evidence="SDK source", dry_run=True, slow=True, quota=_CRYPTO_QPS)
def re_encrypt(call: Call) -> Answer:
    """On the shared gateway only, as the service has it."""
    call.text("CiphertextBlob")
    call.text("DestinationKeyId")
    if call.parameters.get("SourceKeyId"):
        plaintext = _from_pair(call)
    else:
        _, _, plaintext = opened(call, "ReEncryptFrom", "SourceEncryptionContext")
    destination = call.symmetric_key("DestinationKeyId", permission="ReEncryptTo")
    call.ready()
    return sealed(call, destination, plaintext, "DestinationEncryptionContext")


def _from_pair(call: Call) -> str:
    """What AsymmetricEncrypt made holds bytes; under a symmetric key their base64 is kept, as Encrypt is given it."""
    key = call.usable_key(ENCRYPT, name="SourceKeyId", permission="ReEncryptFrom")
    version = call.version(key, "SourceKeyVersionId")
    algorithm = call.algorithm(key, "SourceEncryptionAlgorithm")
    return b64encode(private_decrypt(call, key, version, algorithm, call.binary("CiphertextBlob"))).decode()
