"""What a Key does beyond its backend: across two Kms, pickled, unreachable."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import kmskit
from kmskit import Key, Kms


@pytest.fixture
def kms() -> Iterator[Kms]:
    with kmskit.connect("software:?memory=1") as kms:
        yield kms


def test_reencrypt_goes_from_one_kms_to_another(kms: Kms) -> None:
    with kmskit.connect("software:?memory=1") as elsewhere:
        key, target = kms.create_key(), elsewhere.create_key(spec="SM4")
        ciphertext = key.encrypt(b"x", context={"a": "b"})
        moved = key.reencrypt(ciphertext, to=target, context={"a": "b"}, new_context={"c": "d"})
        assert target.decrypt(moved, context={"c": "d"}) == b"x"
        with pytest.raises(kmskit.InvalidCiphertextError):
            key.reencrypt(ciphertext, to=target)


def test_reencrypt_goes_from_and_to_rsa(kms: Kms) -> None:
    aes, rsa = kms.create_key(), kms.create_key(spec="RSA_2048", usage="ENCRYPT_DECRYPT")
    wrapped = aes.reencrypt(aes.encrypt(b"x", context={"a": "b"}), to=rsa, context={"a": "b"})
    assert rsa.decrypt(wrapped) == b"x"
    assert aes.decrypt(rsa.reencrypt(wrapped, to=aes, new_context={"a": "b"}), context={"a": "b"}) == b"x"
    with pytest.raises(kmskit.UnsupportedError, match="context"):
        aes.reencrypt(aes.encrypt(b"x"), to=rsa, new_context={"a": "b"})
    with pytest.raises(kmskit.UnsupportedError):
        aes.reencrypt(aes.encrypt(b"x"), to=kms.create_key(spec="HMAC_256"))


def test_keys_are_equal_by_backend_and_id(kms: Kms) -> None:
    key = kms.create_key("orders")
    assert key == kms.key("orders")
    assert len({key, kms.key("orders"), kms.key(key.id)}) == 1
    assert key != kms.create_key()
    assert key != key.id


def test_an_unpickled_key_opens_on_first_use(tmp_path: Path) -> None:
    with kmskit.connect(f"software://{tmp_path}/keys.db") as kms:
        key = kms.create_key("orders", description="card numbers")
        twin = pickle.loads(pickle.dumps(key))
        assert isinstance(twin, kmskit.Key)
        assert twin == key
        assert not hasattr(twin, "_ipython_display_")
        assert set(vars(twin)) == {"kms", "id"}
        assert twin.description == "card numbers"
        assert type(twin) is Key  # It is as fast as others from now on.
        assert vars(twin).keys() == vars(key).keys()
        twin.kms.close()


def test_a_key_is_opened_by_many_threads_at_once(tmp_path: Path) -> None:
    with kmskit.connect(f"software://{tmp_path}/keys.db") as kms, ThreadPoolExecutor(8) as pool:
        data = pickle.dumps(kms.create_key("orders"))
        for _ in range(50):
            twin, start = pickle.loads(data), threading.Barrier(8)

            def use(twin: Key = twin, start: threading.Barrier = start) -> bytes:
                start.wait(60)
                return twin.decrypt(twin.encrypt(b"x"))

            assert [each.result() for each in [pool.submit(use) for _ in range(8)]] == [b"x"] * 8
        twin.kms.close()


def test_an_unpickled_key_that_cannot_be_opened_still_shows_itself(tmp_path: Path) -> None:
    with kmskit.connect(f"software://{tmp_path}/keys.db") as kms:
        data = pickle.dumps(kms.create_key("orders"))
    (tmp_path / "keys.db.key").unlink()
    twin = pickle.loads(data)
    assert "ConfigurationError" in repr(twin)
    assert "ConfigurationError" in twin._repr_html_()
    assert repr(twin.kms).startswith("<Kms software")
    assert "ConfigurationError" in twin.kms._repr_html_()
    with pytest.raises(kmskit.ConfigurationError, match="key file"):
        twin.encrypt(b"x")


def test_a_key_that_was_purged_elsewhere_still_shows_itself(tmp_path: Path) -> None:
    now = [time.time()]
    with kmskit.connect(f"software://{tmp_path}/keys.db", clock=lambda: now[0]) as kms:
        key = kms.create_key()
        twin = pickle.loads(pickle.dumps(key))
        key.schedule_deletion(7)
        now[0] += 8 * 86_400
        assert kms.purge() == [key.id]
    assert "KeyNotFoundError" in repr(twin)
    assert "KeyNotFoundError" in twin._repr_html_()
    twin.kms.close()


def test_a_key_shows_its_facts_and_marks_what_differs(kms: Kms) -> None:
    key = kms.create_key("orders", description="card numbers", tags={"team": "payments"})
    assert repr(key) == "<Key orders AES_256 ENCRYPT_DECRYPT ENABLED 1 version(s)>"
    assert repr(kms.create_key(spec="HMAC_256")).startswith("<Key ⟨")
    html = key._repr_html_()
    for fact in ("orders", "AES_256", "ENABLED", "card numbers", "team", "payments"):
        assert fact in html
    for volatile in (key.id, key.primary_version):
        assert f'<span class="kms-volatile">{volatile}</span>' in html


def test_exportable_material_is_what_was_imported(kms: Kms) -> None:
    key = kms.import_key(None, bytes(range(32)), "AES_256", exportable=True)
    key.rotate()
    exported = key.export_material()
    assert tuple(exported) == key.versions
    assert exported[key.versions[0]] == bytes(range(32))
    assert len(set(exported.values())) == 2


def test_other_keys_are_never_exported(kms: Kms) -> None:
    for key in (kms.create_key(), kms.import_key(None, bytes(32), "AES_256"), kms.create_key(spec="EC_P256")):
        with pytest.raises(kmskit.UnsupportedError, match="exportable"):
            key.export_material()
    exportable = kms.create_key(exportable=True)
    exportable.disable()
    with pytest.raises(kmskit.KeyStateError):
        exportable.export_material()


def test_every_public_method_has_a_docstring() -> None:
    for kind in (Key, Kms, kmskit.Batch, kmskit.DataKey):
        for name in dir(kind):
            if not name.startswith("_") and callable(getattr(kind, name)) and name not in ("count", "index"):
                assert getattr(kind, name).__doc__, f"{kind.__name__}.{name}"
