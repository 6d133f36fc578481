"""A token and a TLS connection in one thread, where both work with the same OpenSSL."""

from __future__ import annotations

import _ssl
import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest

import kmskit
from kmskit import softhsm, tokens
from kmskit.emulator import Cloud

CARD = b"4111 1111 1111 1111"


@pytest.fixture
def left_over() -> Callable[[], int]:
    """The first error that lies in this thread's queue; 0 if there is none."""
    try:
        peek = ctypes.PyDLL(_ssl.__file__).ERR_peek_error
    except (AttributeError, OSError):
        pytest.skip("Python has an OpenSSL of its own, which no module shares")
    peek.restype = ctypes.c_ulong
    return lambda: int(peek())


def test_a_connection_outlives_what_a_token_does(tmp_path: Path) -> None:
    with kmskit.emulator.start() as cloud:
        assert_it_lives(cloud, lambda: softhsm.token(tmp_path))
        uri = softhsm.token(tmp_path).uri
        assert_it_lives(cloud, lambda: kmskit.connect(uri).close())
        with kmskit.connect(uri) as kms:
            pair = kms.create_key(spec="RSA_2048", usage="ENCRYPT_DECRYPT")
            sealed = pair.encrypt(CARD, algorithm="RSAES_OAEP_SHA_1")
            changed = sealed[:-1] + bytes([sealed[-1] ^ 1])

            def fail() -> None:
                with pytest.raises(kmskit.InvalidCiphertextError):
                    pair.decrypt(changed, algorithm="RSAES_OAEP_SHA_1")

            assert_it_lives(cloud, fail)


def assert_it_lives(cloud: Cloud, between: Callable[[], object]) -> None:
    """Two calls over one connection. To create a key is not tried again when the connection breaks."""
    with cloud.connect() as far:
        far.create_key()
        between()
        far.create_key()


def test_nothing_is_left_over(tmp_path: Path, left_over: Callable[[], int]) -> None:
    token = softhsm.token(tmp_path)
    assert not left_over()
    tokens.mechanisms(token.uri)
    assert not left_over()
    with pytest.raises(kmskit.AuthenticationError):
        kmskit.connect(token.uri, pin="0000")
    assert not left_over()
    with kmskit.connect(token.uri) as kms:
        assert not left_over()
        for spec in ("AES_256", "RSA_2048", "EC_P256"):
            kms.create_key(spec=spec)
            assert not left_over()
        list(kms.keys())
    assert not left_over()
