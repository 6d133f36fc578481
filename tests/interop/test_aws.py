"""The AWS Encryption SDK itself opens our messages, and writes ones that we open."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aws_encryption_sdk
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import (
    AesWrappingAlg,
    CreateMultiKeyringInput,
    CreateRawAesKeyringInput,
    CreateRawRsaKeyringInput,
    PaddingScheme,
)
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from aws_encryption_sdk.identifiers import Algorithm, CommitmentPolicy
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import kmskit
from kmskit import envelope
from kmskit.envelope import RawAesKey, RawRsaKey
from kmskit.interop.aws import KmskitKeyring

CLIENT = aws_encryption_sdk.EncryptionSDKClient()
SUITES = {
    False: Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    True: Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
}
CONTEXT = {"table": "orders", "ünï": "Größe", "\U0001f511": "", "\uff5e": "x"}
LENGTHS = (128, 4096, 2**18, 2**22)
PRIVATE = rsa.generate_private_key(65537, 2048)
PRIVATE_PEM = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC_PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def kms() -> Iterator[kmskit.Kms]:
    with kmskit.connect("software:?memory=1") as kms:
        yield kms


@pytest.fixture(scope="module")
def key(kms: kmskit.Kms) -> kmskit.Key:
    return kms.create_key()


@pytest.fixture(scope="module")
def theirs() -> Any:
    """AWS's own providers of keyrings."""
    return AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


@pytest.fixture(scope="module")
def aes() -> RawAesKey:
    return RawAesKey("partner", "shared", bytes(range(32)))


@pytest.fixture(scope="module")
def aes_keyring(theirs: Any) -> Any:
    return theirs.create_raw_aes_keyring(
        CreateRawAesKeyringInput(
            key_namespace="partner",
            key_name="shared",
            wrapping_key=bytes(range(32)),
            wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
        )
    )


def rsa_keyring(theirs: Any, padding: str = "OAEP_SHA_256", **halves: bytes) -> Any:
    scheme = getattr(PaddingScheme, padding.replace("SHA_", "SHA") + "_MGF1")
    return theirs.create_raw_rsa_keyring(
        CreateRawRsaKeyringInput(key_namespace="safe", key_name="2026", padding_scheme=scheme, **halves)
    )


def written(plaintext: bytes, keyring: Any, *, signed: bool = False, length: int = 4096, **more: Any) -> bytes:
    """A message of theirs."""
    message, _ = CLIENT.encrypt(
        source=plaintext, keyring=keyring, algorithm=SUITES[signed], frame_length=length, **more
    )
    return bytes(message)


def opened(message: bytes, keyring: Any) -> bytes:
    """What they read in a message."""
    plaintext, _ = CLIENT.decrypt(source=message, keyring=keyring)
    return bytes(plaintext)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("signed", [False, True], ids=["0478", "0578"])
def test_every_size_around_a_frame_opens_in_both_directions(
    aes: RawAesKey, aes_keyring: Any, length: int, *, signed: bool
) -> None:
    data = os.urandom(3 * length)
    for size in (0, 1, length - 1, length, length + 1, 3 * length):
        plaintext = data[:size]
        ours = envelope.encrypt(plaintext, [aes], context=CONTEXT, signed=signed, frame_length=length)
        assert opened(ours, aes_keyring) == plaintext
        message = written(plaintext, aes_keyring, signed=signed, length=length, encryption_context=CONTEXT)
        assert envelope.decrypt(message, [aes], require_context=CONTEXT, require_signed=signed) == plaintext
        info = envelope.inspect(message)
        assert (info.signed, info.frame_length, info.length, info.size) == (signed, length, size, len(message))


@pytest.mark.parametrize("signed", [False, True], ids=["0478", "0578"])
@pytest.mark.parametrize("context", [None, CONTEXT], ids=["without context", "with context"])
def test_our_keyring_opens_in_both_directions(key: kmskit.Key, context: dict[str, str] | None, *, signed: bool) -> None:
    keyring = KmskitKeyring([key])
    message = written(b"4111-1111", keyring, signed=signed, encryption_context=context or {})
    assert envelope.decrypt(message, [key], require_context=context, require_signed=signed) == b"4111-1111"
    ours = envelope.encrypt(b"4111-1111", [key], context=context, signed=signed)
    assert opened(ours, keyring) == opened(message, keyring) == b"4111-1111"


