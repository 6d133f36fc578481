"""Eight threads that do everything with one token, in a process of its own: a crash is that process's end.

    python -m tests.backends.pkcs11.stress URI SECONDS

Four threads only use keys, as fast as they can, while four make, find, change and use others. Every result is checked.
It prints how often each thing was done.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from time import monotonic
from uuid import uuid4

import pytest

import kmskit
from kmskit import InvalidCiphertextError, Key, KeyStateError, Kms

THREADS = 8


def uses(kms: Kms) -> dict[str, Callable[[], object]]:
    """Uses of keys that nobody changes."""
    aes = kms.create_key(spec="AES_256")
    small = kms.create_key(spec="AES_128")
    rsa = kms.create_key(spec="RSA_2048", usage="ENCRYPT_DECRYPT")
    signers = [kms.create_key(spec=spec) for spec in ("RSA_2048", "EC_P256", "EC_P521", "ED25519")]
    hmac = kms.create_key(spec="HMAC_256")

    def encrypt(key: Key, size: int) -> None:
        plaintext = bytes(range(256)) * size
        assert key.decrypt(key.encrypt(plaintext, context={"a": "b"}), context={"a": "b"}) == plaintext

    def refuse() -> None:
        with pytest.raises(InvalidCiphertextError):
            aes.decrypt(aes.encrypt(b"x"), context={"a": "b"})

    def oaep() -> None:
        assert rsa.decrypt(rsa.encrypt(b"x", algorithm="RSAES_OAEP_SHA_1"), algorithm="RSAES_OAEP_SHA_1") == b"x"

    def data_key() -> None:
        made = aes.generate_data_key(context={"a": "b"})
        assert aes.decrypt_data_key(made.ciphertext, context={"a": "b"}).plaintext == made.plaintext

    def sign(key: Key) -> None:
        key.verify(b"x", key.sign(b"x"))

    return {
        "encrypt": partial(encrypt, aes, 1),
        "encrypt more": partial(encrypt, small, 200),
        "refuse": refuse,
        "oaep": oaep,
        "data key": data_key,
        "mac": lambda: hmac.verify_mac(b"x", hmac.mac(b"x")),
        **{f"sign {key.spec}": partial(sign, key) for key in signers},
    }


def changes(kms: Kms) -> dict[str, Callable[[], object]]:
    """Keys made, found, listed, rotated and disabled, and used meanwhile."""
    turning, toggled = kms.create_key(), kms.create_key()
    old, closed = turning.encrypt(b"old"), toggled.encrypt(b"x")

    def make() -> None:
        alias = uuid4().hex[:12]
        made = kms.create_key(alias)
        assert kms.key(alias) == made
        made.remove_alias(alias)

    def rotated() -> None:
        assert turning.decrypt(turning.encrypt(b"new")) == b"new"
        assert turning.decrypt(old) == b"old"

    def while_disabled() -> None:
        try:
            assert toggled.decrypt(closed) == b"x"
        except KeyStateError:
            return

    return {
        "make": make,
        "make a pair": lambda: kms.create_key(spec="EC_P256").sign(b"x"),
        "find": lambda: kms.key(turning.id),
        "list": lambda: list(kms.keys(spec="HMAC_256")),
        "rotate": turning.rotate,
        "rotated": rotated,
        "disable": toggled.disable,
        "enable": toggled.enable,
        "while disabled": while_disabled,
    }


def main(uri: str, seconds: float) -> Counter[str]:
    done: Counter[str] = Counter()
    with kmskit.connect(uri) as kms:
        using, changing = uses(kms), changes(kms)
        end = monotonic() + seconds

        def work(number: int) -> None:
            draw = Random(number)
            actions = list((using if number < THREADS // 2 else using | changing).items())
            while monotonic() < end:
                name, action = draw.choice(actions)
                action()
                done[name] += 1  # Threads may lose a count, which is no more than a report.

        with ThreadPoolExecutor(THREADS) as pool:
            for future in [pool.submit(work, number) for number in range(THREADS)]:
                future.result()
    assert set(done) == {*using, *changing}, "something was never done"
    return done


if __name__ == "__main__":
    print(main(sys.argv[1], float(sys.argv[2])))
