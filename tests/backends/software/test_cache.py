"""Keys in use are kept unwrapped: not too many of them, and none longer than it may be used."""

from __future__ import annotations

import time

import pytest

import kmskit
from kmskit.backends.software import backend
from tests.backends.software.conftest import Place


def test_more_keys_than_the_cache_holds_all_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_CACHED_KEYS", 4)
    with kmskit.connect("software:?memory=1") as kms:
        keys = [kms.create_key() for _ in range(10)]
        ciphertexts = [key.encrypt(b"x") for key in keys]
        for _ in range(3):
            assert [key.decrypt(ciphertext) for key, ciphertext in zip(keys, ciphertexts, strict=True)] == [b"x"] * 10
            assert len(kms._backend._loaded) <= 4  # type: ignore[attr-defined]


def test_a_cached_key_is_used_without_a_look_into_the_file(place: Place) -> None:
    """For a second: so long a store that is away is not missed."""
    with place.open() as kms:
        key = kms.create_key()
        ciphertext = key.encrypt(b"x")
        time.sleep(1.05)
        assert key.decrypt(ciphertext) == b"x"  # A look, and from now on none for a second.
        end = time.monotonic() + 0.5
        kms._backend._store._database._connection.close()  # type: ignore[attr-defined]
        assert key.decrypt(ciphertext) == b"x"
        assert time.monotonic() < end


def test_what_another_process_encrypted_after_its_rotation_opens_at_once(place: Place) -> None:
    with place.open() as kms, place.open() as other:
        key, twin = kms.create_key("orders"), other.key("orders")
        old = key.encrypt(b"old")
        twin.rotate()
        assert key.decrypt(twin.encrypt(b"new")) == b"new"
        assert key.decrypt(old) == b"old"
        foreign = kms.create_key().encrypt(b"foreign")
        for refused in (foreign, old[:-1], b""):
            with pytest.raises(kmskit.InvalidCiphertextError):
                key.decrypt(refused)
