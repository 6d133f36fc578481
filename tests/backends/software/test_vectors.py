"""Published test vectors, as pyca/cryptography ships them, through kmskit's own code.

Where a vector's key has the form of a spec it is imported and used through `Key`. RFC 4231's HMAC keys have other
lengths, and NIST's vectors for verification only public keys, so these drive the backend's classes. GCM vectors with
associated data are left out, since theirs are no context; Tink checks ciphertexts with a context.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography_vectors import open_vector_file

import kmskit
from kmskit.algorithms import ALGORITHMS, SPECS
from kmskit.backends.publickey import PublicKey
from kmskit.backends.software.primitives import MacKey, Sm4Gcm

Vector = dict[str, str]


def vectors(name: str) -> Iterator[Vector]:
    """The vectors of a file in NIST's form.

    A line is `name = value`, or a mark such as `FAIL`, or in brackets what holds for all vectors until it is said anew.
    A vector ends at an empty line.
    """
    with open_vector_file(name, "r") as file:
        standing: Vector = {}
        fields: Vector = {}
        for line in (*map(str.strip, file), ""):
            if line.startswith("["):
                label, _, value = line.strip("[]").partition("=")
                standing[label.strip() if value else "section"] = value.strip() or label
            elif line and not line.startswith("#"):
                label, _, value = line.partition("=")
                fields[label.strip().lower()] = value.strip()
            elif not line and fields:
                if fields.keys() <= set("npqed"):  # The RSA files name a key above the vectors that use it.
                    standing.update(fields)
                else:
                    yield standing | fields
                fields = {}


def pkcs1_vectors(name: str) -> Iterator[tuple[rsa.RSAPrivateNumbers, bytes, bytes]]:
    """Private key, message and encryption of a file in the form of RSA's own: `# Label:` and lines of hex below it."""
    with open_vector_file(name, "r") as file:
        fields: Vector = {"": ""}
        label = ""
        for line in map(str.strip, (*file, "#")):
            if line.startswith("#"):
                if label == "encryption":
                    yield _rsa_private(fields), bytes.fromhex(fields["message"]), bytes.fromhex(fields[label])
                label = line.strip("# :").lower()
                fields[label] = ""
            else:
                fields[label] += line.replace(" ", "")


def _rsa_private(fields: Vector) -> rsa.RSAPrivateNumbers:
    n, e, p, q, d = (int(fields[name], 16) for name in ("modulus", "public exponent", "prime 1", "prime 2", "exponent"))
    public = rsa.RSAPublicNumbers(e, n)
    return rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    )


@pytest.fixture(scope="module")
def kms() -> Iterator[kmskit.Kms]:
    with kmskit.connect("software:?memory=1") as kms:
        yield kms


