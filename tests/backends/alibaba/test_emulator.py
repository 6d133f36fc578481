"""Both gateways, users who may do little, STS, and speed of batches: against the emulator."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import kmskit
from kmskit import (
    AccessDeniedError,
    AuthenticationError,
    InvalidCiphertextError,
    KeyNotFoundError,
    KeyStateError,
    Kms,
    UnsupportedError,
    emulator,
    envelope,
)
from kmskit.emulator import Cloud
from kmskit.testing import leaks
from kmskit.testing.conformance.signatures import verify_outside

USER = "AliyunKMSCryptoUserAccess"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        cloud.ram.create_user("app", policies=[USER])
        yield cloud


@pytest.fixture
def admin(cloud: Cloud) -> Iterator[Kms]:
    with cloud.connect(instance="software") as kms:
        yield kms


@pytest.fixture
def app(cloud: Cloud) -> Iterator[Kms]:
    with cloud.connect(cloud.ram.user("app"), instance="software") as kms:
        yield kms


def actions(cloud: Cloud) -> list[tuple[str, str]]:
    return [(event.action, event.gateway) for event in cloud.trail]


# Gateways


def test_management_goes_to_the_shared_gateway_and_cryptography_to_the_instances(cloud: Cloud, admin: Kms) -> None:
    cloud.trail.clear()
    key = admin.create_key()
    key.decrypt(key.encrypt(b"x"))
    key.generate_data_key()
    key.disable()
    instance = cloud.instances["software"].id
    of_instance = {action for action, gateway in actions(cloud) if gateway == instance}
    assert of_instance == {"Encrypt", "Decrypt", "GenerateDataKey"}
    assert {"CreateKey", "DisableKey", "DescribeKey"} <= {a for a, gateway in actions(cloud) if gateway == "shared"}
    assert admin.calls >= len(actions(cloud))


def test_reencryption_is_done_inside_the_service(cloud: Cloud, admin: Kms) -> None:
    key, other = admin.create_key(), admin.create_key()
    ciphertext = key.encrypt(b"x", context={"a": "b"})
    cloud.trail.clear()
    moved = key.reencrypt(ciphertext, to=other, context={"a": "b"}, new_context={"c": "d"})
    assert [action for action, _ in actions(cloud)] == ["ReEncrypt"]
    assert other.decrypt(moved, context={"c": "d"}) == b"x"


def test_reencryption_of_keys_that_are_closed_to_the_shared_gateway_takes_two_calls(cloud: Cloud, admin: Kms) -> None:
    key, other = admin.create_key(), admin.create_key()
    ciphertext = key.encrypt(b"x")
    cloud.open_instance_to_shared_gateway("software", public=False)
    try:
        assert other.decrypt(key.reencrypt(ciphertext, to=other)) == b"x"
    finally:
        cloud.open_instance_to_shared_gateway("software", public=True)


def test_a_default_key_is_for_the_cloud_only(cloud: Cloud) -> None:
    key_id = cloud.enable_default_key("main")
    with cloud.connect() as kms:
        key = kms.key("main")
        assert key.id == key_id
        with pytest.raises(UnsupportedError) as refused:
            key.encrypt(b"x")
        assert refused.value.code == "UnsupportedOperation"
        assert "server-side encryption" in (refused.value.hint or "")


def test_the_key_of_a_cloud_product_is_found_by_its_alias_and_is_the_products_alone(cloud: Cloud, admin: Kms) -> None:
    cloud.ecs.create_disk()
    key = cloud.connect().key("acs/ecs")
    assert key.aliases == ("acs/ecs",)
    for change in (key.disable, lambda: key.encrypt(b"x"), lambda: key.schedule_deletion(7)):
        with pytest.raises(UnsupportedError):
            change()
    with pytest.raises(ValueError, match="own keys"):
        admin.create_key("acs/ecs")


def test_one_gateway_that_only_uses_keys_is_enough_to_use_one(cloud: Cloud, admin: Kms) -> None:
    """As the vendor's quick start has it: the instance's endpoint and CA, and nothing else."""
    key, signer = admin.create_key(), admin.create_key(spec="EC_P256")
    instance, who = cloud.instances["software"], cloud.ram.user("app")
    uri = f"alibaba://{instance.endpoint}?ca={instance.ca_path}"
    with kmskit.connect(uri, credential=(who.access_key_id, who.access_key_secret)) as kms:
        mine = kms.key(key.id)
        assert key.decrypt(mine.encrypt(b"x", context={"a": "b"}), context={"a": "b"}) == b"x"
        signature = kms.key(signer.id, spec="EC_P256", version=signer.primary_version).sign(b"m")
        verify_outside(signer.public_key(), signature, b"m")


# A user who may use keys and not describe them


def test_a_user_who_may_not_describe_uses_a_key_by_its_id(admin: Kms, app: Kms) -> None:
    key = admin.create_key()
    mine = app.key(key.id)
    assert mine == key
    assert mine.id == key.id
    assert key.decrypt(mine.encrypt(b"x", context={"a": "b"}), context={"a": "b"}) == b"x"
    assert mine.decrypt(key.encrypt(b"x")) == b"x"
    assert mine.encrypt_many([b"x"] * 9).values()
    with mine.generate_data_key(context={"a": "b=c"}) as made:
        assert key.decrypt_data_key(made.ciphertext, context={"a": "b=c"}).plaintext == made.plaintext
    assert envelope.decrypt(envelope.encrypt(b"message", [mine]), [key]) == b"message"
    for denied in (mine.disable, mine.refresh, lambda: app.create_key(), lambda: list(app.keys())):
        with pytest.raises(AccessDeniedError):
            denied()


def test_an_alias_becomes_the_id_with_the_first_answer(admin: Kms, app: Kms) -> None:
    key, other = admin.create_key("payroll"), admin.create_key()
    mine = app.key("payroll")
    assert mine.id == "alias/payroll"
    assert mine.decrypt(key.encrypt(b"x")) == b"x"
    assert mine.id == key.id
    assert mine == key
    assert key.decrypt(mine.encrypt(b"x")) == b"x"
    with pytest.raises(InvalidCiphertextError):
        mine.decrypt(other.encrypt(b"x"))


def test_a_key_that_is_not_there_is_noticed_at_first_use(app: Kms) -> None:
    for name in ("nothing-here", "key-hzz00000000000000"):
        with pytest.raises(KeyNotFoundError):
            app.key(name).encrypt(b"x")


def test_what_is_not_known_is_not_shown(admin: Kms, app: Kms) -> None:
    mine = app.key(admin.create_key("secret-name").id)
    for shown in (repr(mine), mine._repr_html_()):
        assert "AccessDeniedError" in shown
    for name in ("state", "aliases", "description", "tags", "created", "protection"):
        with pytest.raises(AccessDeniedError, match=name):
            getattr(mine, name)
    assert (mine.spec, mine.usage) == ("AES_256", "ENCRYPT_DECRYPT")
    assert repr(app)


def test_a_key_pair_needs_its_version(admin: Kms, app: Kms) -> None:
    signer = admin.create_key(spec="RSA_2048")
    blind = app.key(signer.id, spec="RSA_2048")
    with pytest.raises(AccessDeniedError) as denied:
        blind.sign(b"m")
    assert "version=" in (denied.value.hint or "")
    mine = app.key(signer.id, spec="RSA_2048", version=signer.primary_version)
    signature = mine.sign(b"m")
    signer.verify(b"m", signature)
    mine.verify(b"m", signature)
    assert mine.public_key() == signer.public_key()
    opener = admin.create_key(spec="RSA_2048", usage="ENCRYPT_DECRYPT")
    mine = app.key(opener.id, spec="RSA_2048", version=opener.primary_version)
    assert mine.decrypt(mine.encrypt(b"x")) == b"x"


def test_a_key_of_another_spec_than_assumed_asks_for_its_spec(admin: Kms, app: Kms) -> None:
    signer = admin.create_key(spec="EC_P256")
    blind = app.key(signer.id)
    for call in (lambda: blind.sign(b"m"), lambda: blind.verify(b"m", b"s"), lambda: blind.mac(b"m")):
        with pytest.raises(UnsupportedError, match="taken for AES_256") as refused:
            call()
        assert "spec=" in (refused.value.hint or "")


def test_an_undescribed_key_works_in_another_process(cloud: Cloud, admin: Kms, app: Kms) -> None:
    key = admin.create_key("shipped")
    mine = app.key("shipped")
    mine.encrypt(b"x")
    code = "import pickle, sys; sys.stdout.buffer.write(pickle.load(sys.stdin.buffer).encrypt(b'from the child'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(mine),
        env={**os.environ, **cloud.env(cloud.ram.user("app"))},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert key.decrypt(done.stdout) == b"from the child"


# STS


def test_an_sts_token_signs(cloud: Cloud, admin: Kms) -> None:
    cloud.ram.create_role("reader", policies=[USER])
    session = cloud.ram.session("reader", seconds=900)
    assert session.security_token
    key = admin.create_key()
    with cloud.connect(session, instance="software") as kms:
        mine = kms.key(key.id)
        assert key.decrypt(mine.encrypt(b"x")) == b"x"
        cloud.clock.advance(3600)
        with pytest.raises(AuthenticationError) as refused:
            mine.encrypt(b"x")
        leaks.assert_clean(refused.value, str(session.security_token).encode(), session.access_key_secret.encode())


# Batches


def test_a_batch_runs_on_several_connections(cloud: Cloud, admin: Kms) -> None:
    key = admin.create_key()
    items = [bytes([number]) * 10 for number in range(200)]
    batch = key.encrypt_many(items)
    assert key.decrypt_many(batch.values()).values() == items


def test_many_threads_share_a_kms(cloud: Cloud, admin: Kms) -> None:
    key = admin.create_key()

    def work(number: int) -> bool:
        text = str(number).encode()
        return key.decrypt(key.encrypt(text, context={"n": str(number)}), context={"n": str(number)}) == text

    before = admin.calls
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(200)))
    assert admin.calls == before + 400


# Lifecycle


def test_material_is_imported_into_a_hardware_instance_only(cloud: Cloud, admin: Kms) -> None:
    secret = os.urandom(32)
    with cloud.connect(instance="hardware") as hardware:
        key = hardware.import_key("brought", secret, "AES_256", description="ours", tags={"a": "b"})
        assert (key.origin, key.state, key.protection, key.aliases) == ("IMPORTED", "ENABLED", "HSM", ("brought",))
        assert key.decrypt(key.encrypt(b"x")) == b"x"
        with pytest.raises(UnsupportedError):
            key.rotate()
    with pytest.raises(UnsupportedError, match="hardware"):
        admin.import_key(None, secret, "AES_256")


def test_what_was_cancelled_is_enabled_again(admin: Kms) -> None:
    """The service does not remember that the key was disabled before."""
    key = admin.create_key()
    key.disable()
    key.schedule_deletion(7)
    key.cancel_deletion()
    assert key.state == "ENABLED"


@pytest.mark.parametrize("kind", ["software", "hardware"])
def test_a_key_that_was_disabled_for_a_moment_is_no_tampering(cloud: Cloud, kind: str) -> None:
    """The service refuses because the key is disabled, and it is enabled again before it can be looked at."""
    with cloud.connect(instance=kind) as kms:
        key, other = kms.create_key(), kms.create_key()
        own, foreign = key.encrypt(b"x"), other.encrypt(b"x")
        for ciphertext, expected in ((own, KeyStateError), (foreign, InvalidCiphertextError)):
            cloud.faults.add("Decrypt", status=409, code="Rejected.Disabled")
            with pytest.raises(expected):
                key.decrypt(ciphertext)
