"""No secret where someone may read it: displays, errors, logs, pickles, and the store's files."""

from __future__ import annotations

import logging
import pickle
import secrets
import sqlite3
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import kmskit
from kmskit import Kms
from kmskit.testing import leaks

PASSPHRASE = secrets.token_urlsafe(24)


@pytest.fixture
def kms(tmp_path: Path) -> Iterator[Kms]:
    with kmskit.connect(f"software://{tmp_path}/keys.db", passphrase=PASSPHRASE) as kms:
        yield kms


def private_numbers(key: Any) -> list[bytes]:
    """The secret numbers of a private key, and its encodings, as someone might print them."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    numbers = key.private_numbers()
    values = (
        [numbers.private_value] if isinstance(key, ec.EllipticCurvePrivateKey) else [numbers.d, numbers.p, numbers.q]
    )
    return [*pem.splitlines()[1:-1], *(form(value).encode() for value in values for form in ("{:x}".format, str))]


def test_the_finder_finds_every_form_of_a_secret() -> None:
    """A search that cannot find anything would let every other test here pass."""
    secret = secrets.token_bytes(24)

    class Chained(Exception):
        pass

    def chained() -> Exception:
        try:
            try:
                raise ValueError(secret)
            except ValueError:
                raise Chained("harmless") from None  # It hides the context from a traceback, and keeps it.
        except Chained as error:
            return error

    attributed = kmskit.KmsError("harmless")
    attributed.hint = secret.hex()
    nested = kmskit.BatchError("harmless", errors={0: kmskit.KmsError(repr(secret))})
    noted = kmskit.KmsError("harmless", hint=f"use {secret!r}")
    unicode = UnicodeDecodeError("utf-8", secret, 0, 1, "harmless")
    for place in (chained(), attributed, nested, noted, unicode, f"url?p={secret.hex()}", f"key={secret!r}"):
        with pytest.raises(AssertionError, match="a secret of 24 bytes"):
            leaks.assert_clean(place, secret)
    for shift in range(4):
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(bytes(shift) + secret + b"tail").decode()
            for form in (text, quote(text, safe="")):
                with pytest.raises(AssertionError, match="a secret of 24 bytes"):
                    leaks.assert_clean(form, secret)
    leaks.assert_clean([chained.__name__, kmskit.KmsError("harmless")], secret)


def everything_shown(kms: Kms) -> list[str]:
    """All displays of a Kms and its keys, and what their objects hold."""
    shown = [repr(kms), str(vars(kms)), kms._repr_html_(), kms.uri, repr(kms.capabilities())]
    for key in list(kms.keys()):
        shown += [repr(key), str(vars(key)), key._repr_html_(), key.uri, repr(pickle.dumps(key)), repr(key.tags)]
    return shown


def test_no_display_shows_key_material(kms: Kms, caplog: pytest.LogCaptureFixture) -> None:
    secret = secrets.token_bytes(32)
    privates = [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)]
    with caplog.at_level(logging.DEBUG):
        kms.import_key("aes", secret, "AES_256").encrypt(b"x")
        kms.import_key("hmac", secret, "HMAC_256").mac(b"x")
        kms.import_key("ec", privates[0], "EC_P256").sign(b"x")
        kms.import_key("rsa", privates[1], "RSA_2048").sign(b"x")
        shown = everything_shown(kms)
    forbidden = [secret, *(number for private in privates for number in private_numbers(private)), PASSPHRASE.encode()]
    leaks.assert_clean([*shown, *map(repr, map(vars, caplog.records))], *forbidden)


def test_no_file_of_the_store_holds_key_material_or_the_passphrase(kms: Kms, tmp_path: Path) -> None:
    secret, private = secrets.token_bytes(32), ec.generate_private_key(ec.SECP256R1())
    kms.import_key("aes", secret, "AES_256").rotate()
    kms.import_key("ec", private, "EC_P256")
    value = private.private_numbers().private_value.to_bytes(32)
    files = list(tmp_path.iterdir())
    assert any(file.suffix == ".db-wal" for file in files)
    for file in files:
        for forbidden in (secret, value, PASSPHRASE.encode()):
            assert forbidden not in file.read_bytes(), file.name


def test_no_error_shows_the_passphrase(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    uri, wrong = f"software://{tmp_path}/keys.db", secrets.token_urlsafe(24)
    kmskit.connect(uri, passphrase=PASSPHRASE).close()
    number: Any = PASSPHRASE.encode()
    attempts: list[Callable[[], Kms]] = [
        lambda: kmskit.connect(uri, passphrase=wrong),
        lambda: kmskit.connect(uri, passphrase=lambda: wrong),
        lambda: kmskit.connect(uri, passphrase=number),
        lambda: kmskit.connect(uri, passphrase=wrong + "\ud83d"),
        lambda: kmskit.connect(uri + "?key-file=/x", passphrase=wrong),
        lambda: kmskit.connect("software:?memory=1", passphrase=wrong),
        lambda: kmskit.connect(f"software://{tmp_path}/nowhere/keys.db", passphrase=wrong),
        lambda: kmskit.connect(uri, passphrase=wrong, pin=wrong),
    ]
    errors: list[BaseException] = []
    with caplog.at_level(logging.DEBUG):
        for attempt in attempts:
            with pytest.raises((kmskit.KmsError, TypeError, ValueError)) as refused:
                attempt()
            errors.append(refused.value)
    leaks.assert_clean([*errors, *map(repr, map(vars, caplog.records))], PASSPHRASE.encode(), wrong.encode())


def test_no_error_shows_imported_material(kms: Kms) -> None:
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    secret = secrets.token_bytes(32)
    attempts: list[Callable[[], object]] = [
        lambda: kms.import_key(None, pem, "EC_P256"),
        lambda: kms.import_key(None, pem[:-60], "RSA_2048"),
        lambda: kms.import_key(None, pem.decode(), "AES_256"),
        lambda: kms.import_key(None, pem.decode() + "\ud83d", "RSA_2048"),
        lambda: kms.import_key(None, private, "RSA_4096"),
        lambda: kms.import_key(None, secret + b"x", "AES_256"),
        lambda: kms.import_key(None, [secret], "AES_256"),
        lambda: kms.import_key("taken", secret, "AES_256"),
    ]
    kms.create_key("taken")
    for attempt in attempts:
        with pytest.raises((kmskit.KmsError, TypeError, ValueError)) as refused:
            attempt()
        leaks.assert_clean(refused.value, secret, *private_numbers(private))


def test_no_error_of_a_damaged_store_shows_what_is_in_it(kms: Kms, tmp_path: Path) -> None:
    secret = secrets.token_bytes(32)
    key = kms.import_key("aes", secret, "AES_256")
    with suppress(kmskit.KmsError):
        key.encrypt(b"x")
    with sqlite3.connect(tmp_path / "keys.db") as connection:
        wrapped = connection.execute("SELECT material FROM versions").fetchone()[0]
        connection.execute("UPDATE versions SET material = ?", (wrapped[:-1],))
    connection.close()
    with kmskit.connect(f"software://{tmp_path}/keys.db", passphrase=PASSPHRASE) as again:
        with pytest.raises(kmskit.ConfigurationError, match="damaged") as refused:
            again.key("aes").encrypt(b"x")
        leaks.assert_clean(refused.value, secret, wrapped[12:], PASSPHRASE.encode())
