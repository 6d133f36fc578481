"""A scratch Kms in memory, in a shared store, and at the end of a kernel."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

import kmskit
from kmskit import AlreadyExistsError, KeyNotFoundError, KeyState
from kmskit.notebook import Clock, refused, scratch


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KMSKIT_URI", raising=False)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a store that others use, too."""
    uri = f"software://{tmp_path}/keys.db"
    with kmskit.connect(uri) as kms:
        kms.create_key("orders", tags={"of": "others"})
    monkeypatch.setenv("KMSKIT_URI", uri)
    return uri


@pytest.mark.usefixtures("in_memory")
def test_without_a_uri_the_keys_are_in_memory() -> None:
    assert scratch().uri == "software:?memory=1"


@pytest.mark.usefixtures("in_memory")
def test_a_key_is_found_by_the_name_it_was_given() -> None:
    kms = scratch()
    key = kms.create_key("orders")
    assert kms.key("orders") == kms.key("alias/orders") == kms.key(key.id) == kms.key(key.aliases[0]) == key
    assert list(kms.keys(alias="orders")) == [key]
    assert list(kms.keys(alias="others")) == []


@pytest.mark.usefixtures("in_memory")
def test_the_random_prefix_is_volatile_wherever_a_key_is_displayed() -> None:
    kms = scratch()
    key = kms.create_key("orders")
    prefix = key.aliases[0].removesuffix("orders")
    for change in (lambda: None, key.rotate, key.disable, key.refresh, lambda: key.add_alias("more")):
        change()
        assert f"⟨{prefix}⟩orders" in repr(key)
        assert f"⟨{prefix}⟩orders" in repr(key.aliases)
        for html in (key._repr_html_(), kms._repr_html_()):
            assert f'<span class="kms-volatile">{prefix}</span>' in html
            assert html.count(prefix) == html.count(f">{prefix}<")


@pytest.mark.usefixtures("in_memory")
def test_aliases_are_added_and_removed_by_their_plain_names() -> None:
    kms = scratch()
    key = kms.create_key("orders")
    key.add_alias("sales")
    assert kms.key("sales") == key
    key.remove_alias("orders")
    with pytest.raises(KeyNotFoundError):
        kms.key("orders")
    key.remove_alias(key.aliases[0])
    assert key.aliases == ()


@pytest.mark.usefixtures("in_memory")
def test_errors_name_aliases_as_the_notebook_does() -> None:
    kms = scratch()
    kms.create_key("orders")
    with pytest.raises(AlreadyExistsError) as taken:
        kms.create_key("orders")
    with pytest.raises(KeyNotFoundError) as missing:
        kms.key("sales")
    with pytest.raises(KeyNotFoundError) as not_its_own:
        kms.key("orders").remove_alias("sales")
    assert taken.value.hint == "kms.key('orders') opens the key that has it"
    for error in (taken.value, missing.value, not_its_own.value):
        shown = f"{error} {error.hint} {error.__notes__} {error._repr_html_()}"
        assert "nb-" not in shown
        assert error.operation is not None


@pytest.mark.usefixtures("in_memory")
def test_imported_keys_and_keys_without_an_alias_are_listed_in_order() -> None:
    kms = scratch()
    keys = [kms.create_key(), kms.import_key("given", bytes(32), "AES_256"), kms.create_key("signing", "ED25519")]
    assert list(kms.keys()) == keys
    assert list(kms.keys(spec="ED25519")) == keys[2:]
    assert kms.key("given").decrypt(keys[1].encrypt(b"x")) == b"x"


@pytest.mark.usefixtures("in_memory")
def test_the_cells_of_a_notebook_run_twice_in_one_kernel() -> None:
    assert [scratch().create_key("orders").title()[-6:] for _ in range(2)] == ["orders", "orders"]


@pytest.mark.usefixtures("in_memory")
def test_batches_reencryption_and_data_keys_go_through() -> None:
    kms = scratch()
    old, new = kms.create_key("old"), kms.create_key("new")
    blobs = old.encrypt_many([b"a", b"b"], context={"tenant": "acme"}).values()
    assert old.decrypt_many(blobs, context={"tenant": "acme"}).values() == [b"a", b"b"]
    assert new.decrypt(old.reencrypt(blobs[0], to=new, context={"tenant": "acme"})) == b"a"
    data_key = old.generate_data_key()
    assert old.decrypt_data_key(data_key.ciphertext).plaintext == data_key.plaintext
    assert kmskit.explain(blobs[0], kms).key == old
    assert kms.calls > 0


