"""What stands in CKA_ID and CKA_LABEL, and what on a token is a key of kmskit's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.mechanisms import KeyType

import kmskit
from kmskit.backends.pkcs11.inventory import created, first_version, new_key_id, pack_id, parse_id
from kmskit.names import is_key_id
from kmskit.softhsm import Token

TIMES = st.floats(min_value=0, max_value=4_000_000_000)


@given(now=TIMES)
def test_a_key_id_tells_when_it_was_made(now: float) -> None:
    key_id = new_key_id(now)
    assert is_key_id(key_id)
    assert UUID(key_id).version == 7
    assert abs(created(key_id) - datetime.fromtimestamp(now, UTC)) < timedelta(milliseconds=2)


@given(times=st.lists(st.integers(min_value=0, max_value=4_000_000_000), unique=True, min_size=2))
def test_key_ids_sort_by_age(times: list[int]) -> None:
    made = {new_key_id(now): now for now in times}
    assert [made[key_id] for key_id in sorted(made)] == sorted(times)


@given(now=TIMES, version=st.integers(0, 2**32 - 1), position=st.integers(1, 2**16 - 1))
def test_an_id_is_read_as_it_was_written(now: float, version: int, position: int) -> None:
    key_id = new_key_id(now)
    assert parse_id(pack_id(key_id, version, position)) == (key_id, version, position)
    assert parse_id(pack_id(key_id, 0, 0)) == (key_id, first_version(key_id), 0)
    assert len(pack_id(key_id, 0, 0)) == 16


@given(value=st.binary(max_size=40))
def test_what_no_kmskit_wrote_is_no_id_or_one_that_is_written_again_the_same(value: bytes) -> None:
    found = parse_id(value)
    if found is not None and found[2]:
        assert pack_id(*found) == value
    elif found is not None and len(value) == 16:
        assert pack_id(found[0], 0, 0) == value


def test_objects_of_other_programs_are_left_alone(kms: kmskit.Kms) -> None:
    """A token may hold keys that kmskit did not make: of other ids, without any, or of a kind that it does not know."""
    mine = kms.create_key("mine")
    backend: Any = kms._backend

    def others(session: Any) -> None:
        make = session.p11.generate_key
        template = {Attribute.EXTRACTABLE: False}
        make(KeyType.AES, 256, id=b"\1", label="mine", store=True, template=template)
        make(KeyType.AES, 256, label="theirs", store=True, template=template)
        make(KeyType.AES, 192, id=pack_id(new_key_id(0), 0, 0), label="of no spec", store=True, template=template)
        make(KeyType.DES3, id=b"\2" * 16, label="theirs", store=True, template=template)
        session.p11.generate_keypair(KeyType.RSA, 1024, id=b"\3" * 22, label="small", store=True)
        session.p11.generate_keypair(
            KeyType.RSA, 2048, label="theirs", store=True, capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY
        )

    backend._keys.run(others)
    assert [key.id for key in kms.keys(state="ENABLED")] == [mine.id]
    assert kms.key("mine") == mine
    for name in ("theirs", "of no spec", "small"):
        try:
            kms.key(name)
        except kmskit.KeyNotFoundError:
            continue
        raise AssertionError(name)
    ours = kms.create_key("theirs")  # A label of a foreign object is nobody's alias.
    assert kms.key("theirs") == ours
    assert kms.purge() == []
    count = backend._keys.run(lambda session: len(session.find({})))
    assert count == 2 + 4 + 4  # Two keys of ours, four secrets and two pairs of theirs.


def test_a_public_half_alone_is_no_key_and_goes_after_a_day(token: Token) -> None:
    from tests.clock import Clock

    clock = Clock()
    with kmskit.connect(token.uri, clock=clock) as kms:
        backend: Any = kms._backend
        pair = kms.create_key("pair", spec="EC_P256")
        whole = kms.create_key("whole", spec="EC_P256")
        found = backend._keys.find(pair.id)
        backend._keys.run(lambda session: session.destroy(found.newest.handle))
        assert [key.id for key in kms.keys(spec="EC_P256")] == [whole.id]
        kms.purge()
        assert backend._keys.run(lambda session: len(session.find({}))) == 3  # It might be a key that is being made.
        clock.advance(2)
        kms.purge()
        assert backend._keys.run(lambda session: len(session.find({}))) == 2
        whole.verify(b"x", whole.sign(b"x"))


def test_a_copy_that_a_killed_change_left_is_one_key_and_goes_with_the_next_change(kms: kmskit.Kms) -> None:
    """SoftHSM's objects are replaced by changed copies: a process killed between the two leaves both."""
    aes, pair = kms.create_key("aes"), kms.create_key("pair", spec="EC_P256")
    ciphertext = aes.encrypt(b"x")
    backend: Any = kms._backend

    def copies(session: Any) -> None:
        session.copy(backend._keys.find(aes.id).newest.handle, {Attribute.DECRYPT: b"\0", Attribute.ENCRYPT: b"\0"})
        found = backend._keys.find(pair.id)
        session.copy(found.newest.handle, {Attribute.SIGN: b"\0"})
        session.copy(found.public, {Attribute.LABEL: b"new"})

    backend._keys.run(copies)
    backend._records.forget()
    for name, key in (("aes", aes), ("pair", pair)):
        seen = kms.key(name)
        assert (seen.id, seen.state, len(seen.versions)) == (key.id, "ENABLED", 1)
    assert aes.decrypt(ciphertext) == b"x"
    for key in (aes, pair):
        key.disable()
        assert kms.key(key.id).state == "DISABLED"
        key.enable()
    assert aes.decrypt(ciphertext) == b"x"
    pair.verify(b"x", pair.sign(b"x"))
    assert backend._keys.run(lambda session: len(session.find({}))) == 3