def test_their_default_is_a_signed_message_that_we_open(key: kmskit.Key) -> None:
    message, _ = CLIENT.encrypt(source=b"4111-1111", keyring=KmskitKeyring([key]))
    assert envelope.decrypt(message, [key], require_signed=True) == b"4111-1111"
    assert envelope.inspect(message).suite == "0x0578"


@pytest.mark.parametrize("padding", ["OAEP_SHA_1", "OAEP_SHA_256", "OAEP_SHA_384", "OAEP_SHA_512"])
def test_raw_rsa_keys_open_in_both_directions(theirs: Any, padding: str) -> None:
    ours = envelope.encrypt(b"4111-1111", [RawRsaKey("safe", "2026", PUBLIC_PEM, padding)], context=CONTEXT)
    assert opened(ours, rsa_keyring(theirs, padding, private_key=PRIVATE_PEM)) == b"4111-1111"
    message = written(b"4111-1111", rsa_keyring(theirs, padding, public_key=PUBLIC_PEM))
    assert envelope.decrypt(message, [RawRsaKey("safe", "2026", PRIVATE_PEM, padding)]) == b"4111-1111"


@pytest.mark.parametrize("ours_first", [False, True])
def test_a_multi_keyring_of_theirs_and_ours(
    theirs: Any, key: kmskit.Key, aes: RawAesKey, aes_keyring: Any, *, ours_first: bool
) -> None:
    # Second in the line, our keyring wraps a data key that another has made.
    first, second = (KmskitKeyring([key]), aes_keyring) if ours_first else (aes_keyring, KmskitKeyring([key]))
    safe = rsa_keyring(theirs, public_key=PUBLIC_PEM)
    multi = theirs.create_multi_keyring(CreateMultiKeyringInput(generator=first, child_keyrings=[second, safe]))
    message = written(b"4111-1111", multi, signed=True, encryption_context=CONTEXT)
    for one in (key, aes, RawRsaKey("safe", "2026", PRIVATE_PEM)):
        assert envelope.decrypt(message, [one], require_context=CONTEXT) == b"4111-1111"
    ours = envelope.encrypt(b"4111-1111", [key, aes, RawRsaKey("safe", "2026", PUBLIC_PEM)], context=CONTEXT)
    both = theirs.create_multi_keyring(CreateMultiKeyringInput(generator=first, child_keyrings=[second]))
    for keyring in (KmskitKeyring([key]), aes_keyring, rsa_keyring(theirs, private_key=PRIVATE_PEM), both):
        assert opened(ours, keyring) == b"4111-1111"


def test_a_keyring_of_several_keys_wraps_for_each(kms: kmskit.Kms, key: kmskit.Key) -> None:
    with kmskit.connect("software:?memory=1") as elsewhere:
        keys = [key, kms.create_key(spec="SM4"), elsewhere.create_key()]
        message = written(b"4111-1111", KmskitKeyring(keys))
        assert len(envelope.inspect(message).recipients) == 3
        for one in keys:
            assert envelope.decrypt(message, [one]) == opened(message, KmskitKeyring([one])) == b"4111-1111"
        keys[0], disabled = keys[2], keys[1]
        disabled.disable()
        assert opened(message, KmskitKeyring([disabled, keys[0]])) == b"4111-1111"


@pytest.mark.parametrize("length", [128, 4096])
@pytest.mark.parametrize("frames", [1, 3])
def test_both_legal_endings_at_an_exact_multiple_are_read(
    aes: RawAesKey, aes_keyring: Any, length: int, frames: int
) -> None:
    plaintext = os.urandom(frames * length)
    ours, message = (
        envelope.encrypt(plaintext, [aes], frame_length=length),
        written(plaintext, aes_keyring, length=length),
    )
    # Ours ends in a full frame, theirs in an empty one.
    assert (envelope.inspect(ours).frames, envelope.inspect(message).frames) == (frames, frames + 1)
    assert opened(ours, aes_keyring) == plaintext
    for either in (ours, message):
        out = bytearray(len(plaintext))
        assert envelope.decrypt(either, [aes]) == plaintext
        assert envelope.decrypt_into(either, out, [aes]) == len(plaintext)
        assert out == plaintext
        with envelope.open(io.BytesIO(either), "rb", [aes]) as reader:
            assert reader.seek(0, io.SEEK_END) == len(plaintext)
            assert reader.seek(-1, io.SEEK_CUR) == len(plaintext) - 1
            assert reader.read() == plaintext[-1:]


