"""Signatures, RSA encryption and MACs, checked by pyca outside of the emulator."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.emulator.calls import Caller, b64

Refused = Callable[..., str]
MESSAGE = b"v1.2.0"
DIGEST = hashlib.sha256(MESSAGE).digest()
SCHEMES: dict[str, tuple[Any, ...]] = {
    "RSA_PSS_SHA_256": (padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
    "RSA_PKCS1_SHA_256": (padding.PKCS1v15(), hashes.SHA256()),
    "ECDSA_SHA_256": (ec.ECDSA(hashes.SHA256()),),
}


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("RSA_2048", "RSA_PSS_SHA_256"),
        ("RSA_2048", "RSA_PKCS1_SHA_256"),
        ("RSA_3072", "RSA_PSS_SHA_256"),
        ("EC_P256", "ECDSA_SHA_256"),
        ("EC_P256K", "ECDSA_SHA_256"),
    ],
)
def test_signatures_are_the_standard_bytes(call: Caller, spec: str, algorithm: str) -> None:
    key = call.key(KeySpec=spec)
    used = {"KeyId": key["KeyId"], "KeyVersionId": key["PrimaryKeyVersion"]}
    signed = call("AsymmetricSign", Algorithm=algorithm, Digest=b64(DIGEST), **used)
    public: Any = load_pem_public_key(call("GetPublicKey", **used)["PublicKey"].encode())
    public.verify(b64decode(signed["Value"]), MESSAGE, *SCHEMES[algorithm])
    verify = {"Algorithm": algorithm, "Value": signed["Value"], **used}
    assert call("AsymmetricVerify", Digest=b64(DIGEST), **verify)["Value"] is True
    assert call("AsymmetricVerify", Digest=b64(bytes(32)), **verify)["Value"] is False
    assert call("AsymmetricVerify", Digest=b64(DIGEST), **{**verify, "Value": "aGk="})["Value"] is False


@pytest.mark.parametrize(
    ("spec", "algorithm", "most"),
    [
        ("RSA_2048", "RSAES_OAEP_SHA_256", 190),
        ("RSA_2048", "RSAES_OAEP_SHA_1", 214),
        ("RSA_3072", "RSAES_OAEP_SHA_256", 318),
    ],
)
def test_rsa_encrypts_up_to_its_limit(call: Caller, refused: Refused, spec: str, algorithm: str, most: int) -> None:
    key = call.key(KeySpec=spec, KeyUsage="ENCRYPT/DECRYPT")
    used = {"KeyId": key["KeyId"], "KeyVersionId": key["PrimaryKeyVersion"], "Algorithm": algorithm}
    blob = call("AsymmetricEncrypt", Plaintext=b64(bytes(most)), **used)["CiphertextBlob"]
    assert call("AsymmetricDecrypt", CiphertextBlob=blob, **used)["Plaintext"] == b64(bytes(most))
    public: Any = load_pem_public_key(
        call("GetPublicKey", KeyId=used["KeyId"], KeyVersionId=used["KeyVersionId"])["PublicKey"].encode()
    )
    assert isinstance(public, rsa.RSAPublicKey)
    digest: Any = hashes.SHA256() if algorithm.endswith("256") else hashes.SHA1()
    own = public.encrypt(b"hi", padding.OAEP(padding.MGF1(digest), digest, None))
    assert call("AsymmetricDecrypt", CiphertextBlob=b64(own), **used)["Plaintext"] == "aGk="
    assert refused("AsymmetricEncrypt", Plaintext=b64(bytes(most + 1)), **used) == "InvalidParameter"
    assert refused("AsymmetricDecrypt", CiphertextBlob=b64(bytes(256)), **used) == "InvalidParameter"


def test_what_does_not_fit_is_refused(call: Caller, refused: Refused) -> None:
    key = call.key(KeySpec="RSA_2048")
    used = {"KeyId": key["KeyId"], "KeyVersionId": key["PrimaryKeyVersion"], "Algorithm": "RSA_PSS_SHA_256"}
    assert refused("AsymmetricSign", Digest=b64(bytes(31)), **used) == "InvalidParameter"
    assert refused("AsymmetricSign", Digest="%", **used) == "InvalidParameter"
    assert refused("AsymmetricSign", Digest=b64(DIGEST), **{**used, "Algorithm": "ECDSA_SHA_256"}) == "InvalidParameter"
    assert refused("AsymmetricSign", Digest=b64(DIGEST), **{**used, "Algorithm": "SM2DSA"}) == "InvalidParameter"
    assert refused("AsymmetricEncrypt", Plaintext="aGk=", **used) == "UnsupportedOperation"
    other = call.key()["PrimaryKeyVersion"]
    assert refused("AsymmetricSign", Digest=b64(DIGEST), **{**used, "KeyVersionId": other}) == (
        "Forbidden.KeyVersionNotFound"
    )
    for name in used:
        fewer = {each: value for each, value in used.items() if each != name}
        assert refused("AsymmetricSign", Digest=b64(DIGEST), **fewer) == "MissingParameter"
    symmetric = call.key()
    wrong = {"KeyId": symmetric["KeyId"], "KeyVersionId": symmetric["PrimaryKeyVersion"]}
    assert refused("AsymmetricSign", Digest=b64(DIGEST), Algorithm="RSA_PSS_SHA_256", **wrong) == (
        "UnsupportedOperation"
    )
    assert refused("GetPublicKey", **wrong) == "UnsupportedOperation"


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("HMAC_256", "HMAC_SHA_256"),
        ("HMAC_256", "HMAC_SHA_224"),
        ("HMAC_256", "HMAC_SM3"),
        ("HMAC_384", "HMAC_SHA_384"),
        ("HMAC_512", "HMAC_SHA_512"),
    ],
)
def test_macs_verify_and_differ_by_message(call: Caller, spec: str, algorithm: str) -> None:
    key = call.key(KeySpec=spec)["KeyId"]
    tag = call("GenerateMac", KeyId=key, Algorithm=algorithm, Message=b64(MESSAGE))["Mac"]
    verify = {"KeyId": key, "Algorithm": algorithm, "Mac": tag}
    assert call("VerifyMac", Message=b64(MESSAGE), **verify)["Value"] is True
    assert call("VerifyMac", Message=b64(b"other"), **verify)["Value"] is False
    assert call("VerifyMac", Message=b64(MESSAGE), **{**verify, "Mac": b64(b64decode(tag)[:-1])})["Value"] is False


def test_a_mac_is_hmac() -> None:
    from kmskit import emulator

    secret = bytes(range(32))
    keys = [{"id": "known", "spec": "HMAC_256", "material": b64(secret)}]
    with emulator.start(seed={"keys": keys}) as cloud:
        tag = Caller(cloud)("GenerateMac", KeyId="known", Algorithm="HMAC_SHA_256", Message=b64(MESSAGE))["Mac"]
    assert b64decode(tag) == hmac.digest(secret, MESSAGE, "sha256")


def test_a_key_for_macs_does_nothing_else(call: Caller, refused: Refused) -> None:
    key = call.key(KeySpec="HMAC_256")["KeyId"]
    assert refused("GenerateMac", KeyId=key, Algorithm="HMAC_SHA_512", Message="aGk=") == "InvalidParameter"
    assert refused("GenerateMac", KeyId=call.key()["KeyId"], Algorithm="HMAC_SHA_256", Message="aGk=") == (
        "UnsupportedOperation"
    )
