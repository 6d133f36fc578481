"""Keys shared by threads and by processes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from random import Random
from threading import Barrier
from time import monotonic

import pytest

import kmskit
from kmskit import ConfigurationError, InvalidCiphertextError, Key, KeySpec, KeyStateError, Kms
from kmskit.testing.conformance.base import Conformance, KeyPool, new_alias

__all__ = ["SharingConformance"]

THREADS = 8
SECONDS = 1.0
PATIENCE = 60


class SharingConformance(Conformance):
    def test_eight_threads_share_keys(self, kms: Kms, keys: KeyPool) -> None:
        """Each thread draws what it does next, from its own seed; every result is checked."""
        shared = keys.encrypting(KeySpec.AES_256)
        changing, toggled = kms.create_key(), kms.create_key()
        old, toggled_ciphertext = changing.encrypt(b"old"), toggled.encrypt(b"x")

        def encrypt() -> None:
            assert shared.decrypt(shared.encrypt(b"x", context={"a": "b"}), context={"a": "b"}) == b"x"

        def refuse() -> None:
            with pytest.raises(InvalidCiphertextError):
                shared.decrypt(shared.encrypt(b"x"), context={"a": "b"})

        def use_while_it_rotates() -> None:
            assert changing.decrypt(changing.encrypt(b"new")) == b"new"
            assert changing.decrypt(old) == b"old"

        def use_while_it_is_disabled() -> None:
            try:
                assert toggled.decrypt(toggled_ciphertext) == b"x"
            except KeyStateError:
                return

        def make_and_name() -> None:
            alias = new_alias()
            made = kms.create_key(alias)
            assert kms.key(alias) == made
            made.remove_alias(alias)

        actions: list[Callable[[], object]] = [encrypt, refuse, use_while_it_rotates, use_while_it_is_disabled] * 4
        actions += [make_and_name, lambda: next(kms.keys()), lambda: kms.key(shared.id)]
        if kms.supports("EC_P256", "sign"):
            signer = keys.signing(KeySpec.EC_P256)
            actions += [lambda: signer.verify(b"x", signer.sign(b"x"))] * 4
        if kms.supports("HMAC_256", "mac"):
            authenticator = keys(KeySpec.HMAC_256)
            actions += [lambda: authenticator.verify_mac(b"x", authenticator.mac(b"x"))] * 4
        changes: list[Callable[[], object]] = [toggled.disable, toggled.enable]
        if kms.supports("AES_256", "rotate"):
            changes.append(changing.rotate)

        together = Barrier(THREADS)

        def work(number: int) -> int:
            draw, done = Random(number), 0  # noqa: S311  # It chooses what a test does, not a key.
            together.wait(PATIENCE)
            end = monotonic() + SECONDS
            while monotonic() < end:
                # Changes are rarer than uses and come from two threads, so that keys do not grow without end.
                draw.choice(changes if number < 2 and done % 10 == 9 else actions)()
                done += 1
            return done

        with ThreadPoolExecutor(THREADS) as pool:
            counts = [future.result(PATIENCE) for future in [pool.submit(work, number) for number in range(THREADS)]]
        assert min(counts) > 0
        toggled.enable()
        assert toggled.decrypt(toggled_ciphertext) == b"x"
        changing.refresh()
        assert len(set(changing.versions)) == len(changing.versions)
        assert changing.decrypt(old) == b"old"

    def test_a_key_works_in_another_process(self, kms: Kms, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.AES_256)
        if not self.reopenable:
            for refused in (key, kms):
                with pytest.raises(ConfigurationError):
                    pickle.dumps(refused)
            return
        ciphertext = key.encrypt(b"from the parent", context={"a": "b"})
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            opened, answer, uri = pool.submit(_use, key, ciphertext).result(PATIENCE)
        assert opened == b"from the parent"
        assert key.decrypt(answer, context={"a": "b"}) == b"from the child"
        assert uri == key.uri

    def test_keys_pickled_together_share_one_kms_and_no_secret(self, kms: Kms, keys: KeyPool) -> None:
        pair = keys.encrypting(KeySpec.AES_256), keys.encrypting(KeySpec.AES_256, number=1)
        if not self.reopenable:
            with pytest.raises(ConfigurationError):
                pickle.dumps(pair)
            return
        data = pickle.dumps(pair)
        # Two ids, one URI, and names of classes: no room for a key.
        assert len(data) < 2 * len(pair[0].id) + len(kms.uri) + 200
        first, second = pickle.loads(data)  # noqa: S301  # These bytes were written three lines above.
        assert (first, second) == pair
        assert first.kms is second.kms
        assert first.kms.uri == kms.uri
        with first.kms:
            assert pair[0].decrypt(first.encrypt(b"x")) == b"x"

    def test_a_key_opens_by_its_uri(self, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.AES_256)
        if not self.reopenable:
            with pytest.raises(ConfigurationError):
                kmskit.open_key(key.uri)
            return
        opened = kmskit.open_key(key.uri)
        with opened.kms:
            assert opened == key
            assert key.decrypt(opened.encrypt(b"x")) == b"x"


def _use(key: Key, ciphertext: bytes) -> tuple[bytes, bytes, str]:
    """What the other process does."""
    opened = key.decrypt(ciphertext, context={"a": "b"})
    return opened, key.encrypt(b"from the child", context={"a": "b"}), key.uri
