"""Encrypt, Decrypt, ReEncrypt and data keys: sizes, contexts, gateways, dry runs."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from alibabacloud_kms20160120 import models
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kmskit.emulator import Cloud
from tests.emulator.calls import Caller, b64
from tests.emulator.conftest import MODES

Refused = Callable[..., str]
CONTEXT = {"tenant": "acme", "ü": "é b+c/=&"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("instance", [None, "software", "hardware"])
def test_the_vendors_sdk_encrypts_and_decrypts(
    sdk: Callable[..., Any], cloud: Cloud, mode: str, instance: str | None
) -> None:
    shared = sdk(mode=mode)
    at = None if instance is None else cloud.instances[instance].id
    key = shared.create_key(models.CreateKeyRequest(dkmsinstance_id=at)).body.key_metadata
    client = sdk(instance=instance, mode=mode)
    for text in ("aGVsbG8=", b64(bytes(6144)), "no base64 at all", "ä ✓ *'()~+/"):
        made = client.encrypt(models.EncryptRequest(key_id=key.key_id, plaintext=text, encryption_context=CONTEXT)).body
        assert b64decode(made.ciphertext_blob)[:36].decode() == made.key_version_id == key.primary_key_version
        turned = dict(reversed(CONTEXT.items()))
        opened = client.decrypt(
            models.DecryptRequest(ciphertext_blob=made.ciphertext_blob, encryption_context=turned)
        ).body
        assert (opened.plaintext, opened.key_id) == (text, key.key_id)


@pytest.mark.parametrize("context", [None, {}, {"tenant": "acme"}, {**CONTEXT, "more": ""}])
def test_another_context_does_not_open(call: Caller, refused: Refused, context: object) -> None:
    key = call.key()["KeyId"]
    blob = call("Encrypt", KeyId=key, Plaintext="aGk=", EncryptionContext=CONTEXT)["CiphertextBlob"]
    assert refused("Decrypt", CiphertextBlob=blob, EncryptionContext=context) == "InvalidParameter"
    assert call("Decrypt", CiphertextBlob=blob, EncryptionContext=CONTEXT)["Plaintext"] == "aGk="


@pytest.mark.parametrize(
    "context", ["x", "[]", '["a","b"]', '{"a":1}', '{"a":null}', '{"a":{}}', '{"a":"1","a":"2"}', '{"a":"\\ud800"}']
)
def test_a_context_is_an_object_of_text(call: Caller, refused: Refused, context: str) -> None:
    key = call.key()["KeyId"]
    assert refused("Encrypt", KeyId=key, Plaintext="aGk=", EncryptionContext=context) == "InvalidParameter"


def test_a_changed_blob_does_not_open(call: Caller, refused: Refused) -> None:
    key = call.key()["KeyId"]
    blob = b64decode(call("Encrypt", KeyId=key, Plaintext="aGk=")["CiphertextBlob"])
    for at in (36, 47, 48, len(blob) - 1):
        changed = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        assert refused("Decrypt", CiphertextBlob=b64(changed)) == "InvalidParameter"
    assert refused("Decrypt", CiphertextBlob=b64(b"x" * 36 + blob[36:])) == "Forbidden.KeyNotFound"
    for nonsense in ("x", "%%%", b64(blob[:63]), b64(b"\xff" * 100)):
        assert refused("Decrypt", CiphertextBlob=nonsense) == "InvalidParameter"
    assert refused("Decrypt") == "MissingParameter"


def test_more_than_6_kilobytes_are_refused(call: Caller, refused: Refused) -> None:
    key = call.key()["KeyId"]
    assert refused("Encrypt", KeyId=key, Plaintext=b64(bytes(6145))) == "InvalidParameter"
    assert refused("Encrypt", KeyId=key, Plaintext="-" * 6145) == "InvalidParameter"
    assert refused("Encrypt", KeyId=key) == "MissingParameter"


def test_a_key_that_signs_does_not_encrypt(call: Caller, refused: Refused) -> None:
    for spec in ("EC_P256", "RSA_2048", "HMAC_256"):
        key = call.key(KeySpec=spec)["KeyId"]
        assert refused("Encrypt", KeyId=key, Plaintext="aGk=") == "UnsupportedOperation"
        assert refused("GenerateDataKey", KeyId=key) == "UnsupportedOperation"


def test_an_instances_gateway_serves_its_own_keys_and_cryptography_only(
    call: Caller, refused: Refused, cloud: Cloud
) -> None:
    key = call.key(DKMSInstanceId=cloud.instances["software"].id)["KeyId"]
    elsewhere = call.key()["KeyId"]
    blob = call("Encrypt", KeyId=key, Plaintext="aGk=", instance="software")["CiphertextBlob"]
    assert refused("Encrypt", KeyId=key, Plaintext="aGk=", instance="hardware") == "Forbidden.KeyNotFound"
    assert refused("Encrypt", KeyId=elsewhere, Plaintext="aGk=", instance="software") == "Forbidden.KeyNotFound"
    assert refused("Decrypt", CiphertextBlob=blob, instance="hardware") == "Forbidden.KeyNotFound"
    for action in ("CreateKey", "ListKeys", "DescribeKey", "ReEncrypt", "DescribeRegions"):
        assert refused(action, KeyId=key, instance="software") == "UnsupportedOperation"
    assert call("Decrypt", CiphertextBlob=blob)["Plaintext"] == "aGk="
    cloud.open_instance_to_shared_gateway("software", public=False)
    assert refused("Decrypt", CiphertextBlob=blob) == "UnsupportedOperation"
    assert call("Decrypt", CiphertextBlob=blob, instance="software")["Plaintext"] == "aGk="
    cloud.open_instance_to_shared_gateway("software", public=True)


def test_reencryption_changes_key_and_context(call: Caller, refused: Refused) -> None:
    source, destination = call.key()["KeyId"], call.key(KeySpec="Aliyun_SM4")["KeyId"]
    blob = call("Encrypt", KeyId=source, Plaintext="aGk=", EncryptionContext={"a": "1"})["CiphertextBlob"]
    wanted = {"CiphertextBlob": blob, "DestinationKeyId": destination, "DestinationEncryptionContext": {"b": "2"}}
    assert refused("ReEncrypt", **wanted) == "InvalidParameter"
    made = call("ReEncrypt", SourceEncryptionContext={"a": "1"}, **wanted)
    assert made["KeyId"] == destination
    opened = call("Decrypt", CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"b": "2"})
    assert (opened["Plaintext"], opened["KeyId"]) == ("aGk=", destination)
    signing = call.key(KeySpec="EC_P256")["KeyId"]
    assert (
        refused("ReEncrypt", CiphertextBlob=blob, SourceEncryptionContext={"a": "1"}, DestinationKeyId=signing)
        == "UnsupportedOperation"
    )


def test_reencryption_takes_what_an_rsa_key_has_encrypted(call: Caller) -> None:
    rsa_key = call.key(KeySpec="RSA_2048", KeyUsage="ENCRYPT/DECRYPT")
    used = {"Algorithm": "RSAES_OAEP_SHA_256", "KeyId": rsa_key["KeyId"], "KeyVersionId": rsa_key["PrimaryKeyVersion"]}
    blob = call("AsymmetricEncrypt", Plaintext="aGVsbG8=", **used)["CiphertextBlob"]
    made = call(
        "ReEncrypt",
        CiphertextBlob=blob,
        DestinationKeyId=call.key()["KeyId"],
        SourceKeyId=rsa_key["KeyId"],
        SourceKeyVersionId=rsa_key["PrimaryKeyVersion"],
        SourceEncryptionAlgorithm="RSAES_OAEP_SHA_256",
    )
    assert call("Decrypt", CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == "aGVsbG8="


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ({}, 32),
        ({"KeySpec": "AES_256"}, 32),
        ({"KeySpec": "AES_128"}, 16),
        ({"NumberOfBytes": "1024"}, 1024),
        ({"KeySpec": "AES_256", "NumberOfBytes": "1"}, 1),
    ],
)
def test_data_keys_have_the_size_asked_for(call: Caller, parameters: dict[str, str], size: int) -> None:
    key = call.key()["KeyId"]
    made = call("GenerateDataKey", KeyId=key, EncryptionContext=CONTEXT, **parameters)
    assert len(b64decode(made["Plaintext"])) == size
    opened = call("Decrypt", CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == made["Plaintext"]
    blind = call("GenerateDataKeyWithoutPlaintext", KeyId=key, **parameters)
    assert "Plaintext" not in blind
    assert len(b64decode(call("Decrypt", CiphertextBlob=blind["CiphertextBlob"])["Plaintext"])) == size


def test_a_data_key_of_another_size_is_refused(call: Caller, refused: Refused) -> None:
    key = call.key()["KeyId"]
    for wrong in ({"KeySpec": "AES_192"}, {"NumberOfBytes": "0"}, {"NumberOfBytes": "1025"}):
        assert refused("GenerateDataKey", KeyId=key, **wrong) == "InvalidParameter"


@pytest.mark.parametrize("algorithm", ["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"])
def test_a_data_key_is_exported_under_a_public_key(call: Caller, refused: Refused, algorithm: str) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    digest: hashes.HashAlgorithm = hashes.SHA256() if algorithm.endswith("256") else hashes.SHA1()
    padded = padding.OAEP(padding.MGF1(digest), digest, None)
    public = b64(private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    to = {"PublicKeyBlob": public, "WrappingKeySpec": "RSA_2048", "WrappingAlgorithm": algorithm}
    key = call.key()["KeyId"]
    made = call("GenerateDataKey", KeyId=key)
    exported = call("ExportDataKey", CiphertextBlob=made["CiphertextBlob"], **to)["ExportedDataKey"]
    assert private.decrypt(b64decode(exported), padded) == b64decode(made["Plaintext"])
    both = call("GenerateAndExportDataKey", KeyId=key, NumberOfBytes="24", **to)
    data_key = private.decrypt(b64decode(both["ExportedDataKey"]), padded)
    assert call("Decrypt", CiphertextBlob=both["CiphertextBlob"])["Plaintext"] == b64(data_key)
    assert refused("GenerateAndExportDataKey", KeyId=key, NumberOfBytes="250", **to) == "InvalidParameter"
    assert refused("GenerateAndExportDataKey", KeyId=key, **{**to, "PublicKeyBlob": "aGk="}) == "InvalidParameter"
    assert refused("GenerateAndExportDataKey", KeyId=key, **{**to, "WrappingKeySpec": "EC_SM2"}) == (
        "UnsupportedOperation"
    )


def test_a_dry_run_always_fails_and_tells_how(call: Caller, refused: Refused, cloud: Cloud) -> None:
    key = call.key()["KeyId"]
    nobody = cloud.ram.create_user("dry")
    encrypt = {"KeyId": key, "Plaintext": "aGk=", "DryRun": "true"}
    assert refused("Encrypt", **encrypt) == "DryRunOperationError"
    assert refused("Encrypt", nobody, **encrypt) == "AccessDeniedError"
    assert refused("Encrypt", **{**encrypt, "KeyId": "none"}) == "ValidationError"
    assert refused("GenerateDataKey", KeyId=key, DryRun="true") == "DryRunOperationError"
