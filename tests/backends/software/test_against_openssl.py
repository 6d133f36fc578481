"""The `openssl` command verifies, opens and makes what the software backend makes, opens and verifies."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import kmskit
from kmskit.ciphertext import parse
from tests.parts import missing

MESSAGE = b"v1.2.0\n"
PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32", "-sigopt", "rsa_mgf1_md:sha256"]
PKCS1 = ["-sigopt", "rsa_padding_mode:pkcs1"]
SIGNATURES = [
    *[(f"RSA_{bits}", "RSA_PSS_SHA_256", ["-sha256", *PSS]) for bits in (2048, 3072, 4096)],
    *[(f"RSA_{bits}", "RSA_PKCS1_SHA_256", ["-sha256", *PKCS1]) for bits in (2048, 3072, 4096)],
    ("EC_P256", "ECDSA_SHA_256", ["-sha256"]),
    ("EC_P384", "ECDSA_SHA_384", ["-sha384"]),
    ("EC_P521", "ECDSA_SHA_512", ["-sha512"]),
    ("EC_P256K", "ECDSA_SHA_256", ["-sha256"]),
]
GENERATED = [
    ("RSA_2048", ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
    ("EC_P256", ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("EC_P384", ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
    ("EC_P521", ["EC", "-pkeyopt", "ec_paramgen_curve:P-521"]),
    ("EC_P256K", ["EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"]),
    ("ED25519", ["ED25519"]),
]


def openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    """What the command prints; CalledProcessError if it fails."""
    command = shutil.which("openssl") or missing("openssl")
    return subprocess.run([command, *arguments], input=stdin, capture_output=True, check=True, timeout=30).stdout


@pytest.fixture
def kms() -> Iterator[kmskit.Kms]:
    with kmskit.connect("software:?memory=1") as kms:
        yield kms


def public_file(key: kmskit.Key, folder: Path) -> Path:
    path = folder / "public.pem"
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def private_file(key: kmskit.Key, folder: Path) -> Path:
    path = folder / "private.der"
    (material,) = key.export_material().values()
    path.write_bytes(material)
    return path


@pytest.mark.parametrize(("spec", "algorithm", "options"), SIGNATURES)
def test_openssl_verifies_our_signatures_of_messages_and_digests(
    kms: kmskit.Kms, tmp_path: Path, spec: str, algorithm: str, options: list[str]
) -> None:
    key = kms.create_key(spec=spec)
    public = public_file(key, tmp_path)
    digest = hashlib.new(options[0].removeprefix("-"), MESSAGE).digest()
    for signature in (key.sign(MESSAGE, algorithm=algorithm), key.sign_digest(digest, algorithm=algorithm)):
        (tmp_path / "signature").write_bytes(bytes(signature))
        verify = ["dgst", *options, "-verify", public, "-signature", tmp_path / "signature"]
        assert openssl(*verify, stdin=MESSAGE) == b"Verified OK\n"
        with pytest.raises(subprocess.CalledProcessError):
            openssl(*verify, stdin=MESSAGE + b"!")


@pytest.mark.parametrize(("spec", "algorithm", "options"), SIGNATURES)
def test_we_verify_the_signatures_of_openssl(
    kms: kmskit.Kms, tmp_path: Path, spec: str, algorithm: str, options: list[str]
) -> None:
    key = kms.create_key(spec=spec, exportable=True)
    signature = openssl("dgst", *options, "-sign", private_file(key, tmp_path), "-keyform", "DER", stdin=MESSAGE)
    key.verify(MESSAGE, signature, algorithm=algorithm)
    with pytest.raises(kmskit.InvalidSignatureError):
        key.verify(MESSAGE + b"!", signature, algorithm=algorithm)


def test_ed25519_signatures_are_those_of_openssl(kms: kmskit.Kms, tmp_path: Path) -> None:
    key = kms.create_key(spec="ED25519", exportable=True)
    message = tmp_path / "message"
    message.write_bytes(MESSAGE)
    private = ["-inkey", private_file(key, tmp_path), "-keyform", "DER"]
    assert openssl("pkeyutl", "-sign", *private, "-rawin", "-in", message) == bytes(key.sign(MESSAGE))
    (tmp_path / "signature").write_bytes(bytes(key.sign(MESSAGE)))
    public = ["-pubin", "-inkey", public_file(key, tmp_path), "-sigfile", tmp_path / "signature"]
    assert b"Verified Successfully" in openssl("pkeyutl", "-verify", *public, "-rawin", "-in", message)


@pytest.mark.parametrize("spec", ["RSA_2048", "RSA_3072", "RSA_4096"])
@pytest.mark.parametrize(("algorithm", "digest"), [("RSAES_OAEP_SHA_256", "sha256"), ("RSAES_OAEP_SHA_1", "sha1")])
def test_rsa_ciphertexts_open_on_both_sides(
    kms: kmskit.Kms, tmp_path: Path, spec: str, algorithm: str, digest: str
) -> None:
    key = kms.create_key(spec=spec, usage="ENCRYPT_DECRYPT", exportable=True)
    padding = ["rsa_padding_mode:oaep", f"rsa_oaep_md:{digest}", f"rsa_mgf1_md:{digest}"]
    options = [part for option in padding for part in ("-pkeyopt", option)]
    decrypt = ["pkeyutl", "-decrypt", "-inkey", private_file(key, tmp_path), "-keyform", "DER", *options]
    encrypt = ["pkeyutl", "-encrypt", "-pubin", "-inkey", public_file(key, tmp_path), *options]
    assert openssl(*decrypt, stdin=key.encrypt(MESSAGE, algorithm=algorithm)) == MESSAGE
    assert key.decrypt(openssl(*encrypt, stdin=MESSAGE), algorithm=algorithm) == MESSAGE


@pytest.mark.parametrize(("spec", "digest"), [("HMAC_256", "SHA256"), ("HMAC_384", "SHA384"), ("HMAC_512", "SHA512")])
def test_tags_are_those_of_openssl(kms: kmskit.Kms, spec: str, digest: str) -> None:
    key = kms.create_key(spec=spec, exportable=True)
    (secret,) = key.export_material().values()
    tag = openssl("mac", "-digest", digest, "-macopt", f"hexkey:{secret.hex()}", "HMAC", stdin=MESSAGE)
    assert tag.strip().decode().lower() == key.mac(MESSAGE).hex()


@pytest.mark.parametrize(("spec", "cipher"), [("AES_256", "aes-256"), ("AES_128", "aes-128"), ("SM4", "sm4")])
def test_openssl_decrypts_the_body_of_our_ciphertexts(kms: kmskit.Kms, spec: str, cipher: str) -> None:
    # `openssl enc` has no GCM, but GCM without its tag is CTR that counts from 2 (NIST SP 800-38D, 7.1).
    key = kms.create_key(spec=spec, exportable=True)
    (secret,) = key.export_material().values()
    message = MESSAGE * 100
    blob = parse(key.encrypt(message, context={"tenant": "acme"}))
    counter = blob.iv + (2).to_bytes(4)
    decrypt = ["enc", "-d", f"-{cipher}-ctr", "-K", secret.hex(), "-iv", counter.hex()]
    assert openssl(*decrypt, stdin=blob.body[:-16]) == message


@pytest.mark.parametrize(("spec", "options"), GENERATED)
@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_private_keys_of_openssl_are_imported(
    kms: kmskit.Kms, tmp_path: Path, spec: str, options: list[str], form: str
) -> None:
    private, public = tmp_path / "private", tmp_path / "theirs.pem"
    openssl("genpkey", "-algorithm", *options, "-outform", form, "-out", private)
    openssl("pkey", "-in", private, "-inform", form, "-pubout", "-out", public)
    key = kms.import_key(None, private.read_bytes(), spec)
    assert public_file(key, tmp_path).read_bytes() == public.read_bytes()
