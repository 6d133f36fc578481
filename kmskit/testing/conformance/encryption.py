"""Encryption, contexts, re-encryption and data keys."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from kmskit import (
    InvalidCiphertextError,
    KeySpec,
    KeyUsage,
    Kms,
    LimitExceededError,
    UnsupportedError,
)
from kmskit.testing.conformance.base import ENCRYPTING, SYMMETRIC, Conformance, KeyPool, algorithms, flipped, require

__all__ = ["EncryptionConformance"]

CONTEXT = {"tenant": "acme", "table": "orders"}
OTHER_CONTEXTS: tuple[dict[str, str], ...] = (
    {},
    {"tenant": "acme"},
    {"tenant": "acme", "table": "orders", "more": ""},
    {"tenant": "acme", "table": "order"},
    {"tenant": "acme", "tables": "orders"},
    {"tenant": "orders", "table": "acme"},
    {"Tenant": "acme", "table": "orders"},
)
NO_CONTEXTS = ({"number": 1}, {1: "number"}, {"bytes": b"x"}, {"nothing": None}, ["a", "list"], "text", b"bytes", 7)

# Six bytes, because base64 of a service's ciphertext of six has no padding: so every bit of every character counts.
PLAINTEXT = b"4111-1"


class EncryptionConformance(Conformance):
    @pytest.mark.parametrize("spec", ENCRYPTING)
    def test_decrypt_gives_back_what_was_encrypted(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.encrypting(spec)
        for algorithm in algorithms(key):
            for plaintext in (b"", b"\0", PLAINTEXT, bytes(range(128))):
                ciphertext = key.encrypt(plaintext, algorithm=algorithm)
                assert type(ciphertext) is bytes
                assert len(plaintext) < len(PLAINTEXT) or plaintext not in ciphertext
                opened = key.decrypt(ciphertext, algorithm=algorithm)
                assert type(opened) is bytes
                assert opened == plaintext

    @pytest.mark.parametrize("spec", ENCRYPTING)
    def test_any_binary_type_is_taken(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.encrypting(spec)
        algorithm = algorithms(key)[0]
        for kind in (bytearray, memoryview):
            ciphertext = key.encrypt(kind(PLAINTEXT), algorithm=algorithm)
            assert key.decrypt(kind(ciphertext), algorithm=algorithm) == PLAINTEXT

    @pytest.mark.parametrize("spec", ENCRYPTING)
    def test_the_same_plaintext_never_gives_the_same_ciphertext(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.encrypting(spec)
        algorithm = algorithms(key)[0]
        assert len({key.encrypt(PLAINTEXT, algorithm=algorithm) for _ in range(20)}) == 20

    @pytest.mark.parametrize("spec", ENCRYPTING)
    def test_the_declared_size_fits_and_one_byte_more_does_not(self, kms: Kms, keys: KeyPool, spec: KeySpec) -> None:
        limit = require(kms, spec, "encrypt").max_bytes
        if limit is None:
            pytest.skip("this backend declares no limit")
        key = keys.encrypting(spec)
        algorithm = algorithms(key)[0]
        largest = bytes(range(256)) * (limit // 256 + 1)
        ciphertext = key.encrypt(largest[:limit], algorithm=algorithm)
        assert key.decrypt(ciphertext, algorithm=algorithm) == largest[:limit]
        with pytest.raises(LimitExceededError) as refused:
            key.encrypt(largest[: limit + 1], algorithm=algorithm)
        assert "envelope" in (refused.value.hint or "")

    @pytest.mark.parametrize("spec", SYMMETRIC)
    def test_six_kilobytes_fit(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.encrypting(spec)
        plaintext = bytes(range(256)) * 24
        assert key.decrypt(key.encrypt(plaintext, context=CONTEXT), context=CONTEXT) == plaintext

    # Contexts

    @pytest.mark.parametrize("spec", SYMMETRIC)
    def test_only_the_same_context_opens(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.encrypting(spec)
        ciphertext = key.encrypt(PLAINTEXT, context=CONTEXT)
        for context in (None, *OTHER_CONTEXTS):
            with pytest.raises(InvalidCiphertextError):
                key.decrypt(ciphertext, context=context)
        assert key.decrypt(ciphertext, context=CONTEXT) == PLAINTEXT

    def test_the_order_of_a_context_does_not_matter(self, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.AES_256)
        ciphertext = key.encrypt(PLAINTEXT, context={"a": "1", "b": "2", "c": "3"})
        assert key.decrypt(ciphertext, context={"c": "3", "b": "2", "a": "1"}) == PLAINTEXT

    def test_an_empty_context_equals_none(self, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.AES_256)
        assert key.decrypt(key.encrypt(PLAINTEXT, context={})) == PLAINTEXT
        assert key.decrypt(key.encrypt(PLAINTEXT), context={}) == PLAINTEXT
        with pytest.raises(InvalidCiphertextError):
            key.decrypt(key.encrypt(PLAINTEXT), context=CONTEXT)

    def test_a_context_may_hold_any_script(self, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.AES_256)
        context = {"租户": "阿里", "straße": "naïve", "🔑": "", "space and/slash": '"quoted"'}
        assert key.decrypt(key.encrypt(PLAINTEXT, context=context), context=context) == PLAINTEXT
        with pytest.raises(InvalidCiphertextError):  # The same to the eye, with a combining mark.
            key.decrypt(key.encrypt(PLAINTEXT, context={"n": "naïve"}), context={"n": "nai\u0308ve"})

    @pytest.mark.parametrize(
        ("context", "twin"),
        [
            ({"a": "b&c=d"}, {"a": "b", "c": "d"}),
            ({"a=b": "c"}, {"a": "b=c"}),
            ({"a": "bc"}, {"ab": "c"}),
            ({"a": ""}, {"": "a"}),
            ({"a": "1,b:2"}, {"a": "1", "b": "2"}),
        ],
    )
    def test_contexts_that_look_alike_when_joined_are_told_apart_or_refused(
        self, keys: KeyPool, context: dict[str, str], twin: dict[str, str]
    ) -> None:
        key = keys.encrypting(KeySpec.AES_256)
        try:
            ciphertext = key.encrypt(PLAINTEXT, context=context)
        except (UnsupportedError, ValueError):
            return
        with pytest.raises((InvalidCiphertextError, UnsupportedError, ValueError)):
            key.decrypt(ciphertext, context=twin)
        assert key.decrypt(ciphertext, context=context) == PLAINTEXT

    @pytest.mark.parametrize("spec", [KeySpec.AES_256, KeySpec.RSA_2048])
    @pytest.mark.parametrize("context", NO_CONTEXTS, ids=repr)
    def test_what_is_no_context_is_a_type_error(self, keys: KeyPool, spec: KeySpec, context: Any) -> None:
        key = keys.encrypting(spec)
        for use in (key.encrypt, key.decrypt):
            with pytest.raises(TypeError, match="context"):
                use(PLAINTEXT, context=context)
        if spec in SYMMETRIC:
            with pytest.raises(TypeError, match="context"):
                key.generate_data_key(context=context)
            with pytest.raises(TypeError, match="context"):
                key.encrypt_many([PLAINTEXT], context=context)

    def test_a_context_that_cannot_be_encoded_is_a_value_error(self, keys: KeyPool) -> None:
        with pytest.raises(ValueError, match="context"):
            keys.encrypting(KeySpec.AES_256).encrypt(PLAINTEXT, context={"half": "\ud83d"})

    def test_a_context_on_an_rsa_key_is_refused(self, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.RSA_2048)
        algorithm = algorithms(key)[0]
        ciphertext = key.encrypt(PLAINTEXT, context={}, algorithm=algorithm)
        assert key.decrypt(ciphertext, context={}, algorithm=algorithm) == PLAINTEXT
        with pytest.raises(UnsupportedError, match="context"):
            key.encrypt(PLAINTEXT, context=CONTEXT, algorithm=algorithm)
        with pytest.raises(UnsupportedError, match="context"):
            key.decrypt(ciphertext, context=CONTEXT, algorithm=algorithm)

    # Bytes that are not what this key made

    @pytest.mark.parametrize("spec", [*SYMMETRIC, KeySpec.RSA_2048])
    def test_a_change_of_any_byte_is_noticed(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.encrypting(spec)
        algorithm = algorithms(key)[0]
        context = CONTEXT if spec in SYMMETRIC else None
        ciphertext = key.encrypt(PLAINTEXT, context=context, algorithm=algorithm)
        for changed in flipped(ciphertext):
            with pytest.raises(InvalidCiphertextError):
                key.decrypt(changed, context=context, algorithm=algorithm)

    @pytest.mark.parametrize("spec", [*SYMMETRIC, KeySpec.RSA_2048])
    def test_a_ciphertext_that_was_cut_or_lengthened_is_noticed(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.encrypting(spec)
        algorithm = algorithms(key)[0]
        ciphertext = key.encrypt(PLAINTEXT, algorithm=algorithm)
        cuts = [ciphertext[:length] for length in range(len(ciphertext))]
        longer = [ciphertext + b"\0", ciphertext + b"A", b"A" + ciphertext, ciphertext * 2]
        for changed in (*cuts, ciphertext[1:], *longer):
            with pytest.raises(InvalidCiphertextError):
                key.decrypt(changed, algorithm=algorithm)

    @pytest.mark.parametrize("spec", ENCRYPTING)
    def test_another_keys_ciphertext_does_not_open(self, keys: KeyPool, spec: KeySpec) -> None:
        key, other = keys.encrypting(spec), keys.encrypting(spec, number=1)
        algorithm = algorithms(key)[0]
        with pytest.raises(InvalidCiphertextError):
            other.decrypt(key.encrypt(PLAINTEXT, algorithm=algorithm), algorithm=algorithm)

    def test_another_specs_ciphertext_does_not_open(self, keys: KeyPool) -> None:
        aes, rsa = keys.encrypting(KeySpec.AES_256), keys.encrypting(KeySpec.RSA_2048)
        algorithm = algorithms(rsa)[0]
        with pytest.raises(InvalidCiphertextError):
            aes.decrypt(rsa.encrypt(PLAINTEXT, algorithm=algorithm))
        with pytest.raises(InvalidCiphertextError):
            rsa.decrypt(aes.encrypt(PLAINTEXT), algorithm=algorithm)

    def test_an_rsa_ciphertext_opens_with_its_own_algorithm_only(self, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.RSA_2048)
        names = [name for name in algorithms(key) if name is not None]
        if len(names) < 2:
            pytest.skip(f"this backend has no algorithm but {names[0]}")
        with pytest.raises(InvalidCiphertextError):
            key.decrypt(key.encrypt(PLAINTEXT, algorithm=names[0]), algorithm=names[1])

    @pytest.mark.parametrize("spec", ENCRYPTING)
    def test_an_algorithm_of_another_spec_is_refused(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.encrypting(spec)
        for wrong in ("RSA_PSS_SHA_256", "AES_CBC", "", "SM4_GCM" if spec is not KeySpec.SM4 else "AES_GCM"):
            with pytest.raises(UnsupportedError, match="algorithm"):
                key.encrypt(PLAINTEXT, algorithm=wrong)
            with pytest.raises(UnsupportedError, match="algorithm"):
                key.decrypt(PLAINTEXT, algorithm=wrong)

    @pytest.mark.parametrize("spec", [KeySpec.AES_256, KeySpec.RSA_2048])
    @pytest.mark.parametrize("wrong", ["text", None, 7, 1.5, ["list"]], ids=repr)
    def test_what_is_not_binary_is_a_type_error(self, keys: KeyPool, spec: KeySpec, wrong: Any) -> None:
        key = keys.encrypting(spec)
        with pytest.raises(TypeError, match="plaintext: bytes expected"):
            key.encrypt(wrong)
        with pytest.raises(TypeError, match="ciphertext: bytes expected"):
            key.decrypt(wrong)

    def test_a_key_that_signs_does_not_encrypt(self, keys: KeyPool) -> None:
        for key in (keys.signing(KeySpec.RSA_2048), keys(KeySpec.EC_P256), keys(KeySpec.HMAC_256)):
            with pytest.raises(UnsupportedError) as refused:
                key.encrypt(PLAINTEXT)
            assert KeyUsage.ENCRYPT_DECRYPT in f"{refused.value} {refused.value.hint}"
            with pytest.raises(UnsupportedError):
                key.decrypt(PLAINTEXT)

    # Re-encryption

    @pytest.mark.parametrize("spec", SYMMETRIC)
    def test_reencrypt_moves_to_another_key_and_context(self, kms: Kms, keys: KeyPool, spec: KeySpec) -> None:
        require(kms, spec, "reencrypt")
        key, other = keys.encrypting(spec), keys.encrypting(spec, number=1)
        ciphertext = key.encrypt(PLAINTEXT, context=CONTEXT)
        moved = key.reencrypt(ciphertext, to=other, context=CONTEXT, new_context={"tenant": "other"})
        assert other.decrypt(moved, context={"tenant": "other"}) == PLAINTEXT
        with pytest.raises(InvalidCiphertextError):
            other.decrypt(moved, context=CONTEXT)
        with pytest.raises(InvalidCiphertextError):
            key.decrypt(moved, context={"tenant": "other"})

    def test_reencrypt_does_not_take_the_context_over(self, kms: Kms, keys: KeyPool) -> None:
        require(kms, KeySpec.AES_256, "reencrypt")
        key = keys.encrypting(KeySpec.AES_256)
        moved = key.reencrypt(key.encrypt(PLAINTEXT, context=CONTEXT), to=key, context=CONTEXT)
        assert key.decrypt(moved) == PLAINTEXT

    def test_reencrypt_refuses_what_decrypt_refuses(self, kms: Kms, keys: KeyPool) -> None:
        require(kms, KeySpec.AES_256, "reencrypt")
        key, other = keys.encrypting(KeySpec.AES_256), keys.encrypting(KeySpec.AES_256, number=1)
        ciphertext = key.encrypt(PLAINTEXT, context=CONTEXT)
        for source, changed, context in (
            (key, ciphertext, None),
            (key, ciphertext, {"tenant": "other"}),
            (key, ciphertext[:-1], CONTEXT),
            (other, ciphertext, CONTEXT),
        ):
            with pytest.raises(InvalidCiphertextError):
                source.reencrypt(changed, to=other, context=context)
        wrong: Any = "text"
        with pytest.raises(TypeError, match="ciphertext"):
            key.reencrypt(wrong, to=other)
        with pytest.raises(TypeError, match="to"):
            key.reencrypt(ciphertext, to=wrong)

    # Data keys

    @pytest.mark.parametrize("spec", SYMMETRIC)
    def test_a_data_key_opens_again_under_its_context(self, kms: Kms, keys: KeyPool, spec: KeySpec) -> None:
        require(kms, spec, "data_key")
        key = keys.encrypting(spec)
        for length in (1, 16, 32, 64, 1024):
            made = key.generate_data_key(length, context=CONTEXT)
            assert type(made.plaintext) is bytearray
            assert len(made.plaintext) == length
            assert key.decrypt_data_key(made.ciphertext, context=CONTEXT).plaintext == made.plaintext
            for context in (None, {"tenant": "other"}):
                with pytest.raises(InvalidCiphertextError):
                    key.decrypt_data_key(made.ciphertext, context=context)

    def test_data_keys_are_random_and_32_bytes_unless_told_otherwise(self, kms: Kms, keys: KeyPool) -> None:
        require(kms, KeySpec.AES_256, "data_key")
        key = keys.encrypting(KeySpec.AES_256)
        made = [bytes(key.generate_data_key().plaintext) for _ in range(10)]
        assert {len(plaintext) for plaintext in made} == {32}
        assert len({*made, bytes(32)}) == 11

    def test_a_data_key_is_wiped_after_with(self, kms: Kms, keys: KeyPool) -> None:
        require(kms, KeySpec.AES_256, "data_key")
        key = keys.encrypting(KeySpec.AES_256)
        with key.generate_data_key() as made:
            plaintext = made.plaintext
            assert plaintext != bytes(32)
        assert plaintext == bytes(32)
        opened = key.decrypt_data_key(made.ciphertext)
        assert opened.plaintext != bytes(32)
        with pytest.raises(InvalidCiphertextError), opened:  # An error on the way keeps nothing from being wiped.
            key.decrypt_data_key(b"")
        assert opened.plaintext == bytes(32)

    def test_a_data_key_shows_and_pickles_nothing(self, kms: Kms, keys: KeyPool) -> None:
        require(kms, KeySpec.AES_256, "data_key")
        made = keys.encrypting(KeySpec.AES_256).generate_data_key()
        for shown in (repr(made), str(made), made._repr_html_()):
            assert made.plaintext.hex() not in shown
            assert repr(bytes(made.plaintext))[2:-1] not in shown
        with pytest.raises(TypeError, match="DataKey"):
            pickle.dumps(made)

    def test_a_data_key_that_was_changed_does_not_open(self, kms: Kms, keys: KeyPool) -> None:
        require(kms, KeySpec.AES_256, "data_key")
        key = keys.encrypting(KeySpec.AES_256)
        made = key.generate_data_key(context=CONTEXT)
        for changed in flipped(made.ciphertext, stride=7):
            with pytest.raises(InvalidCiphertextError):
                key.decrypt_data_key(changed, context=CONTEXT)
        with pytest.raises(InvalidCiphertextError):
            keys.encrypting(KeySpec.AES_256, number=1).decrypt_data_key(made.ciphertext, context=CONTEXT)

    def test_a_data_key_has_1_to_1024_bytes(self, kms: Kms, keys: KeyPool) -> None:
        require(kms, KeySpec.AES_256, "data_key")
        key = keys.encrypting(KeySpec.AES_256)
        for length in (-1, 0, 1025):
            with pytest.raises(ValueError, match="length"):
                key.generate_data_key(length)
        for wrong in ("32", 32.0, True, None):
            any_type: Any = wrong
            with pytest.raises(TypeError, match="length"):
                key.generate_data_key(any_type)
