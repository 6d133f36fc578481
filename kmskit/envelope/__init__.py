"""Envelope encryption: data of any size under keys that never see it.

A message holds its data under a data key of its own, and that data key wrapped for each recipient; any one of them
opens it. The format is the AWS Encryption SDK message format, version 2, with key commitment: specified, streamable,
and read by other people's programs.

    message = envelope.encrypt(data, [key], context={"table": "orders"})
    envelope.decrypt(message, [key]) == data
    envelope.encrypt_file("big.csv", "big.csv.enc", [key, envelope.RawRsaKey("safe", "2026", public_pem)])
    with envelope.open("big.csv.enc", "rb", [key]) as file:
        file.seek(1_000_000)
"""

from kmskit.envelope.cache import DataKeyCache
from kmskit.envelope.fields import Field
from kmskit.envelope.files import decrypt_file, encrypt_file, reencrypt_file
from kmskit.envelope.files import open_envelope as open
from kmskit.envelope.info import EnvelopeInfo, inspect
from kmskit.envelope.message import encrypted_size
from kmskit.envelope.oneshot import decrypt, decrypt_into, encrypt, encrypt_into
from kmskit.envelope.recipients import RawAesKey, RawRsaKey
from kmskit.envelope.stream import EnvelopeReader, EnvelopeWriter

__all__ = [
    "DataKeyCache",
    "EnvelopeInfo",
    "EnvelopeReader",
    "EnvelopeWriter",
    "Field",
    "RawAesKey",
    "RawRsaKey",
    "decrypt",
    "decrypt_file",
    "decrypt_into",
    "encrypt",
    "encrypt_file",
    "encrypt_into",
    "encrypted_size",
    "inspect",
    "open",
    "reencrypt_file",
]