def test_a_version_that_was_never_finished_is_none(token: Token) -> None:
    """SoftHSM leaves an object with every attribute but its origin, when the making of a key is killed."""
    from tests.clock import Clock

    clock = Clock()
    with kmskit.connect(token.uri, clock=clock) as kms:
        key = kms.create_key("orders")
        ciphertext = key.encrypt(b"x")
        backend: Any = kms._backend
        before = _objects(token)

        def leave(session: Any) -> None:
            session.p11.generate_key(KeyType.AES, 256, id=pack_id(key.id, 7, 1), label="orders", store=True)

        backend._keys.run(leave)
        (made,) = _objects(token) - before
        _unmake(made)
    with kmskit.connect(token.uri, clock=clock) as kms:
        key = kms.key("orders")
        assert len(key.versions) == 1
        assert key.decrypt(key.encrypt(b"y")) == b"y"
        assert key.decrypt(ciphertext) == b"x"
        backend = kms._backend
        clock.advance(2)
        kms.purge()
        assert backend._keys.run(lambda session: len(session.find({}))) == 1


def test_the_label_of_a_key_that_was_never_finished_is_free(token: Token) -> None:
    with kmskit.connect(token.uri) as kms:
        backend: Any = kms._backend

        def leave(session: Any) -> None:
            session.p11.generate_key(KeyType.AES, 256, id=pack_id(new_key_id(0), 0, 0), label="orders", store=True)

        backend._keys.run(leave)
    for file in _objects(token):
        if file.name != "token.object":
            _unmake(file)
    with kmskit.connect(token.uri) as kms:
        key = kms.create_key("orders")
        assert kms.key("orders") == key
        key.rotate()
        assert key.decrypt(key.encrypt(b"x")) == b"x"


def _objects(token: Token) -> set[Path]:
    return set((token.folder / "tokens").rglob("*.object"))


def _unmake(file: Path) -> None:
    """Take CKA_LOCAL away in the file of an object, as if SoftHSM had not come to it: attribute, kind, value."""
    content = file.read_bytes()
    local = (0x163).to_bytes(8) + (1).to_bytes(8) + b"\xff"
    assert content.count(local) == 1
    file.write_bytes(content.replace(local, local[:-1] + b"\0"))
