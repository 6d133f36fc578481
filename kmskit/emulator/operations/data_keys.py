"""Data keys: made, wrapped, and wrapped once more for someone's public key."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from os import urandom

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from kmskit.emulator.errors import invalid, unsupported
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.encryption import opened, sealed
from kmskit.emulator.operations.registry import Answer, operation

_QPS = 1000
_SIZES = {"AES_256": 32, "AES_128": 16}


def _size(call: Call) -> int:
    """NumberOfBytes wins when KeySpec is given too."""
    spec = call.choice("KeySpec", *_SIZES, default="AES_256")
    return call.integer("NumberOfBytes", 1, 1024, _SIZES[spec])


def _new(call: Call) -> tuple[Answer, bytes]:
    """A data key. What is wrapped is its base64, so that Decrypt gives back what Plaintext tells."""
    key = call.symmetric_key()
    size = _size(call)
    call.ready()
    data_key = urandom(size)
    return sealed(call, key, b64encode(data_key).decode()), data_key


@operation(
    "GenerateDataKey",
    evidence="SDK source",
    data_plane=True,
    dry_run=True,
    quota=_QPS,
    partly="Recipient (attested enclaves)",
)
def generate_data_key(call: Call) -> Answer:
    if call.parameters.get("Recipient"):
        raise unsupported("Recipient is not built.")
    answer, data_key = _new(call)
    return {**answer, "Plaintext": b64encode(data_key).decode()}


@operation("GenerateDataKeyWithoutPlaintext", evidence="SDK source", data_plane=True, dry_run=True, quota=_QPS)
def generate_data_key_without_plaintext(call: Call) -> Answer:
    return _new(call)[0]


def _recipient(call: Call) -> tuple[rsa.RSAPublicKey, padding.OAEP]:
    """The public key, and the padding, under which a data key leaves."""
    call.choice("WrappingKeySpec", "RSA_2048", "EC_SM2")
    algorithm = call.choice("WrappingAlgorithm", "RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1", "SM2PKE")
    if algorithm == "SM2PKE" or call.text("WrappingKeySpec") == "EC_SM2":
        raise unsupported("SM2 is not built.")
    data = call.binary("PublicKeyBlob")
    try:
        public = load_pem_public_key(data) if data.startswith(b"-----") else load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        public = None
    if not isinstance(public, rsa.RSAPublicKey) or public.key_size != 2048:
        raise invalid("PublicKeyBlob", "A public key of RSA_2048 is expected.")
    digest = hashes.SHA256() if algorithm.endswith("256") else hashes.SHA1()  # noqa: S303  # The service's choice.
    return public, padding.OAEP(padding.MGF1(digest), digest, None)


@operation("ExportDataKey", evidence="SDK source", dry_run=True, slow=True, quota=_QPS, partly="EC_SM2")
def export_data_key(call: Call) -> Answer:
    public, padded = _recipient(call)
    key, version, text = opened(call)
    try:
        data_key = b64decode(text, validate=True)
        call.ready()
        exported = public.encrypt(data_key, padded)
    except (ValueError, binascii.Error):
        exported = b""
    if not exported:
        raise invalid("CiphertextBlob", "It holds no data key that fits into the public key.")
    return {"KeyId": key.id, "KeyVersionId": version.id, "ExportedDataKey": b64encode(exported).decode()}


@operation("GenerateAndExportDataKey", evidence="SDK source", dry_run=True, slow=True, quota=_QPS, partly="EC_SM2")
def generate_and_export_data_key(call: Call) -> Answer:
    public, padded = _recipient(call)
    answer, data_key = _new(call)
    try:
        exported = public.encrypt(data_key, padded)
    except ValueError:
        exported = b""
    if not exported:
        raise invalid("NumberOfBytes", "The public key cannot wrap so many.")
    return {**answer, "ExportedDataKey": b64encode(exported).decode()}
