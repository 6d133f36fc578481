"""What protects a store by a passphrase is Argon2id as RFC 9106 and argon2-cffi have it."""

from __future__ import annotations

import json
import unicodedata
from base64 import b64decode, b64encode

import pytest
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import kmskit
from kmskit.backends.software.protection import Passphrase

# That of RFC 9106, 5.3, without its secret and associated data, as it stands in pyca's argon2id.txt.
VECTOR_PASSPHRASE = "\x01" * 32
VECTOR_PARAMETERS = {
    "method": "passphrase",
    "salt": b64encode(b"\x02" * 16).decode(),
    "memory_kib": 32,
    "iterations": 3,
    "lanes": 4,
}
VECTOR_OUTPUT = bytes.fromhex("03aab965c12001c9d7d0d2de33192c0494b684bb148196d73c1df1acaf6d0c2e")


def bound(parameters: dict[str, object]) -> bytes:
    return b"kmskit store key 1 " + json.dumps(parameters, sort_keys=True).encode()


def test_a_record_made_with_the_published_output_opens() -> None:
    store_key, iv = bytes(range(32)), bytes(12)
    wrapped = iv + AESGCM(VECTOR_OUTPUT).encrypt(iv, store_key, bound(VECTOR_PARAMETERS))
    record = json.dumps({"parameters": VECTOR_PARAMETERS, "wrapped": b64encode(wrapped).decode()})
    assert Passphrase(VECTOR_PASSPHRASE).unlock(record) == store_key
    with pytest.raises(kmskit.AuthenticationError):
        Passphrase(VECTOR_PASSPHRASE + "\x01").unlock(record)


@pytest.mark.parametrize("passphrase", ["correct horse battery staple", "Zoë's Straße 7"])
def test_a_new_record_opens_with_what_argon2_cffi_derives(passphrase: str) -> None:
    store_key, record = Passphrase(unicodedata.normalize("NFD", passphrase)).create()
    parsed = json.loads(record)
    parameters, wrapped = parsed["parameters"], b64decode(parsed["wrapped"])
    derived = hash_secret_raw(
        unicodedata.normalize("NFC", passphrase).encode(),
        b64decode(parameters["salt"]),
        time_cost=parameters["iterations"],
        memory_cost=parameters["memory_kib"],
        parallelism=parameters["lanes"],
        hash_len=32,
        type=Type.ID,
    )
    assert AESGCM(derived).decrypt(wrapped[:12], wrapped[12:], bound(parameters)) == store_key
    assert (parameters["memory_kib"], parameters["iterations"], parameters["lanes"]) == (64 * 1024, 3, 4)
