"""What goes wrong with tokens: they go away, are made anew, lose keys; and bytes that are wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from pkcs11.constants import Attribute, ObjectClass

import kmskit
from kmskit import ConfigurationError, InvalidCiphertextError, KeyNotFoundError, Kms, ServiceUnavailableError
from kmskit.backends.pkcs11 import inventory
from kmskit.softhsm import Token
from kmskit.uri import parse
from tests.backends.pkcs11.conftest import token_of
from tests.processes import in_child


@pytest.fixture
def away(token: Token) -> Any:
    """A function that takes the token's folder away, and one that brings it back."""
    tokens, elsewhere = token.folder / "tokens", token.folder / "elsewhere"
    return lambda: tokens.rename(elsewhere), lambda: elsewhere.rename(tokens)


# A token that is not there


def test_a_token_that_is_away_is_said_to_be_away_whatever_is_asked(kms: Kms, away: Any) -> None:
    take, _ = away
    key, signer, rsa = (
        kms.create_key("orders"),
        kms.create_key(spec="EC_P256"),
        kms.create_key(spec="RSA_2048", usage="ENCRYPT_DECRYPT"),
    )
    ciphertext, sealed = key.encrypt(b"x"), rsa.encrypt(b"x", algorithm="RSAES_OAEP_SHA_1")
    take()
    for ask in (
        lambda: key.decrypt(ciphertext),
        lambda: key.decrypt(ciphertext[:-1] + b"\0"),  # Tampered, and still nobody can say so now.
        lambda: rsa.decrypt(sealed, algorithm="RSAES_OAEP_SHA_1"),
        lambda: key.encrypt(b"x"),
        lambda: signer.sign(b"x"),
        lambda: key.generate_data_key(),
        lambda: kms.key("orders"),
        lambda: kms.key("nobody"),
        lambda: list(kms.keys()),
        lambda: kms.create_key("new"),
        key.rotate,
        key.disable,
        key.refresh,
        lambda: key.schedule_deletion(7),
    ):
        with pytest.raises(ServiceUnavailableError) as refused:
            ask()
        assert refused.value.retryable
        assert refused.value.hint
    repr(kms), repr(key), kms._repr_html_()


def test_a_token_that_comes_back_works_again(kms: Kms, away: Any) -> None:
    take, bring_back = away
    key = kms.create_key("orders")
    ciphertext = key.encrypt(b"x")
    for _ in range(2):
        take()
        with pytest.raises(ServiceUnavailableError):
            key.decrypt(ciphertext)
        bring_back()
        assert key.decrypt(ciphertext) == b"x"
        assert kms.key("orders") == key


def test_a_token_that_goes_away_while_threads_decrypt_is_never_taken_for_tampering(kms: Kms, away: Any) -> None:
    take, bring_back = away
    key = kms.create_key()
    ciphertext = key.encrypt(b"x")
    stop, outcomes = Event(), []

    def work() -> None:
        while not stop.is_set():
            try:
                outcomes.append(key.decrypt(ciphertext))
            except kmskit.KmsError as error:
                outcomes.append(type(error))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        take()
        stop.wait(0.1)
        bring_back()
        stop.wait(0.1)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert set(outcomes) == {b"x", ServiceUnavailableError}
    assert key.decrypt(ciphertext) == b"x"


def test_an_envelope_says_that_its_token_is_away(kms: Kms, away: Any) -> None:
    take, bring_back = away
    key = kms.create_key()
    message = kmskit.envelope.encrypt(b"x" * 1000, [key])
    take()
    with pytest.raises(ServiceUnavailableError):
        kmskit.envelope.decrypt(message, [key])
    bring_back()
    assert kmskit.envelope.decrypt(message, [key]) == b"x" * 1000