def test_a_shared_store_shows_only_what_the_notebook_made(shared: str) -> None:
    kms = scratch()
    assert kms.uri == shared
    key = kms.create_key("orders", tags={"of": "the notebook"})
    assert list(kms.keys()) == [key]
    assert kms.key("orders") == key
    with kmskit.connect(shared) as others:
        assert others.key("orders").tags == {"of": "others"}
        assert len(list(others.keys())) == 2
    kms.close()


def test_closing_schedules_what_was_made_in_a_shared_store_for_deletion(shared: str) -> None:
    with scratch() as kms:
        made = [kms.create_key("orders"), kms.create_key("sales")]
        made[1].schedule_deletion(30)
    with kmskit.connect(shared) as others:
        assert others.key("orders").state is KeyState.ENABLED
        assert [others.key(key.id).state for key in made] == [KeyState.PENDING_DELETION] * 2


@pytest.mark.parametrize("at_exit", ["pass", "import shutil; shutil.rmtree(folder)", "kms.close()"])
def test_the_end_of_the_kernel_schedules_deletion_and_never_raises(shared: str, tmp_path: Path, at_exit: str) -> None:
    code = f"folder = {str(tmp_path)!r}\nfrom kmskit.notebook import scratch\nkms = scratch()\nkms.create_key('x')\n"
    path = str(Path(kmskit.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code + at_exit],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    if tmp_path.exists() and any(tmp_path.iterdir()):
        with kmskit.connect(shared) as others:
            assert [key.state for key in list(others.keys())] == [KeyState.ENABLED, KeyState.PENDING_DELETION]


def test_purge_leaves_the_keys_of_others_alone(shared: str) -> None:
    with kmskit.connect(shared, clock=Clock(datetime.now(UTC) - timedelta(days=30))) as others:
        others.key("orders").schedule_deletion(7)
    with scratch() as kms:
        assert kms.purge() == []
    with kmskit.connect(shared) as others:
        assert len(others.purge()) == 1


@pytest.mark.usefixtures("shared")
def test_a_clock_of_ones_own_keeps_the_keys_in_memory() -> None:
    clock = Clock()
    kms = scratch(clock=clock)
    key = kms.create_key("orders")
    key.set_rotation(timedelta(days=30))
    assert kms.uri == "software:?memory=1"
    clock.advance(days=31)
    key.encrypt(b"x")
    key.refresh()
    assert len(key.versions) == 2
    key.schedule_deletion(7)
    clock.advance(days=7)
    assert kms.purge() == [key.id]
    assert list(kms.keys()) == []


def test_a_key_of_a_shared_store_opens_in_another_process_without_the_prefix(shared: str) -> None:
    with scratch() as kms:
        key = kms.create_key("orders")
        blob = key.encrypt(b"x")
        assert pickle.loads(pickle.dumps(key)).decrypt(blob) == b"x"
        assert kmskit.open_key(key.uri).decrypt(blob) == b"x"


@pytest.mark.usefixtures("in_memory")
def test_options_are_those_of_connect() -> None:
    with pytest.raises(TypeError, match="pin"):
        scratch(pin="1234")


@pytest.mark.usefixtures("in_memory")
def test_its_refusals_look_alike_on_every_backend() -> None:
    key = scratch().create_key("orders")
    here = kmskit.connect("software:?memory=1").create_key("orders")
    for call in (lambda key: key.encrypt(bytes(70_000)), lambda key: key.decrypt(here.encrypt(b""))):
        assert refused(partial(call, key)).error.neutral  # type: ignore[attr-defined]
        assert not refused(partial(call, here.kms.create_key())).error.neutral  # type: ignore[attr-defined]
    assert all(error.neutral for error in key.decrypt_many([b"x", here.encrypt(b"")]).errors.values())
    too_large = refused(lambda: key.encrypt(bytes(70_000)))
    assert "70,000 bytes, and direct encryption takes ⟨65,536⟩" in repr(too_large)
    assert '<span class="kms-volatile">65,536</span>' in too_large._repr_html_()
