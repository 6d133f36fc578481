"""Key material from outside."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kmskit import emulator
from kmskit.emulator import Cloud
from tests.emulator.calls import Caller, b64

Refused = Callable[..., str]
PADDINGS: dict[str, Any] = {
    "RSAES_OAEP_SHA_256": padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
    "RSAES_OAEP_SHA_1": padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),
    "RSAES_PKCS1_V1_5": padding.PKCS1v15(),
}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


def wrapped(call: Caller, key: str, material: bytes, algorithm: str = "RSAES_OAEP_SHA_256") -> dict[str, str]:
    given = call("GetParametersForImport", KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec="RSA_2048")
    public: Any = load_der_public_key(b64decode(given["PublicKey"]))
    encrypted = b64(public.encrypt(material, PADDINGS[algorithm]))
    return {
        "KeyId": key,
        "ImportToken": given["ImportToken"],
        "EncryptedKeyMaterial": encrypted,
        "KeyMaterialExpireUnix": "0",
    }


@pytest.mark.parametrize("algorithm", PADDINGS)
@pytest.mark.parametrize(("spec", "size"), [("Aliyun_AES_256", 32), ("Aliyun_SM4", 16)])
def test_imported_material_is_used(call: Caller, cloud: Cloud, algorithm: str, spec: str, size: int) -> None:
    key = call.key(Origin="EXTERNAL", KeySpec=spec, DKMSInstanceId=cloud.instances["hardware"].id)
    assert key["KeyState"] == "PendingImport"
    material = os.urandom(size)
    call("ImportKeyMaterial", **wrapped(call, key["KeyId"], material, algorithm))
    assert call("DescribeKey", KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == "Enabled"
    blob = call("Encrypt", KeyId=key["KeyId"], Plaintext="aGk=")["CiphertextBlob"]
    call("DeleteKeyMaterial", KeyId=key["KeyId"])
    assert call("DescribeKey", KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == "PendingImport"
    call("ImportKeyMaterial", **wrapped(call, key["KeyId"], material, algorithm))
    assert call("Decrypt", CiphertextBlob=blob)["Plaintext"] == "aGk="


def test_it_is_the_same_material_or_none(call: Caller, refused: Refused) -> None:
    key, other = call.key(Origin="EXTERNAL")["KeyId"], call.key(Origin="EXTERNAL")["KeyId"]
    good = wrapped(call, key, bytes(32))
    assert refused("ImportKeyMaterial", **wrapped(call, key, bytes(31))) == "InvalidKeyMaterial"
    assert refused("ImportKeyMaterial", **{**good, "EncryptedKeyMaterial": b64(bytes(256))}) == "InvalidKeyMaterial"
    assert refused("ImportKeyMaterial", **{**good, "ImportToken": "none"}) == "InvalidImportToken"
    assert refused("ImportKeyMaterial", **{**good, "KeyId": other}) == "InvalidImportToken"
    call("ImportKeyMaterial", **good)
    call("ImportKeyMaterial", **good)
    assert refused("ImportKeyMaterial", **wrapped(call, key, b"x" * 32)) == "InvalidKeyMaterial"


def test_keys_of_the_services_own_making_take_none(call: Caller, refused: Refused, cloud: Cloud) -> None:
    key = call.key()["KeyId"]
    wanted = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    assert refused("GetParametersForImport", KeyId=key, **wanted) == "Unsupported.Origin"
    assert refused("DeleteKeyMaterial", KeyId=key) == "Unsupported.Origin"
    software = {"Origin": "EXTERNAL", "DKMSInstanceId": cloud.instances["software"].id}
    assert refused("CreateKey", **software) == "UnsupportedOperation"
    sm2 = {"WrappingAlgorithm": "SM2PKE", "WrappingKeySpec": "EC_SM2"}
    assert refused("GetParametersForImport", KeyId=key, **sm2) == "UnsupportedOperation"


def test_tokens_and_material_expire(call: Caller, refused: Refused, cloud: Cloud) -> None:
    key = call.key(Origin="EXTERNAL")["KeyId"]
    late = wrapped(call, key, bytes(32))
    cloud.clock.advance(hours=24.1)
    assert refused("ImportKeyMaterial", **late) == "ExpiredImportToken"
    fresh = wrapped(call, key, bytes(32))
    now = int(cloud.clock.now())
    assert refused("ImportKeyMaterial", **{**fresh, "KeyMaterialExpireUnix": str(now - 1)}) == "InvalidParameter"
    call("ImportKeyMaterial", **{**fresh, "KeyMaterialExpireUnix": str(now + 3600)})
    assert call("DescribeKey", KeyId=key)["KeyMetadata"]["MaterialExpireTime"]
    cloud.clock.advance(hours=1.1)
    assert refused("Encrypt", KeyId=key, Plaintext="aGk=") == "Rejected.PendingImport"


def test_no_date_lies_beyond_the_year_9999(call: Caller, refused: Refused, cloud: Cloud) -> None:
    key = call.key(Origin="EXTERNAL")["KeyId"]
    good = wrapped(call, key, bytes(32))
    last = 253_402_300_799
    assert refused("ImportKeyMaterial", **{**good, "KeyMaterialExpireUnix": str(last + 1)}) == "InvalidParameter"
    call("ImportKeyMaterial", **{**good, "KeyMaterialExpireUnix": str(last)})
    with pytest.raises(ValueError, match="9900"):
        cloud.clock.advance(days=365 * 8000)
    cloud.clock.advance(days=365 * 7000)
    assert call("DescribeKey", KeyId=key)["KeyMetadata"]["MaterialExpireTime"] == "9999-12-31T23:59:59Z"
    call.key()