def test_a_token_that_was_made_anew_has_none_of_the_old_keys(kms: Kms, token: Token) -> None:
    """Someone else initialises it: its objects are gone, and so is the PIN."""
    key = kms.create_key("orders")
    ciphertext = key.encrypt(b"x")
    so_pin = (token.folder / "kmskit.so-pin").read_text().strip()
    pin = token.pin_path.read_text().strip()
    subprocess.run(
        ["softhsm2-util", "--init-token", "--token", "kmskit", "--label", "kmskit", "--so-pin", so_pin, "--pin", pin],
        env={**os.environ, "SOFTHSM2_CONF": str(token.folder / "softhsm2.conf")},
        check=True,
        capture_output=True,
    )
    with pytest.raises((KeyNotFoundError, ServiceUnavailableError)):
        key.decrypt(ciphertext)
    kms.close()
    with kmskit.connect(token.uri) as again:
        with pytest.raises(KeyNotFoundError):
            again.key("orders")
        new = again.create_key("orders")  # The note about the old key does not keep its alias.
        assert again.key("orders") == new
        with pytest.raises(InvalidCiphertextError):
            new.decrypt(ciphertext)


# Keys that others change


def test_a_key_that_another_process_destroyed_is_not_found(kms: Kms, token: Token) -> None:
    key, other = kms.create_key("orders"), kms.create_key("others")
    ciphertext = key.encrypt(b"x")
    in_child(_destroy_all, token.uri, "orders")
    with pytest.raises(KeyNotFoundError):
        key.decrypt(ciphertext)
    for ask in (lambda: kms.key("orders"), lambda: kms.key(key.id), key.refresh, key.rotate):
        with pytest.raises(KeyNotFoundError):
            ask()
    assert [found.id for found in kms.keys(state="ENABLED")] == [other.id]
    assert kms.create_key("orders").aliases == ("orders",)


def _destroy_all(uri: str, label: str) -> None:
    with kmskit.connect(uri) as kms:
        backend: Any = kms._backend
        for key_id in backend._keys.labelled(label):
            backend._keys.destroy(backend._keys.find(key_id))


def test_a_version_that_another_process_destroyed_opens_nothing_any_more(kms: Kms) -> None:
    key = kms.create_key()
    old = key.encrypt(b"old")
    key.rotate()
    new = key.encrypt(b"new")
    assert key.decrypt(old) == b"old"
    backend: Any = kms._backend
    found = backend._keys.find(key.id)
    backend._keys.run(lambda session: session.destroy(found.materials[0].handle))
    for _ in range(2):
        with pytest.raises(InvalidCiphertextError, match="version"):
            key.decrypt(old)
    assert key.decrypt(new) == b"new"


def test_what_another_process_does_to_a_key_is_seen_at_its_next_use(kms: Kms, token: Token) -> None:
    key, signer = kms.create_key("orders"), kms.create_key("releases", spec="EC_P256")
    old = key.encrypt(b"old")
    in_child(_in_other, token.uri, "orders", "rotate")
    new = key.encrypt(b"new")
    assert new[:5] != old[:5]
    assert [key.decrypt(old), key.decrypt(new)] == [b"old", b"new"]
    assert len(kms.key("orders").versions) == 2
    made_there = in_child(_in_other, token.uri, "orders", "encrypt", b"by the other")
    in_child(_in_other, token.uri, "orders", "rotate")
    newest = in_child(_in_other, token.uri, "orders", "encrypt", b"under a version not seen here yet")
    assert key.decrypt(newest) == b"under a version not seen here yet"
    assert key.decrypt(made_there) == b"by the other"
    for name in ("orders", "releases"):
        in_child(_in_other, token.uri, name, "disable")
    for use in (lambda: key.encrypt(b"x"), lambda: key.decrypt(old), lambda: signer.sign(b"x")):
        with pytest.raises(kmskit.KeyStateError):
            use()
    in_child(_in_other, token.uri, "orders", "enable")
    assert key.decrypt(old) == b"old"


def _in_other(uri: str, name: str, method: str, *arguments: object) -> Any:
    with kmskit.connect(uri) as kms:
        return getattr(kms.key(name), method)(*arguments)


def test_a_token_refuses_what_a_key_may_not_do_to_every_program(kms: Kms, shared_uri: str, token: Token) -> None:
    """The state is kept by the token itself, and so holds for programs that know nothing of kmskit."""
    key = kms.create_key("orders")
    kms.create_key("releases", spec="EC_P256").disable()
    key.disable()
    with kmskit.connect(shared_uri) as reader:
        opened = token_of(parse(shared_uri).query["module-path"]).open()
        secret = next(iter(list(opened.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))))
        private = next(iter(list(opened.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY}))))
        assert not hasattr(secret, "encrypt")
        assert not hasattr(secret, "decrypt")
        assert not hasattr(private, "sign")
        for found in (secret, private):
            assert found[Attribute.SENSITIVE] is True
            assert found[Attribute.EXTRACTABLE] is False
        opened.close()
        assert reader.key("orders").state == "DISABLED"


