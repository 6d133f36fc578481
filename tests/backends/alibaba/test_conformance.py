"""The suite that every backend runs: on the emulator's three kinds of places for keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

import kmskit
from kmskit import KeyNotFoundError, KeySpec, UnsupportedError, emulator
from kmskit.emulator import Cloud
from kmskit.testing import BackendConformance
from kmskit.testing.conformance import signatures
from kmskit.testing.conformance.base import MACS, Advance, KeyPool, listed, new_alias


class OnTheService(BackendConformance):
    """What the service does in its own way."""

    instance: ClassVar[str | None]
    page = 100

    @pytest.fixture(scope="class")
    @classmethod
    def cloud(cls) -> Iterator[Cloud]:
        """A cloud of its own for each class: the tests make many keys, and turn the clock."""
        with pytest.MonkeyPatch.context() as patch, emulator.start() as cloud:
            for name, value in cloud.env().items():
                if name.startswith("ALIBABA_CLOUD_"):  # For the tests that open a key in another process.
                    patch.setenv(name, value)
            yield cloud

    @pytest.fixture(scope="class")
    @classmethod
    def kms(cls, cloud: Cloud) -> Iterator[kmskit.Kms]:
        with cloud.connect(instance=cls.instance) as kms:
            yield kms

    @pytest.fixture(scope="class")
    @classmethod
    def advance(cls, cloud: Cloud) -> Callable[[float], None]:
        return lambda days: cloud.clock.advance(days=days)

    def test_purge_destroys_what_is_due(self, kms: kmskit.Kms, advance: Advance) -> None:
        """The service destroys by itself, and `purge` has nothing left to do."""
        if advance is None:
            pytest.skip("this service's clock cannot be set")
        alias = new_alias()
        due, later = kms.create_key(alias), kms.create_key()
        ciphertext = due.encrypt(b"x")
        due.schedule_deletion(7)
        later.schedule_deletion(60)
        advance(8)
        for gone in (due.id, alias):
            with pytest.raises(KeyNotFoundError):
                kms.key(gone)
        with pytest.raises(KeyNotFoundError):
            due.decrypt(ciphertext)
        assert due.id not in listed(kms)
        assert kms.purge() == []
        assert kms.key(later.id).state == "PENDING_DELETION"
        assert kms.create_key(alias).aliases == (alias,)

    @pytest.mark.parametrize("spec", MACS)
    def test_a_mac_belongs_to_one_message_and_key(
        self, kms: kmskit.Kms, keys: KeyPool, spec: KeySpec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whether the service takes an empty message is documented nowhere; if it does not, that is said."""
        key = keys(spec)
        try:
            key.verify_mac(b"", key.mac(b""))
        except UnsupportedError:
            monkeypatch.setattr(signatures, "MESSAGES", tuple(filter(None, signatures.MESSAGES)))
        super().test_a_mac_belongs_to_one_message_and_key(kms, keys, spec)


class TestSharedGateway(OnTheService):
    instance = None


class TestSoftwareInstance(OnTheService):
    instance = "software"


class TestHardwareInstance(OnTheService):
    instance = "hardware"
