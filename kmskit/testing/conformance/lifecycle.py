"""A key's life: made, imported, rotated, disabled, deleted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kmskit import (
    AlreadyExistsError,
    InvalidCiphertextError,
    Key,
    KeyNotFoundError,
    KeySpec,
    KeyState,
    KeyStateError,
    KeyUsage,
    Kms,
    KmsError,
    Protection,
    UnsupportedError,
    explain,
)
from kmskit.algorithms import SPECS
from kmskit.testing.conformance.base import (
    SYMMETRIC,
    Advance,
    Conformance,
    KeyPool,
    algorithms,
    create,
    listed,
    new_alias,
    require,
)

__all__ = ["LifecycleConformance"]

# One key of each kind of use.
KINDS = (
    (KeySpec.AES_256, KeyUsage.ENCRYPT_DECRYPT),
    (KeySpec.RSA_2048, KeyUsage.ENCRYPT_DECRYPT),
    (KeySpec.RSA_2048, KeyUsage.SIGN_VERIFY),
    (KeySpec.EC_P256, KeyUsage.SIGN_VERIFY),
    (KeySpec.HMAC_256, KeyUsage.GENERATE_VERIFY_MAC),
)


class LifecycleConformance(Conformance):
    # Creation

    @pytest.mark.parametrize("spec", list(KeySpec))
    def test_a_new_key_is_enabled_and_has_one_version(self, kms: Kms, keys: KeyPool, spec: KeySpec) -> None:
        key = keys(spec)
        assert (key.spec, key.state, key.usage) == (spec, KeyState.ENABLED, SPECS[spec].default_usage)
        assert key.versions == (key.primary_version,)
        assert (key.aliases, key.description, dict(key.tags)) == ((), "", {})
        assert key.protection in Protection
        assert key.kms is kms
        assert key == kms.key(key.id)
        assert hash(key) == hash(kms.key(key.id))
        assert key != keys(spec, number=1)

    def test_a_new_key_has_what_it_was_given(self, kms: Kms) -> None:
        alias, tags = new_alias(), {"team": "payments", "stage": "test"}
        key = create(kms, alias, description="card numbers", tags=tags)
        for shown in (key, kms.key(key.id), kms.key(alias), kms.key(f"alias/{alias}")):
            assert (shown.id, shown.aliases, shown.description) == (key.id, (alias,), "card numbers")
            assert dict(shown.tags) == tags
        assert abs(key.created - datetime.now(UTC)) < timedelta(days=1000)  # An injected clock may run ahead.

    def test_rsa_keys_sign_unless_told_otherwise(self, kms: Kms) -> None:
        require(kms, KeySpec.RSA_2048, "create")
        assert kms.create_key(spec="RSA_2048").usage is KeyUsage.SIGN_VERIFY

    def test_a_key_that_is_not_there_is_not_found(self, kms: Kms) -> None:
        for name in (new_alias(), "00000000-0000-4000-8000-000000000000", "alias/" + new_alias()):
            with pytest.raises(KeyNotFoundError) as missing:
                kms.key(name)
            assert missing.value.hint
        number: Any = 7
        with pytest.raises(TypeError, match="alias"):
            kms.key(number)

    def test_a_key_of_another_spec_than_expected_is_refused(self, kms: Kms, keys: KeyPool) -> None:
        key = keys(KeySpec.AES_256)
        assert kms.key(key.id, spec="AES_256") == key
        with pytest.raises(ValueError, match="spec"):
            kms.key(key.id, spec="AES_128")

    def test_a_protection_of_another_kind_is_refused(self, kms: Kms, keys: KeyPool) -> None:
        own = keys(KeySpec.AES_256).protection
        assert kms.create_key(protection=own).protection is own
        for protection in set(Protection) - {own}:
            try:
                key = kms.create_key(protection=protection)
            except UnsupportedError:
                continue
            assert key.protection is protection
        with pytest.raises(ValueError, match="PAPER"):
            kms.create_key(protection="PAPER")

    def test_wrong_types_are_type_errors(self, kms: Kms) -> None:
        wrong: Any
        for wrong in (7, b"bytes", ["list"]):
            with pytest.raises(TypeError):
                create(kms, wrong)
            with pytest.raises(TypeError, match="description"):
                create(kms, description=wrong)
            with pytest.raises(TypeError, match="tags"):
                create(kms, tags=wrong)
        for wrong in ({"a": 1}, {1: "a"}, {"a": None}):
            with pytest.raises(TypeError, match="tags"):
                create(kms, tags=wrong)

    # Import

    @pytest.mark.parametrize("spec", list(KeySpec))
    def test_imported_material_is_used(self, kms: Kms, spec: KeySpec) -> None:
        require(kms, spec, "import")
        material = _material(spec)
        alias = new_alias()
        key = kms.import_key(alias, material, spec, description="from outside", tags={"origin": "outside"})
        assert (key.spec, key.state, key.aliases) == (spec, KeyState.ENABLED, (alias,))
        if not isinstance(material, bytes):
            assert key.public_key() == material.public_key()
            key.verify(b"message", key.sign(b"message"))
        elif SPECS[spec].symmetric:
            assert key.decrypt(key.encrypt(b"message")) == b"message"
        else:
            assert key.mac(b"message") == kms.import_key(None, material, spec).mac(b"message")

    def test_a_private_key_comes_as_pem_or_der_as_well(self, kms: Kms) -> None:
        require(kms, KeySpec.EC_P256, "import")
        private = ec.generate_private_key(ec.SECP256R1())
        for encoding in (Encoding.PEM, Encoding.DER):
            data = private.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())
            assert kms.import_key(None, data, "EC_P256").public_key() == private.public_key()

    @pytest.mark.parametrize(("spec", "usage"), KINDS)
    def test_imported_keys_are_disabled_like_others(self, kms: Kms, spec: KeySpec, usage: KeyUsage) -> None:
        require(kms, spec, "import")
        key = kms.import_key(None, _material(spec), spec, usage=usage)
        uses = _uses(kms, key)
        with suppress(UnsupportedError):  # A service may rotate only what it has made itself.
            key.rotate()
        key.disable()
        assert kms.key(key.id).state is KeyState.DISABLED
        _assert_refused(key, uses)
        key.enable()
        for use in uses.values():
            use()

    def test_material_that_does_not_fit_is_refused(self, kms: Kms) -> None:
        if kms.supports("AES_256", "import"):
            for size in (0, 16, 31, 33):
                with pytest.raises(ValueError, match="material"):
                    kms.import_key(None, bytes(size), "AES_256")
            with pytest.raises(TypeError, match="material"):
                kms.import_key(None, "0" * 32, "AES_256")
        if kms.supports("EC_P256", "import"):
            with pytest.raises(ValueError, match="EC_P256"):
                kms.import_key(None, ec.generate_private_key(ec.SECP384R1()), "EC_P256")
            with pytest.raises(ValueError, match="material"):
                kms.import_key(None, b"no key at all", "EC_P256")
            with pytest.raises(TypeError, match="material"):
                kms.import_key(None, object(), "EC_P256")

    # Rotation

    @pytest.mark.parametrize("spec", SYMMETRIC)
    def test_old_versions_go_on_decrypting(self, kms: Kms, spec: KeySpec) -> None:
        require(kms, spec, "rotate")
        key = kms.create_key(spec=spec)
        made = {key.primary_version: key.encrypt(b"in the first version", context={"a": "b"})}
        for _ in range(3):
            before = key.versions
            key.rotate()
            assert key.versions == (*before, key.primary_version)
            made[key.primary_version] = key.encrypt(b"in the first version", context={"a": "b"})
        assert len(made) == 4
        for reader in (key, kms.key(key.id)):
            assert reader.versions == tuple(made)
            for ciphertext in made.values():
                assert reader.decrypt(ciphertext, context={"a": "b"}) == b"in the first version"
        other = kms.create_key(spec=spec)
        for ciphertext in made.values():
            with pytest.raises(InvalidCiphertextError):
                other.decrypt(ciphertext, context={"a": "b"})

    def test_reencrypt_to_itself_moves_to_the_primary_version(self, kms: Kms) -> None:
        for operation in ("rotate", "reencrypt"):
            require(kms, KeySpec.AES_256, operation)
        key = kms.create_key()
        old = key.encrypt(b"x", context={"a": "b"})
        key.rotate()
        moved = key.reencrypt(old, to=key, context={"a": "b"}, new_context={"a": "b"})
        assert key.decrypt(moved, context={"a": "b"}) == b"x"
        assert explain(moved).key_version == explain(key.encrypt(b"x")).key_version
        assert explain(moved).key_version != explain(old).key_version

    @pytest.mark.parametrize("spec", [KeySpec.RSA_2048, KeySpec.EC_P256, KeySpec.HMAC_256])
    def test_keys_whose_old_results_must_verify_are_not_rotated(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys(spec)
        with pytest.raises(UnsupportedError, match="rotate") as refused:
            key.rotate()
        assert "alias" in (refused.value.hint or "")
        with pytest.raises(UnsupportedError, match="rotate"):
            key.set_rotation(timedelta(days=30))
        assert key.versions == (key.primary_version,)

    def test_a_rotation_period_is_kept_and_taken_away(self, kms: Kms) -> None:
        require(kms, KeySpec.AES_256, "rotate")
        key = kms.create_key()
        assert (key.rotation_period, key.next_rotation) == (None, None)
        key.set_rotation(timedelta(days=30))
        for shown in (key, kms.key(key.id)):
            assert shown.rotation_period == timedelta(days=30)
            assert shown.next_rotation is not None
            assert abs(shown.next_rotation - shown.created - timedelta(days=30)) < timedelta(minutes=5)
        key.set_rotation(None)
        assert (kms.key(key.id).rotation_period, kms.key(key.id).next_rotation) == (None, None)
        wrong: Any
        for wrong in (30, "30 days"):
            with pytest.raises(TypeError, match="period"):
                key.set_rotation(wrong)
        for period in (timedelta(), timedelta(days=-1)):
            with pytest.raises(ValueError, match="period"):
                key.set_rotation(period)

    def test_a_due_rotation_happens_by_itself(self, kms: Kms, advance: Advance) -> None:
        require(kms, KeySpec.AES_256, "rotate")
        if advance is None:
            pytest.skip("this backend's clock cannot be set")
        key = kms.create_key()
        key.set_rotation(timedelta(days=30))
        old = key.encrypt(b"x")
        advance(29)
        key.encrypt(b"x")
        assert len(kms.key(key.id).versions) == 1
        advance(2)
        new = key.encrypt(b"x")
        assert len(kms.key(key.id).versions) == 2
        assert explain(new).key_version != explain(old).key_version
        assert [key.decrypt(ciphertext) for ciphertext in (old, new)] == [b"x", b"x"]
        advance(31)
        key.encrypt(b"x")
        assert len(kms.key(key.id).versions) == 3

    # States

    @pytest.mark.parametrize(("spec", "usage"), KINDS)
    def test_a_disabled_key_refuses_every_use_until_enabled(self, kms: Kms, spec: KeySpec, usage: KeyUsage) -> None:
        require(kms, spec, "create")
        key = kms.create_key(spec=spec, usage=usage)
        uses = _uses(kms, key)
        key.disable()
        assert key.state is kms.key(key.id).state is KeyState.DISABLED
        _assert_refused(key, uses)
        key.disable()  # Twice is fine.
        key.enable()
        assert key.state is kms.key(key.id).state is KeyState.ENABLED
        for use in uses.values():
            use()

    @pytest.mark.parametrize(("spec", "usage"), KINDS)
    def test_a_key_pending_deletion_refuses_everything(self, kms: Kms, spec: KeySpec, usage: KeyUsage) -> None:
        require(kms, spec, "create")
        key = kms.create_key(spec=spec, usage=usage)
        uses = _uses(kms, key)
        key.schedule_deletion(7)
        shown = kms.key(key.id)
        assert key.state is shown.state is KeyState.PENDING_DELETION
        assert shown.deletion_date is not None
        assert abs(shown.deletion_date - shown.created - timedelta(days=7)) < timedelta(days=1, minutes=5)
        _assert_refused(key, uses)
        for refused in (key.enable, key.disable, lambda: key.schedule_deletion(7)):
            with pytest.raises(KeyStateError):
                refused()
        key.cancel_deletion()
        assert key.state is kms.key(key.id).state is KeyState.ENABLED
        assert kms.key(key.id).deletion_date is None
        for use in uses.values():
            use()

    def test_what_is_not_scheduled_cannot_be_cancelled(self, kms: Kms) -> None:
        key = create(kms)
        with pytest.raises(KeyStateError):
            key.cancel_deletion()
        assert kms.key(key.id).state is KeyState.ENABLED

    def test_a_disabled_key_is_not_rotated(self, kms: Kms) -> None:
        require(kms, KeySpec.AES_256, "rotate")
        key = kms.create_key()
        key.disable()
        with pytest.raises(KeyStateError):
            key.rotate()
        assert len(kms.key(key.id).versions) == 1

    def test_a_key_object_is_a_snapshot_that_refreshes(self, kms: Kms) -> None:
        require(kms, KeySpec.AES_256, "encrypt")
        key = kms.create_key()
        other = kms.key(key.id)
        other.disable()
        assert (key.state, other.state) == (KeyState.ENABLED, KeyState.DISABLED)
        with pytest.raises(KeyStateError):  # The snapshot is old; the backend decides.
            key.encrypt(b"x")
        key.refresh()
        assert key.state is KeyState.DISABLED

    # Deletion

    def test_days_until_deletion_are_7_to_366(self, kms: Kms) -> None:
        key = create(kms)
        for days in (-1, 0, 6, 367):
            with pytest.raises(ValueError, match="days"):
                key.schedule_deletion(days)
        wrong: Any
        for wrong in (7.0, "7", True, None, timedelta(days=7)):
            with pytest.raises(TypeError, match="days"):
                key.schedule_deletion(wrong)
        assert kms.key(key.id).state is KeyState.ENABLED
        key.schedule_deletion(366)

    def test_purge_destroys_nothing_that_is_not_due(self, kms: Kms) -> None:
        key, scheduled = create(kms), create(kms)
        uses = _uses(kms, scheduled)
        scheduled.schedule_deletion(7)
        assert not {key.id, scheduled.id} & set(kms.purge())
        scheduled.cancel_deletion()
        for use in uses.values():
            use()

    def test_purge_destroys_what_is_due(self, kms: Kms, advance: Advance) -> None:
        if advance is None:
            pytest.skip("this backend's clock cannot be set")
        alias = new_alias()
        due, later, kept = create(kms, alias, tags={"a": "b"}), create(kms), create(kms)
        uses = _uses(kms, due)
        due.schedule_deletion(7)
        later.schedule_deletion(60)
        advance(8)
        _assert_refused(due, uses)  # Due, and still there: only purge destroys.
        purged = kms.purge()
        assert due.id in purged
        assert not {later.id, kept.id} & set(purged)
        for gone in (due.id, alias):
            with pytest.raises(KeyNotFoundError):
                kms.key(gone)
        for use in uses.values():
            with pytest.raises((KeyNotFoundError, KeyStateError)):
                use()
        assert due.id not in listed(kms)
        assert due.id not in kms.purge()
        assert kms.key(later.id).state is KeyState.PENDING_DELETION
        for use in _uses(kms, kept).values():
            use()
        assert create(kms, alias).aliases == (alias,)  # Its alias is free again.

    def test_a_taken_alias_leaves_no_key_behind(self, kms: Kms) -> None:
        alias = new_alias()
        create(kms, alias)
        before = listed(kms, state="ENABLED")
        with pytest.raises(AlreadyExistsError) as taken:
            create(kms, alias)
        assert "kms.key(" in (taken.value.hint or "")
        assert listed(kms, state="ENABLED") == before


def _uses(kms: Kms, key: Key) -> dict[str, Callable[[], object]]:
    """All that a key can be used for, with arguments that succeed while it is enabled."""
    if key.usage is KeyUsage.GENERATE_VERIFY_MAC:
        tag = key.mac(b"x")
        return {"mac": lambda: key.mac(b"x"), "verify_mac": lambda: key.verify_mac(b"x", tag)}
    algorithm = algorithms(key)[0]
    if key.usage is KeyUsage.SIGN_VERIFY:
        signature = key.sign(b"x", algorithm=algorithm)
        return {
            "sign": lambda: key.sign(b"x", algorithm=algorithm),
            "verify": lambda: key.verify(b"x", signature, algorithm=algorithm),
        }
    ciphertext = key.encrypt(b"x", algorithm=algorithm)
    uses: dict[str, Callable[[], object]] = {
        "encrypt": lambda: key.encrypt(b"x", algorithm=algorithm),
        "decrypt": lambda: key.decrypt(ciphertext, algorithm=algorithm),
    }
    if SPECS[key.spec].symmetric:
        wrapped = key.generate_data_key().ciphertext
        uses |= {
            "generate_data_key": key.generate_data_key,
            "decrypt_data_key": lambda: key.decrypt_data_key(wrapped),
            "decrypt_many": lambda: key.decrypt_many([ciphertext]),
        }
        if kms.supports(key.spec, "reencrypt"):
            uses["reencrypt"] = lambda: key.reencrypt(ciphertext, to=key)
    return uses


def _assert_refused(key: Key, uses: dict[str, Callable[[], object]]) -> None:
    for name, use in uses.items():
        refusal: object = None
        try:
            use()
        except KmsError as error:
            refusal = error
        assert isinstance(refusal, KeyStateError), f"{name} of a key that is {key.state}: {refusal!r}"
        assert key.state in str(refusal), name
        assert refusal.hint, name


def _material(spec: KeySpec) -> Any:
    row = SPECS[spec]
    if row.family == "RSA":
        return rsa.generate_private_key(65537, row.bits)
    if row.family == "EC":
        return ec.generate_private_key(getattr(ec, str(row.pyca_curve))())
    if row.family == "EDWARDS":
        return ed25519.Ed25519PrivateKey.generate()
    return bytes(range(row.bits // 8))
