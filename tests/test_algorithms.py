"""The one table of specs and algorithms, held against the libraries whose names it gives."""

from __future__ import annotations

import hashlib
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ObjectIdentifier

from kmskit import KeySpec, KeyUsage, UnsupportedError
from kmskit.algorithms import ALGORITHMS, SPECS, choose, lookup_spec, lookup_usage


def test_every_spec_has_a_row() -> None:
    assert list(SPECS) == list(KeySpec)
    assert all(row.name is KeySpec(name) for name, row in SPECS.items())


def test_every_algorithm_belongs_to_a_spec_and_its_usage() -> None:
    used = {(name, usage) for row in SPECS.values() for usage, names in row.algorithms.items() for name in names}
    assert used == {(row.name, row.usage) for row in ALGORITHMS.values()}


def test_the_names_of_pyca_exist() -> None:
    for algorithm in ALGORITHMS.values():
        if algorithm.digest is not None:
            digest = getattr(hashes, algorithm.digest)()
            assert digest.digest_size == algorithm.digest_size == hashlib.new(algorithm.digest).digest_size
    for row in SPECS.values():
        if row.pyca_curve is not None:
            curve = getattr(ec, row.pyca_curve)
            assert curve().key_size == row.bits
            assert ec.get_curve_for_oid(ObjectIdentifier(str(row.oid))) is curve


def test_the_names_of_pkcs11_exist() -> None:
    for row in SPECS.values():
        if row.family != "SM4":  # PKCS#11 has no SM4; vendors' modules number it themselves.
            assert hasattr(pkcs11.KeyType, row.pkcs11), row
    for algorithm in ALGORITHMS.values():
        if algorithm.name != "SM4_GCM":
            assert hasattr(pkcs11.Mechanism, algorithm.pkcs11), algorithm


def test_kinds_are_told_apart() -> None:
    assert {name for name, row in SPECS.items() if row.symmetric} == {"AES_256", "AES_128", "SM4"}
    assert {name for name, row in SPECS.items() if not row.symmetric and not row.asymmetric} == {
        "HMAC_256",
        "HMAC_384",
        "HMAC_512",
    }


def test_oaep_holds_what_rfc_8017_says() -> None:
    limits = {
        (name, algorithm): SPECS[name].max_plaintext(ALGORITHMS[algorithm])
        for name in ("RSA_2048", "RSA_3072", "RSA_4096")
        for algorithm in ("RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1")
    }
    assert list(limits.values()) == [190, 214, 318, 342, 446, 470]
    assert SPECS["AES_256"].max_plaintext(ALGORITHMS["AES_GCM"]) is None


def test_specs_are_looked_up_by_member_or_name() -> None:
    assert lookup_spec("SM4") is lookup_spec(KeySpec.SM4) is SPECS["SM4"]
    for name in ("AES", "", "aes_256"):
        with pytest.raises(UnsupportedError) as refused:
            lookup_spec(name)
        assert ", ".join(KeySpec) in str(refused.value)
    wrong: Any
    for wrong in (None, 7, b"SM4"):
        with pytest.raises(TypeError, match="spec"):
            lookup_spec(wrong)


def test_defaults_are_those_of_the_design() -> None:
    rsa = SPECS["RSA_2048"]
    assert lookup_usage(None, rsa) is KeyUsage.SIGN_VERIFY
    assert choose(rsa, KeyUsage.SIGN_VERIFY, None).name == "RSA_PSS_SHA_256"
    assert choose(rsa, KeyUsage.ENCRYPT_DECRYPT, None).name == "RSAES_OAEP_SHA_256"
    assert lookup_usage("ENCRYPT_DECRYPT", rsa) is KeyUsage.ENCRYPT_DECRYPT


def test_what_a_spec_lacks_is_refused_with_what_it_has() -> None:
    with pytest.raises(UnsupportedError) as refused:
        lookup_usage("SIGN_VERIFY", SPECS["AES_256"])
    assert refused.value.hint == "usages of AES_256: ENCRYPT_DECRYPT"
    with pytest.raises(UnsupportedError) as refused:
        choose(SPECS["RSA_2048"], KeyUsage.SIGN_VERIFY, "RSAES_OAEP_SHA_1")
    assert refused.value.hint == "it has RSA_PSS_SHA_256, RSA_PKCS1_SHA_256"
    with pytest.raises(UnsupportedError):
        choose(SPECS["EC_P256"], KeyUsage.ENCRYPT_DECRYPT, None)
