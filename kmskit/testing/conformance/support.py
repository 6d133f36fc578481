"""What a backend declares, and that it keeps to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kmskit import CapabilityTable, KeySpec, KeyUsage, Kms, UnsupportedError
from kmskit.algorithms import SPECS
from kmskit.testing.conformance.base import Conformance, KeyPool
from kmskit.types import OPERATIONS

__all__ = ["SupportConformance"]


class SupportConformance(Conformance):
    def test_at_least_one_spec_is_supported(self, kms: Kms) -> None:
        assert any(kms.supports(spec, "create") for spec in KeySpec)

    def test_every_refusal_has_a_reason_and_every_limit_is_a_number_of_bytes(self, kms: Kms) -> None:
        for (spec, operation), support in kms.capabilities().items():
            assert support == kms.supports(spec, operation) == kms.supports(str(spec), operation)
            assert bool(support) != bool(support.reason), (spec, operation)
            assert support.max_bytes is None or (support and support.max_bytes > 0), (spec, operation)

    def test_operations_that_a_spec_cannot_have_are_not_declared(self, kms: Kms) -> None:
        for spec, row in SPECS.items():
            of_usage = {
                KeyUsage.ENCRYPT_DECRYPT: {"encrypt", "decrypt", "reencrypt"},
                KeyUsage.SIGN_VERIFY: {"sign", "verify"},
                KeyUsage.GENERATE_VERIFY_MAC: {"mac"},
            }
            possible = {"create", "import"}.union(*(of_usage[usage] for usage in row.algorithms))
            possible |= {"data_key", "rotate"} if row.symmetric else set()
            assert {operation for operation in OPERATIONS if kms.supports(spec, operation)} <= possible

    def test_the_capability_table_is_complete_and_shows_itself(self, kms: Kms) -> None:
        table = kms.capabilities()
        assert isinstance(table, CapabilityTable)
        assert set(table) == {(spec, operation) for spec in KeySpec for operation in OPERATIONS}
        for shown in (repr(table), table._repr_html_()):
            assert all(spec in shown for spec in KeySpec)
            assert all(operation in shown for operation in OPERATIONS)

    @pytest.mark.parametrize("spec", list(KeySpec))
    def test_what_is_not_declared_raises(self, kms: Kms, keys: KeyPool, spec: KeySpec) -> None:
        if not kms.supports(spec, "create"):
            with pytest.raises(UnsupportedError) as refused:
                kms.create_key(spec=spec)
            assert spec in str(refused.value)
        if not kms.supports(spec, "import"):
            with pytest.raises(UnsupportedError):
                kms.import_key(None, bytes(SPECS[spec].bits // 8), spec)
        if not kms.supports(spec, "create"):
            return
        key = keys(spec)
        uses: dict[str, Callable[[], object]] = {
            "encrypt": lambda: key.encrypt(b"x"),
            "decrypt": lambda: key.decrypt(bytes(64)),
            "reencrypt": lambda: key.reencrypt(bytes(64), to=key),
            "sign": lambda: key.sign(b"x"),
            "verify": lambda: key.verify(b"x", bytes(64)),
            "mac": lambda: key.mac(b"x"),
            "data_key": key.generate_data_key,
            "rotate": key.rotate,
        }
        for operation, use in uses.items():
            if not kms.supports(spec, operation):
                with pytest.raises(UnsupportedError):
                    use()

    def test_an_unknown_spec_lists_the_known_ones(self, kms: Kms) -> None:
        for call in (
            lambda: kms.create_key(spec="AES_512"),
            lambda: kms.import_key(None, bytes(64), "AES_512"),
            lambda: kms.supports("AES_512", "create"),
            lambda: kms.keys(spec="AES_512"),
        ):
            with pytest.raises(UnsupportedError, match="AES_512") as refused:
                call()
            assert all(spec in str(refused.value) for spec in KeySpec)
        number: Any = 256
        with pytest.raises(TypeError, match="spec"):
            kms.create_key(spec=number)

    def test_an_unknown_operation_lists_the_known_ones(self, kms: Kms) -> None:
        with pytest.raises(ValueError, match="data_key"):
            kms.supports("AES_256", "shred")

    def test_a_usage_the_spec_lacks_is_refused(self, kms: Kms) -> None:
        for spec, usage in (("AES_256", "SIGN_VERIFY"), ("EC_P256", "ENCRYPT_DECRYPT"), ("AES_256", "COOKING")):
            if kms.supports(spec, "create"):
                with pytest.raises(UnsupportedError, match="usage") as refused:
                    kms.create_key(spec=spec, usage=usage)
                assert SPECS[spec].default_usage in (refused.value.hint or "")

    def test_every_error_names_backend_and_operation(self, kms: Kms, keys: KeyPool) -> None:
        with pytest.raises(UnsupportedError) as refused:
            keys(KeySpec.AES_256).sign(b"x")
        assert (refused.value.backend, refused.value.operation) == (kms.backend, "sign")
        with pytest.raises(UnsupportedError) as refused:
            kms.create_key(spec="AES_512")
        assert (refused.value.backend, refused.value.operation) == (kms.backend, "create")

    def test_calls_are_counted(self, kms: Kms, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.AES_256)
        before = kms.calls
        key.decrypt(key.encrypt(b"x"))
        assert kms.calls >= before + 2
