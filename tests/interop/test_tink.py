"""Tink itself reads the exported keysets, opens what kmskit made, and makes what kmskit opens."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator

import pytest
import tink
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.protobuf.json_format import MessageToDict
from tink import aead, json_proto_keyset_format, mac, secret_key_access, signature
from tink.proto import tink_pb2

import kmskit
from kmskit.context import canonical
from kmskit.interop.tink import export_keyset

MESSAGE = b"4111-1111"
CONTEXT = {"tenant": "acme", "Müller": "straße"}


@pytest.fixture(scope="module", autouse=True)
def tink_primitives() -> None:
    for primitive in (aead, mac, signature):
        primitive.register()


@pytest.fixture
def kms() -> Iterator[kmskit.Kms]:
    with kmskit.connect("software:?memory=1") as kms:
        yield kms


def parsed(key: kmskit.Key) -> tink.KeysetHandle:
    return json_proto_keyset_format.parse(export_keyset(key), secret_key_access.TOKEN)


def tink_aead(key: kmskit.Key) -> aead.Aead:
    return parsed(key).primitive(aead.Aead)


@pytest.mark.parametrize("spec", ["AES_256", "AES_128"])
@pytest.mark.parametrize("context", [None, CONTEXT], ids=["without context", "with context"])
def test_tink_and_kmskit_open_each_others_ciphertexts_of_every_version(
    kms: kmskit.Kms, spec: str, context: dict[str, str] | None
) -> None:
    key = kms.create_key(spec=spec, exportable=True)
    ours = [key.encrypt(MESSAGE, context=context)]
    theirs = [tink_aead(key).encrypt(MESSAGE, canonical(context))]
    for _ in range(3):
        key.rotate()
        ours.append(key.encrypt(MESSAGE, context=context))
        theirs.append(tink_aead(key).encrypt(MESSAGE, canonical(context)))
    newest = tink_aead(key)
    assert [newest.decrypt(blob, canonical(context)) for blob in ours] == [MESSAGE] * 4
    assert [key.decrypt(blob, context=context) for blob in theirs] == [MESSAGE] * 4
    assert [blob[1:5].hex() for blob in theirs] == list(key.versions)


def test_tink_refuses_another_context(kms: kmskit.Kms) -> None:
    key = kms.create_key(exportable=True)
    blob = key.encrypt(MESSAGE, context=CONTEXT)
    with pytest.raises(tink.TinkError):
        tink_aead(key).decrypt(blob, canonical({"tenant": "evil"}))
    with pytest.raises(kmskit.InvalidCiphertextError):
        key.decrypt(tink_aead(key).encrypt(MESSAGE, b"tenant=acme"), context=CONTEXT)


@pytest.mark.parametrize("spec", ["HMAC_256", "HMAC_384", "HMAC_512"])
def test_tags_verify_on_both_sides(kms: kmskit.Kms, spec: str) -> None:
    key = kms.create_key(spec=spec, exportable=True)
    theirs = parsed(key).primitive(mac.Mac)
    theirs.verify_mac(key.mac(MESSAGE), MESSAGE)
    assert theirs.compute_mac(MESSAGE) == key.mac(MESSAGE)
    with pytest.raises(tink.TinkError):
        theirs.verify_mac(key.mac(MESSAGE), MESSAGE + b"!")
    with pytest.raises(kmskit.InvalidMacError):
        key.verify_mac(MESSAGE + b"!", theirs.compute_mac(MESSAGE))


@pytest.mark.parametrize("spec", ["EC_P256", "EC_P384", "EC_P521", "ED25519", "RSA_2048", "RSA_3072", "RSA_4096"])
def test_signatures_verify_on_both_sides(kms: kmskit.Kms, spec: str) -> None:
    key = kms.create_key(spec=spec, exportable=True)
    handle = parsed(key)
    verifier = handle.public_keyset_handle().primitive(signature.PublicKeyVerify)
    signed = handle.primitive(signature.PublicKeySign).sign(MESSAGE)
    verifier.verify(bytes(key.sign(MESSAGE)), MESSAGE)
    key.verify(MESSAGE, signed)
    with pytest.raises(tink.TinkError):
        verifier.verify(bytes(key.sign(MESSAGE)), MESSAGE + b"!")
    with pytest.raises(kmskit.InvalidSignatureError):
        key.verify(MESSAGE + b"!", signed)


def test_numbers_that_begin_with_zero_bytes_keep_their_length(kms: kmskit.Kms) -> None:
    # Small private numbers begin with zero bytes, and a public point does about once in 128 keys.
    for number in range(1, 2000):
        private = ec.derive_private_key(number, ec.SECP256R1())
        point = private.public_key().public_numbers()
        if min(point.x, point.y) < 1 << 248:
            break
    key = kms.import_key(None, private, "EC_P256", exportable=True)
    assert min(point.x, point.y) < 1 << 248
    key.verify(MESSAGE, parsed(key).primitive(signature.PublicKeySign).sign(MESSAGE))


def test_a_wrapped_keyset_opens_under_the_wrapping_key_alone(kms: kmskit.Kms) -> None:
    key = kms.create_key(exportable=True)
    key.rotate()
    wrapping = kms.create_key(exportable=True)
    text = export_keyset(key, wrap_with=wrapping)
    handle = json_proto_keyset_format.parse_encrypted(text, tink_aead(wrapping), b"")
    assert handle.primitive(aead.Aead).decrypt(key.encrypt(MESSAGE), b"") == MESSAGE
    assert not any(
        secret in b64decode(json.loads(text)["encryptedKeyset"]) for secret in key.export_material().values()
    )
    with pytest.raises(tink.TinkError):
        json_proto_keyset_format.parse_encrypted(text, tink_aead(kms.create_key(exportable=True)), b"")


@pytest.mark.parametrize("spec", ["AES_256", "HMAC_512", "EC_P521", "ED25519", "RSA_2048"])
def test_the_bytes_that_are_wrapped_are_those_tink_would_write(kms: kmskit.Kms, spec: str) -> None:
    key, wrapping = kms.create_key(spec=spec, exportable=True), kms.create_key()
    if spec == "AES_256":
        key.rotate()
    wrapped = json.loads(export_keyset(key, wrap_with=wrapping))
    opened = wrapping.decrypt(b64decode(wrapped["encryptedKeyset"]))
    keyset = tink_pb2.Keyset.FromString(opened)
    assert keyset.SerializeToString(deterministic=True) == opened
    assert keyset == tink.JsonKeysetReader(export_keyset(key)).read()
    assert wrapped["keysetInfo"] == MessageToDict(parsed(key).keyset_info())


def test_the_primary_version_is_the_one_of_now_not_of_an_old_snapshot(kms: kmskit.Kms) -> None:
    old = kms.create_key("orders", exportable=True)
    kms.key("orders").rotate()
    blob = tink_aead(old).encrypt(MESSAGE, b"")
    assert blob[1:5].hex() == kms.key("orders").primary_version != old.primary_version


def test_a_key_that_was_not_made_exportable_stays_inside(kms: kmskit.Kms) -> None:
    with pytest.raises(kmskit.UnsupportedError, match="not made exportable"):
        export_keyset(kms.create_key())


@pytest.mark.parametrize(
    ("spec", "usage", "reason"),
    [
        ("SM4", None, "Tink has no SM4"),
        ("EC_P256K", None, "Tink has no secp256k1"),
        ("RSA_2048", "ENCRYPT_DECRYPT", "Tink has no RSA-OAEP"),
    ],
)
def test_what_tink_has_not_is_named(kms: kmskit.Kms, spec: str, usage: str | None, reason: str) -> None:
    with pytest.raises(kmskit.UnsupportedError, match=reason):
        export_keyset(kms.create_key(spec=spec, usage=usage, exportable=True))


def test_an_rsa_key_with_another_exponent_is_refused_as_tink_refuses_it(kms: kmskit.Kms) -> None:
    private = rsa.generate_private_key(public_exponent=3, key_size=2048)
    with pytest.raises(kmskit.UnsupportedError, match="65,537"):
        export_keyset(kms.import_key(None, private, "RSA_2048", exportable=True))


@pytest.mark.parametrize(("spec", "usage"), [("SM4", None), ("RSA_2048", "ENCRYPT_DECRYPT"), ("EC_P256", None)])
def test_only_an_aes_key_wraps_a_keyset(kms: kmskit.Kms, spec: str, usage: str | None) -> None:
    with pytest.raises(kmskit.UnsupportedError, match="AEAD"):
        export_keyset(kms.create_key(exportable=True), wrap_with=kms.create_key(spec=spec, usage=usage))


def test_a_disabled_key_is_not_exported(kms: kmskit.Kms) -> None:
    key = kms.create_key(exportable=True)
    key.disable()
    with pytest.raises(kmskit.KeyStateError):
        export_keyset(key)


@pytest.mark.parametrize("arguments", [{"key": "orders"}, {"wrap_with": b"secret"}])
def test_anything_but_a_key_is_a_type_error(kms: kmskit.Kms, arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="a Key expected"):
        export_keyset(**{"key": kms.create_key(exportable=True), **arguments})  # type: ignore[arg-type]