def verifier(spec: str, public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> PublicKey:
    return PublicKey(SPECS[spec], public)


def refused(key: PublicKey, message: bytes, signature: bytes, algorithm: str) -> bool:
    try:
        key.verify(message, signature, ALGORITHMS[algorithm])
    except kmskit.InvalidSignatureError:
        return True
    return False


def some(things: Iterable[Vector], at_least: int) -> list[Vector]:
    """The things as a list, so that a file read wrongly cannot pass for one without failures."""
    found = list(things)
    assert len(found) >= at_least
    return found


# Encryption


@pytest.mark.parametrize("bits", [128, 256])
def test_aes_gcm_decrypts_nist_vectors_and_refuses_the_damaged_ones(kms: kmskit.Kms, bits: int) -> None:
    wanted = {"IVlen": "96", "AADlen": "0"}
    found = some((v for v in vectors(f"ciphers/AES/GCM/gcmDecrypt{bits}.rsp") if wanted.items() <= v.items()), 525)
    opened = 0
    for vector in found:
        key = kms.import_key(None, bytes.fromhex(vector["key"]), f"AES_{bits}")
        blob = bytes.fromhex("01" + key.primary_version + vector["iv"] + vector["ct"] + vector["tag"])
        if "fail" in vector or vector["Taglen"] != "128":  # A tag that was shortened is refused, too.
            with pytest.raises(kmskit.InvalidCiphertextError):
                key.decrypt(blob)
        else:
            assert key.decrypt(blob) == bytes.fromhex(vector["pt"])
            opened += 1
    assert opened > 30


def test_sm4_gcm_is_that_of_rfc_8998() -> None:
    (vector,) = vectors("ciphers/SM4/rfc8998.txt")
    key, iv, aad, tag, plaintext, body = (
        bytes.fromhex(vector[name]) for name in ("key", "iv", "aad", "tag", "plaintext", "ciphertext")
    )
    cipher = Sm4Gcm(key)
    assert cipher.encrypt(iv, plaintext, aad) == body + tag
    assert cipher.decrypt(iv, body + tag, aad) == plaintext
    with pytest.raises(InvalidTag):
        cipher.decrypt(iv, body + tag, aad + b"!")


@pytest.mark.parametrize(
    ("name", "algorithm", "at_least"),
    [
        ("oaep-custom/oaep-sha256-sha256.txt", "RSAES_OAEP_SHA_256", 6),
        ("pkcs-1v2-1d2-vec/oaep-vect.txt", "RSAES_OAEP_SHA_1", 6),
    ],
)
def test_rsa_oaep_opens_published_ciphertexts(kms: kmskit.Kms, name: str, algorithm: str, at_least: int) -> None:
    found = [
        (numbers, message, ciphertext)
        for numbers, message, ciphertext in pkcs1_vectors(f"asymmetric/RSA/{name}")
        if numbers.public_numbers.n.bit_length() == 2048  # The older file also has keys that are no spec.
    ]
    assert len(found) >= at_least
    keys = {
        numbers: kms.import_key(None, numbers.private_key(), "RSA_2048", usage="ENCRYPT_DECRYPT")
        for numbers, _, _ in found
    }
    for numbers, message, ciphertext in found:
        assert keys[numbers].decrypt(ciphertext, algorithm=algorithm) == message
        with pytest.raises(kmskit.InvalidCiphertextError):
            keys[numbers].decrypt(ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]), algorithm=algorithm)


# Signatures


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_rsa_pkcs1_verification_agrees_with_nist(bits: int) -> None:
    wanted = {"mod": str(bits), "shaalg": "SHA256"}
    path = "asymmetric/RSA/FIPS_186-2/SigVer15_186-3.rsp"
    for vector in some((v for v in vectors(path) if wanted.items() <= v.items()), 18):
        key = verifier(f"RSA_{bits}", _rsa_public(vector))
        message, signature = bytes.fromhex(vector["msg"]), bytes.fromhex(vector["s"])
        assert refused(key, message, signature, "RSA_PKCS1_SHA_256") == vector["result"].startswith("F")


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_rsa_pss_takes_no_other_salt_than_one_as_long_as_the_digest(bits: int) -> None:
    # NIST's salts have 10 bytes. pyca, told so, shows that these signatures are good and were read well.
    wanted = {"mod": str(bits), "shaalg": "SHA256", "result": "P"}
    path = "asymmetric/RSA/FIPS_186-2/SigVerPSS_186-3.rsp"
    for vector in some((v for v in vectors(path) if wanted.items() <= v.items()), 3):
        public, message, signature = _rsa_public(vector), bytes.fromhex(vector["msg"]), bytes.fromhex(vector["s"])
        public.verify(signature, message, padding.PSS(padding.MGF1(hashes.SHA256()), 10), hashes.SHA256())
        assert refused(verifier(f"RSA_{bits}", public), message, signature, "RSA_PSS_SHA_256")


def _rsa_public(vector: Vector) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(int(vector["e"], 16), int(vector["n"], 16)).public_key()


