"""Nothing secret in errors and logs, and nothing hostile in displays."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import kmskit
from kmskit import KeySpec, Kms, KmsError, Signature
from kmskit.algorithms import SPECS
from kmskit.key import UnopenedKey
from kmskit.testing import hostile, leaks
from kmskit.testing.conformance.base import Conformance, KeyPool, algorithms, create, new_alias

__all__ = ["SecrecyConformance"]


class SecrecyConformance(Conformance):
    def test_no_error_or_log_line_holds_a_secret(
        self, kms: Kms, keys: KeyPool, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Every way to fail that is near a secret, with the secret in hand, while all loggers are at DEBUG."""
        plaintext = secrets.token_urlsafe(30).encode()  # 40 bytes, the size of no key.
        key, other = keys.encrypting(KeySpec.AES_256), keys.encrypting(KeySpec.AES_256, number=1)
        disabled = kms.create_key()
        disabled.disable()
        limit = kms.supports("AES_256", "encrypt").max_bytes or 0
        any_type: Any = plaintext.decode()
        errors: list[BaseException] = []
        with caplog.at_level(logging.DEBUG):
            ciphertext = key.encrypt(plaintext, context={"a": "b"})
            assert key.decrypt(ciphertext, context={"a": "b"}) == plaintext
            data_key = key.generate_data_key(context={"a": "b"})
            attempts: list[Callable[[], object]] = [
                lambda: disabled.encrypt(plaintext),
                lambda: disabled.encrypt_many([plaintext]),
                lambda: key.encrypt(plaintext * (1 + limit // len(plaintext))),
                lambda: key.encrypt_many([plaintext, plaintext * (1 + limit // len(plaintext))]).values(),
                lambda: key.encrypt(any_type),
                lambda: key.encrypt(plaintext, context={"a": any_type, "half": "\ud83d"}),
                lambda: key.encrypt(plaintext, algorithm="AES_CBC"),
                lambda: key.decrypt(ciphertext),
                lambda: key.decrypt(ciphertext[:-1], context={"a": "b"}),
                lambda: other.decrypt(ciphertext, context={"a": "b"}),
                lambda: key.decrypt(plaintext),
                lambda: key.decrypt_many([ciphertext, ciphertext[:-1]], context={"a": "b"}).values(),
                lambda: key.reencrypt(ciphertext, to=other),
                lambda: key.reencrypt(ciphertext, to=disabled, context={"a": "b"}),
                lambda: key.decrypt_data_key(data_key.ciphertext),
                lambda: key.sign(plaintext),
                lambda: key.mac(plaintext),
                lambda: kms.import_key(None, plaintext, "AES_256"),
                lambda: kms.import_key(None, plaintext, "EC_P256"),
                lambda: kms.import_key(None, any_type, "HMAC_256"),
                lambda: kms.import_key(None, plaintext, "RSA_2048"),
                *self._attempts_of_other_specs(kms, keys, plaintext),
            ]
            for number, attempt in enumerate(attempts):
                try:
                    attempt()
                except (KmsError, TypeError, ValueError) as error:
                    errors.append(error)
                else:
                    pytest.fail(f"attempt {number} did not fail")
        logs = [f"{record.getMessage()} {vars(record)!r}" for record in caplog.records]
        leaks.assert_clean([*errors, *logs], plaintext, bytes(data_key.plaintext))

    @staticmethod
    def _attempts_of_other_specs(kms: Kms, keys: KeyPool, plaintext: bytes) -> list[Callable[[], object]]:
        attempts: list[Callable[[], object]] = []
        if kms.supports("RSA_2048", "encrypt"):
            rsa = keys.encrypting(KeySpec.RSA_2048)
            algorithm = algorithms(rsa)[0]
            ciphertext = rsa.encrypt(plaintext, algorithm=algorithm)
            attempts += [
                lambda: rsa.encrypt(plaintext * 20, algorithm=algorithm),
                lambda: rsa.encrypt(plaintext, context={"a": "b"}, algorithm=algorithm),
                lambda: rsa.decrypt(ciphertext[::-1], algorithm=algorithm),
            ]
        if kms.supports("EC_P256", "sign"):
            signer = keys.signing(KeySpec.EC_P256)
            attempts += [
                lambda: signer.verify(plaintext, b"no signature"),
                lambda: signer.sign_digest(plaintext),
            ]
        if kms.supports("HMAC_256", "mac"):
            authenticator = keys(KeySpec.HMAC_256)
            tag = authenticator.mac(plaintext)
            attempts += [lambda: authenticator.verify_mac(plaintext, tag[:-1])]
        return attempts

    def test_no_display_of_a_key_holds_its_secret(self, kms: Kms) -> None:
        for spec in (KeySpec.AES_256, KeySpec.HMAC_256):
            if not kms.supports(spec, "import"):
                continue
            secret = secrets.token_bytes(SPECS[spec].bits // 8)
            key = kms.import_key(new_alias(), secret, spec)
            key.encrypt(b"x") if spec is KeySpec.AES_256 else key.mac(b"x")
            shown = [repr(key), str(key), key._repr_html_(), key.uri, repr(vars(key)), repr(vars(kms)), repr(kms)]
            leaks.assert_clean(shown, secret)

    @pytest.mark.parametrize("text", hostile.STRINGS, ids=range(len(hostile.STRINGS)))
    def test_no_field_of_a_key_takes_over_its_display(self, kms: Kms, text: str) -> None:
        alias = new_alias()
        key = create(kms, alias)
        # A backend may refuse such a string for a field; what it takes, it must show harmlessly.
        with suppress(KmsError, ValueError):
            key.add_alias(text + alias)
        with suppress(KmsError, ValueError):
            key.update(description=text)
        with suppress(KmsError, ValueError):
            key.update(tags={text: text, "plain": text})
        for shown in (key, kms.key(key.id)):
            hostile.assert_safe(shown)
        hostile.assert_safe(UnopenedKey(kms, text))
        key.remove_alias(alias)  # Now the hostile alias, where there is one, is the title.
        hostile.assert_safe(key)
        key.disable()
        hostile.assert_safe(key)
        hostile.assert_safe(kms)

    @pytest.mark.parametrize("text", hostile.STRINGS, ids=range(len(hostile.STRINGS)))
    def test_no_argument_takes_over_the_display_of_an_error(self, kms: Kms, keys: KeyPool, text: str) -> None:
        key = keys.encrypting(KeySpec.AES_256)
        alias = new_alias()
        kms.create_key(alias)
        name = text + new_alias()
        any_type: Any = text
        attempts: list[Callable[[], object]] = [
            lambda: kms.key(name),
            lambda: kms.key(key.id, spec=text),
            lambda: kms.create_key(spec=text),
            lambda: kms.create_key(usage=text),
            lambda: (kms.create_key(name), kms.create_key(name)),
            lambda: kms.create_key(alias, description=text, tags={text: text}),
            lambda: key.encrypt(b"x", algorithm=text),
            lambda: key.encrypt(b"x", context={text: "\ud83d"}),
            lambda: key.decrypt(b"x", context={text: text}),
            lambda: key.decrypt(text.encode("utf-8", "replace")),
            lambda: key.decrypt_many([text.encode()], context={text: text}).values(),
            lambda: key.remove_alias(name + name),
            lambda: key.add_alias(text * 250),
            lambda: key.encrypt(any_type),
            lambda: kms.supports(text, "encrypt"),
            lambda: UnopenedKey(kms, name + name).encrypt(b"x"),
        ]
        if kms.supports("EC_P256", "sign"):
            signer = keys.signing(KeySpec.EC_P256)
            forged = Signature(b"", text, text, text)
            hostile.assert_safe(forged)
            attempts += [
                lambda: signer.verify(b"x", forged),
                lambda: signer.sign(b"x", algorithm=text),
                lambda: signer.public_key(text),
            ]
        for number, attempt in enumerate(attempts):
            try:
                attempt()
            except KmsError as error:
                hostile.assert_safe(error)
                # What a traceback ends with, in a terminal and in a log.
                hostile.assert_safe_text(str(error), lines=True)
                hostile.assert_safe_text("\n".join(getattr(error, "__notes__", [])), lines=True)
            except (TypeError, ValueError) as error:
                hostile.assert_safe_text(str(error), lines=True)
            else:
                pytest.fail(f"attempt {number} did not fail")

    def test_no_batch_or_explanation_takes_over_its_display(self, kms: Kms, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.AES_256)
        for text in hostile.STRINGS:
            data = text.encode()
            batch = key.decrypt_many([data, key.encrypt(data), data * 3])
            hostile.assert_safe(batch)
            hostile.assert_safe(batch[0])
            hostile.assert_safe(batch[1])
            for ciphertext in (data, data * 20, b"\x01" + data * 20, key.encrypt(data)):
                hostile.assert_safe(kmskit.explain(ciphertext))
                hostile.assert_safe(kmskit.explain(ciphertext, kms))
        hostile.assert_safe(kms.capabilities())
        hostile.assert_safe(key.generate_data_key())
