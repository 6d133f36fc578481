"""Batches: one outcome for each item, in the order given."""

from __future__ import annotations

from typing import Any

import pytest

from kmskit import BatchError, InvalidCiphertextError, KeySpec, KeyStateError, Kms, LimitExceededError, UnsupportedError
from kmskit.testing.conformance.base import ENCRYPTING, Conformance, KeyPool, algorithms, require

__all__ = ["BatchConformance"]

CONTEXT = {"tenant": "acme"}
ITEMS = [b"first", b"", b"third", b"fourth", b"fifth"]


class BatchConformance(Conformance):
    @pytest.mark.parametrize("spec", ENCRYPTING)
    def test_a_batch_keeps_the_order(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.encrypting(spec)
        if algorithms(key)[0] is not None:  # A batch takes the default algorithm, and this backend lacks it.
            with pytest.raises(UnsupportedError):
                key.encrypt_many(ITEMS)
            return
        encrypted = key.encrypt_many(ITEMS)
        assert len(encrypted) == len(ITEMS)
        assert not encrypted.errors
        assert [key.decrypt(value) for value in encrypted.values()] == ITEMS
        decrypted = key.decrypt_many(encrypted.values())
        assert decrypted.values() == ITEMS
        assert [outcome.value for outcome in decrypted] == ITEMS
        assert decrypted[2].value == b"third"

    def test_a_bad_item_in_the_middle_does_not_cost_the_others(self, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.AES_256)
        items = key.encrypt_many(ITEMS, context=CONTEXT).values()
        items[1] = items[1][:-1]
        items[3] = keys.encrypting(KeySpec.AES_256, number=1).encrypt(b"fourth", context=CONTEXT)
        batch = key.decrypt_many(items, context=CONTEXT)
        assert [outcome.value for outcome in batch] == [b"first", None, b"third", None, b"fifth"]
        assert {index: type(error) for index, error in batch.errors.items()} == {
            1: InvalidCiphertextError,
            3: InvalidCiphertextError,
        }
        assert batch[1].error is batch.errors[1]
        assert {(error.backend, error.operation) for error in batch.errors.values()} == {(key.backend, "decrypt")}
        with pytest.raises(BatchError, match="2 of 5 items failed") as failed:
            batch.values()
        assert failed.value.errors == batch.errors

    def test_an_item_that_is_too_large_does_not_cost_the_others(self, kms: Kms, keys: KeyPool) -> None:
        limit = require(kms, KeySpec.AES_256, "encrypt").max_bytes
        if limit is None:
            pytest.skip("this backend declares no limit")
        key = keys.encrypting(KeySpec.AES_256)
        batch = key.encrypt_many([b"first", bytes(limit + 1), b"third"], context=CONTEXT)
        assert {index: type(error) for index, error in batch.errors.items()} == {1: LimitExceededError}
        assert [key.decrypt(batch[index].value or b"", context=CONTEXT) for index in (0, 2)] == [b"first", b"third"]

    def test_an_empty_batch_is_a_batch(self, keys: KeyPool) -> None:
        assert keys.encrypting(KeySpec.AES_256).encrypt_many([]).values() == []
        assert keys.encrypting(KeySpec.AES_256).decrypt_many(iter([])).values() == []

    def test_progress_comes_to_its_end(self, keys: KeyPool) -> None:
        steps: list[tuple[int, int]] = []
        keys.encrypting(KeySpec.AES_256).encrypt_many(ITEMS, progress=lambda done, total: steps.append((done, total)))
        assert steps[-1] == (len(ITEMS), len(ITEMS))
        assert steps == sorted(steps)

    def test_a_fault_of_the_whole_call_raises_at_once(self, kms: Kms, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.AES_256)
        items: Any
        for call in (key.encrypt_many, key.decrypt_many):
            for items in ("text", b"bytes", [b"good", "text"]):
                with pytest.raises(TypeError, match="items"):
                    call(items)
        with pytest.raises(UnsupportedError):
            keys(KeySpec.HMAC_256).encrypt_many(ITEMS)
        disabled = kms.create_key()
        disabled.disable()
        with pytest.raises(KeyStateError):
            disabled.encrypt_many(ITEMS)