@pytest.mark.parametrize(
    ("spec", "section", "number"),
    [("EC_P256", "P-256,SHA-256", 15), ("EC_P384", "P-384,SHA-384", 15), ("EC_P521", "P-521,SHA-512", 15)],
)
def test_ecdsa_verification_agrees_with_nist(spec: str, section: str, number: int) -> None:
    results = []
    path = "asymmetric/ECDSA/FIPS_186-3/SigVer.rsp"
    for vector in some((v for v in vectors(path) if v["section"] == section), number):
        key = verifier(spec, _point(spec, vector).public_key())
        bad = refused(key, bytes.fromhex(vector["msg"]), _dss(vector), ALGORITHM_OF[spec])
        assert bad == vector["result"].startswith("F")
        results.append(bad)
    assert set(results) == {True, False}


@pytest.mark.parametrize(
    ("spec", "name", "section", "number"),
    [
        ("EC_P256", "FIPS_186-3/SigGen.txt", "P-256,SHA-256", 15),
        ("EC_P384", "FIPS_186-3/SigGen.txt", "P-384,SHA-384", 15),
        ("EC_P521", "FIPS_186-3/SigGen.txt", "P-521,SHA-512", 15),
        ("EC_P256K", "SECP256K1/SigGen.txt", "K-256,SHA-256", 15),
    ],
)
def test_imported_private_keys_verify_the_signatures_they_made(
    kms: kmskit.Kms, spec: str, name: str, section: str, number: int
) -> None:
    for vector in some((v for v in vectors(f"asymmetric/ECDSA/{name}") if v["section"] == section), number):
        private = ec.EllipticCurvePrivateNumbers(int(vector["d"], 16), _point(spec, vector)).private_key()
        key = kms.import_key(None, private, spec)
        message = bytes.fromhex(vector["msg"])
        key.verify(message, _dss(vector))
        key.verify(message, key.sign(message))
        with pytest.raises(kmskit.InvalidSignatureError):
            key.verify(message + b"!", _dss(vector))


ALGORITHM_OF = {"EC_P256": "ECDSA_SHA_256", "EC_P384": "ECDSA_SHA_384", "EC_P521": "ECDSA_SHA_512"}


def _point(spec: str, vector: Vector) -> ec.EllipticCurvePublicNumbers:
    curve = getattr(ec, SPECS[spec].pyca_curve or "")()
    return ec.EllipticCurvePublicNumbers(int(vector["qx"], 16), int(vector["qy"], 16), curve)


def _dss(vector: Vector) -> bytes:
    return encode_dss_signature(int(vector["r"], 16), int(vector["s"], 16))


def test_ed25519_signs_as_its_authors_did(kms: kmskit.Kms) -> None:
    with open_vector_file("asymmetric/Ed25519/sign.input", "r") as file:
        lines = [line.split(":") for line in file]
    assert len(lines) == 1024
    for private, public, message, signature in (map(bytes.fromhex, line[:4]) for line in lines[::4]):
        key = kms.import_key(None, ed25519.Ed25519PrivateKey.from_private_bytes(private[:32]), "ED25519")
        assert key.public_key().public_bytes_raw() == public
        assert bytes(key.sign(message)) == signature[:64]  # The message follows the signature in this file.
        key.verify(message, signature[:64])


# MACs


@pytest.mark.parametrize(("spec", "digest"), [("HMAC_256", "sha256"), ("HMAC_384", "sha384"), ("HMAC_512", "sha512")])
def test_hmac_makes_the_tags_of_rfc_4231(spec: str, digest: str) -> None:
    for vector in some(vectors(f"HMAC/rfc-4231-{digest}.txt"), 6):
        key = MacKey(SPECS[spec], "00000000", bytes.fromhex(vector["key"]))
        message, tag = bytes.fromhex(vector["msg"]), bytes.fromhex(vector["md"])
        assert key.mac(message) == tag
        key.verify_mac(message, tag)
        with pytest.raises(kmskit.InvalidMacError):
            key.verify_mac(message, tag[:-1])