# Bytes that are wrong


def test_a_key_that_answers_wrong_bytes_goes_on_answering_right_ones(kms: Kms) -> None:
    key = kms.create_key()
    ciphertext = key.encrypt(b"x", context={"a": "b"})
    sessions = kms._backend._sessions  # type: ignore[attr-defined]
    for _ in range(50):
        for wrong in (ciphertext[:-1], ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]), b"", bytes(100)):
            with pytest.raises(InvalidCiphertextError):
                key.decrypt(wrong, context={"a": "b"})
        with pytest.raises(InvalidCiphertextError):
            key.decrypt(ciphertext)
    assert key.decrypt(ciphertext, context={"a": "b"}) == b"x"
    assert len(sessions._all) <= 2  # Sessions are closed after an error, and not left behind.


# URIs


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"module_path": "/nowhere/module.so"}, "looked for libsofthsm2.so"),
        ({"module_path": "relative.so"}, "absolute"),
        ({"module_path": __file__}, "no PKCS#11 module"),
        ({"x_softhsm2_conf": "/nowhere/softhsm2.conf"}, "names no file"),
        ({"pin_source": "https://example.com"}, "file: URI"),
        ({"pin_source": "file:relative"}, "absolute"),
        ({"pin_source": "file:/nowhere"}, "cannot be read"),
        ({"pin_value": "1234"}, "does not belong in a URI"),
        ({"module_pith": "/x"}, "not known"),
    ],
)
def test_a_uri_that_does_not_work_says_why_and_what_to_do(token: Token, change: dict[str, str], match: str) -> None:
    uri = str(parse(token.uri).with_query(**change))
    with pytest.raises(ConfigurationError, match=match) as refused:
        kmskit.connect(uri)
    assert refused.value.hint
    for secret in (str(token.folder), "1234"):
        assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("attributes", "match"),
    [
        ("token=nobody", "no token of token 'nobody'; there are 'kmskit'"),
        ("serial=0000", "no token of serial '0000'"),
        ("token=kmskit;slot-id=1", "slot-id"),
        ("tokn=kmskit", "not known"),
    ],
)
def test_a_token_that_is_not_there_is_said_with_those_that_are(token: Token, attributes: str, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        kmskit.connect(token.uri.replace("token=kmskit", attributes))


def test_two_tokens_of_one_name_are_told_apart_by_their_serial_numbers(token: Token, tmp_path: Path) -> None:
    twin = kmskit.softhsm.token(tmp_path / "other")
    for folder in (tmp_path / "other" / "tokens").iterdir():
        shutil.copytree(folder, token.folder / "tokens" / folder.name)
    with pytest.raises(ConfigurationError, match="2 tokens fit") as refused:
        kmskit.connect(token.uri)
    assert "serial=" in (refused.value.hint or "")
    for one, other in ((token, twin), (twin, token)):
        uri = parse(token.uri).with_query(pin_source=f"file:{one.pin_path}")
        with kmskit.connect(str(uri).replace("token=kmskit", f"serial={one.serial}")) as kms:
            assert kms.create_key().state == "ENABLED"
        assert one.serial != other.serial


def test_the_keys_uri_is_rfc_7512s(kms: Kms, token: Token) -> None:
    key = kms.create_key("orders & more; /ü")
    assert inventory.parse_id(parse(key.uri).attributes["id"].encode(errors="surrogateescape")) is not None
    with kmskit.open_key(key.uri).kms:
        pass
    by_label = str(parse(token.uri)).replace("token=kmskit", "token=kmskit;object=orders%20%26%20more%3B%20%2F%C3%BC")
    opened = kmskit.open_key(by_label)
    with opened.kms:
        assert opened == key
    for wrong in (token.uri, token.uri.replace("token=kmskit", "token=kmskit;id=%01%02")):
        with pytest.raises(ConfigurationError):
            kmskit.open_key(wrong)