def test_they_refuse_what_we_refuse(key: kmskit.Key) -> None:
    keyring = KmskitKeyring([key])
    for message in (written(b"4111-1111", keyring, signed=True), envelope.encrypt(b"4111-1111", [key], signed=True)):
        for at in (40, len(message) // 2, -150, -1):
            changed = bytearray(message)
            changed[at] ^= 1
            with pytest.raises(kmskit.InvalidCiphertextError):
                envelope.decrypt(changed, [key])
            # Theirs has an error of its own for each thing that may be wrong, some of them not its own.
            with pytest.raises(Exception):  # noqa: B017, PT011
                opened(bytes(changed), keyring)


# What their users see of our errors


def test_a_disabled_key_is_told_with_its_cure(kms: kmskit.Kms) -> None:
    disabled = kms.create_key()
    keyring = KmskitKeyring([disabled])
    message = written(b"4111-1111", keyring)
    disabled.disable()
    for call in (lambda: written(b"4111-1111", keyring), lambda: opened(message, keyring)):
        with pytest.raises(AWSEncryptionSDKClientError, match=r"kmskit KeyStateError: .*DISABLED.*key\.enable\(\)"):
            call()


def test_a_message_for_others_is_told(kms: kmskit.Kms, key: kmskit.Key) -> None:
    message = envelope.encrypt(b"4111-1111", [key])
    with pytest.raises(AWSEncryptionSDKClientError, match="InvalidCiphertextError: none of the given keys"):
        opened(message, KmskitKeyring([kms.create_key()]))


def test_suites_without_commitment_are_refused(key: kmskit.Key, aes_keyring: Any) -> None:
    client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    suite = Algorithm.AES_256_GCM_IV12_TAG16_HKDF_SHA256
    with pytest.raises(AWSEncryptionSDKClientError, match="UnsupportedError: suite 0x0178 does not commit"):
        client.encrypt(source=b"4111-1111", keyring=KmskitKeyring([key]), algorithm=suite)
    message, _ = client.encrypt(source=b"4111-1111", keyring=aes_keyring, algorithm=suite)
    with pytest.raises(AWSEncryptionSDKClientError, match="UnsupportedError: suite 0x0178 does not commit"):
        client.decrypt(source=message, keyring=KmskitKeyring([key]))
    with pytest.raises(kmskit.InvalidCiphertextError, match="begins with 01"):
        envelope.decrypt(message, [key])


@pytest.mark.parametrize("wrong", [None, [], [b"key"], ["orders"]])
def test_a_keyring_is_made_of_keys(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="keys: "):
        KmskitKeyring(wrong)


def test_without_their_packages_the_error_is_the_pip_line() -> None:
    code = """
import sys
sys.modules["aws_cryptographic_material_providers"] = None
import kmskit.interop
try:
    kmskit.interop.aws
except kmskit.MissingDependencyError as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "pip install aws-encryption-sdk aws-cryptographic-material-providers\n"


def test_they_open_the_vectors_that_we_open(theirs: Any) -> None:
    stored = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "envelope.json").read_text(encoding="utf-8"))
    opening = [vector for vector in stored["messages"] if "plaintext" in vector]
    for vector in opening:
        name = vector["key"]
        if name in stored["aes keys"]:
            key = bytes.fromhex(stored["aes keys"][name])
            algorithm = getattr(AesWrappingAlg, f"ALG_AES{8 * len(key)}_GCM_IV12_TAG16")
            keyring = theirs.create_raw_aes_keyring(
                CreateRawAesKeyringInput(
                    key_namespace=stored["namespace"], key_name=name, wrapping_key=key, wrapping_alg=algorithm
                )
            )
        else:
            scheme = getattr(PaddingScheme, name.replace("rsa-sha", "OAEP_SHA") + "_MGF1")
            pem = stored["rsa key"].encode()
            keyring = theirs.create_raw_rsa_keyring(
                CreateRawRsaKeyringInput(
                    key_namespace=stored["namespace"], key_name=name, padding_scheme=scheme, private_key=pem
                )
            )
        assert opened(b64decode(vector["message"]), keyring) == b64decode(vector["plaintext"]), vector["name"]
    assert len(opening) > 20


@pytest.mark.soak
@pytest.mark.parametrize("signed", [False, True], ids=["0478", "0578"])
def test_100_mebibytes_open_in_both_directions(aes: RawAesKey, aes_keyring: Any, *, signed: bool) -> None:
    plaintext = os.urandom(100 * 2**20)
    ours = envelope.encrypt(plaintext, [aes], signed=signed)
    assert opened(ours, aes_keyring) == plaintext
    assert envelope.decrypt(written(plaintext, aes_keyring, signed=signed), [aes]) == plaintext
