"""One data key for several messages, within its limits and for nobody else."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import kmskit
from kmskit import envelope
from kmskit.envelope import DataKeyCache, RawAesKey
from kmskit.testing import leaks

DATA = b"4111-1111-1111-1111"


def wrapped(message: bytes) -> bytes:
    """The wrapped data key of a message: equal in two messages if they share the data key."""
    return envelope.inspect(message).recipients[0].wrapped


def data_keys(cache: DataKeyCache, keys: list[Any], sizes: list[int]) -> list[int]:
    """How many messages in a row share a data key, for plaintexts of these sizes."""
    messages = [envelope.encrypt(bytes(size), keys, cache=cache) for size in sizes]
    for message, size in zip(messages, sizes, strict=True):
        assert envelope.decrypt(message, keys) == bytes(size)
    return list(Counter(map(wrapped, messages)).values())


def test_one_call_serves_many_messages_and_each_has_its_own_key(kms: kmskit.Kms, key: kmskit.Key) -> None:
    cache = DataKeyCache()
    before = kms.calls
    messages = [envelope.encrypt(DATA, [key], context={"a": "b"}, cache=cache) for _ in range(40)]
    assert kms.calls == before + 1
    assert len(cache) == 1
    headers = [envelope.inspect(message).header for message in messages]
    assert len({header.recipients for header in headers}) == 1
    assert len({header.message_id for header in headers}) == 40
    assert len({header.commitment for header in headers}) == 40
    assert len({message[-30:] for message in messages}) == 40
    assert all(envelope.decrypt(message, [key]) == DATA for message in messages)


def test_without_a_cache_each_message_has_its_data_key(kms: kmskit.Kms, key: kmskit.Key) -> None:
    before = kms.calls
    assert wrapped(envelope.encrypt(DATA, [key])) != wrapped(envelope.encrypt(DATA, [key]))
    assert kms.calls == before + 2


def test_reading_never_uses_it(kms: kmskit.Kms, key: kmskit.Key) -> None:
    message = envelope.encrypt(DATA, [key], cache=DataKeyCache())
    before = kms.calls
    for _ in range(3):
        envelope.decrypt(message, [key])
    assert kms.calls == before + 3


# Limits


def test_a_data_key_serves_so_many_messages(key: kmskit.Key) -> None:
    assert data_keys(DataKeyCache(max_messages=4), [key], [5] * 10) == [4, 4, 2]
    assert data_keys(DataKeyCache(max_messages=1), [key], [5] * 3) == [1, 1, 1]


def test_a_data_key_serves_so_many_bytes(key: kmskit.Key) -> None:
    cache = DataKeyCache(max_bytes=100)
    assert data_keys(cache, [key], [50, 50, 1, 99, 100, 0, 0]) == [2, 2, 3]
    # A message that is too large by itself neither takes nor leaves a data key.
    assert data_keys(cache, [key], [101, 0, 101]) == [1, 1, 1]


def test_a_data_key_grows_old(key: kmskit.Key) -> None:
    cache = DataKeyCache(max_age=0.2)
    begun = time.monotonic()
    first = wrapped(envelope.encrypt(DATA, [key], cache=cache))
    second = wrapped(envelope.encrypt(DATA, [key], cache=cache))
    assert first == second or time.monotonic() - begun >= 0.2
    time.sleep(0.25)
    assert wrapped(envelope.encrypt(DATA, [key], cache=cache)) not in (first, second)


def test_the_entry_used_longest_ago_goes_first(key: kmskit.Key) -> None:
    cache = DataKeyCache(capacity=2)

    def used(name: str) -> bytes:
        return wrapped(envelope.encrypt(DATA, [key], context={"table": name}, cache=cache))

    first, second = used("a"), used("b")
    assert used("a") == first
    third = used("c")
    assert len(cache) == 2
    assert (used("a"), used("c")) == (first, third)
    assert used("b") != second


def test_clear_forgets_all(key: kmskit.Key) -> None:
    cache = DataKeyCache()
    first = wrapped(envelope.encrypt(DATA, [key], cache=cache))
    cache.clear()
    assert len(cache) == 0
    assert wrapped(envelope.encrypt(DATA, [key], cache=cache)) != first


@pytest.mark.parametrize("name", ["max_age", "max_messages", "max_bytes", "capacity"])
def test_limits_are_limited(name: str) -> None:
    most = {"max_age": 300, "max_messages": 1000, "max_bytes": 2**40, "capacity": 100}[name]
    DataKeyCache(**{name: most})
    for wrong in (0, -1, most + 1, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"{name}: more than 0 and at most"):
            DataKeyCache(**{name: wrong})
    with pytest.raises(TypeError):
        DataKeyCache(**{name: "many"})  # type: ignore[arg-type]


# Who shares a data key


def test_entries_are_told_apart(kms: kmskit.Kms, key: kmskit.Key, other: kmskit.Key, aes: RawAesKey) -> None:
    cache = DataKeyCache()
    variants: list[dict[str, Any]] = [
        {"keys": [key]},
        {"keys": [other]},
        {"keys": [aes]},
        {"keys": [RawAesKey("partner", "shared", bytes(range(32)))]},  # Equal, and still not the same object.
        {"keys": [key, other]},
        {"keys": [other, key]},
        {"keys": [key, key]},
        {"keys": [key], "context": {"a": "b"}},
        {"keys": [key], "context": {"a": "b", "c": ""}},
        {"keys": [key], "context": {"a": ""}},
        {"keys": [key], "signed": True},
        {"keys": [key], "signed": True, "context": {"a": "b"}},
    ]
    for _ in range(2):
        messages = [envelope.encrypt(DATA, cache=cache, **variant) for variant in variants]
        assert len({recipient.wrapped for m in messages for recipient in envelope.inspect(m).recipients}) == 15
        for message, variant in zip(messages, variants, strict=True):
            for one in variant["keys"]:
                assert envelope.decrypt(message, [one], require_context=variant.get("context")) == DATA
    assert len(cache) == len(variants)
    # What does not tell apart: the order of the pairs, the frame length, another Key object of the same key.
    pairs = {"c": "", "a": "b"}
    assert wrapped(envelope.encrypt(DATA, [key], context=pairs, cache=cache)) == wrapped(messages[8])
    again = envelope.encrypt(DATA, [kms.key(key.id)], frame_length=7, cache=cache)
    assert wrapped(again) == wrapped(messages[0])


def test_the_same_key_through_two_kms_objects_is_not_shared(tmp_path: Path) -> None:
    # Two users, one of whom may not use the key, could have the same backend.
    uri = f"software://{tmp_path}/keys.db"
    with kmskit.connect(uri) as one, kmskit.connect(uri) as two:
        cache = DataKeyCache()
        key = one.create_key()
        first = envelope.encrypt(DATA, [key], cache=cache)
        assert wrapped(envelope.encrypt(DATA, [two.key(key.id)], cache=cache)) != wrapped(first)
        assert len(cache) == 2


def test_signed_messages_that_share_a_data_key_all_verify(key: kmskit.Key) -> None:
    cache = DataKeyCache()
    messages = [envelope.encrypt(DATA, [key], signed=True, cache=cache) for _ in range(3)]
    assert len({wrapped(message) for message in messages}) == 1
    assert len({message[-100:] for message in messages}) == 3
    for message in messages:
        assert envelope.decrypt(message, [key], require_signed=True) == DATA


def test_files_are_cached_and_streams_are_not(tmp_path: Path, key: kmskit.Key) -> None:
    cache = DataKeyCache(max_bytes=100)
    source = tmp_path / "source"
    source.write_bytes(bytes(60))
    infos = [envelope.encrypt_file(source, tmp_path / str(n), [key], cache=cache) for n in range(2)]
    assert infos[0].recipients != infos[1].recipients  # Their 120 bytes are too many for one data key.
    (tmp_path / "short").write_bytes(bytes(40))
    assert (
        envelope.encrypt_file(tmp_path / "short", tmp_path / "2", [key], cache=cache).recipients == infos[1].recipients
    )
    with envelope.open(tmp_path / "3", "wb", [key], cache=cache) as writer:
        writer.write(DATA)
    assert writer.header.recipients != infos[1].recipients


# Losing it


def test_a_disabled_key_is_refused_at_a_hit(kms: kmskit.Kms, aes: RawAesKey) -> None:
    key, cache = kms.create_key(), DataKeyCache()
    for keys in ([key], [aes, key]):
        first = envelope.encrypt(DATA, keys, cache=cache)
        key.disable()
        with pytest.raises(kmskit.KeyStateError, match="DISABLED"):
            envelope.encrypt(DATA, keys, cache=cache)
        key.enable()
        assert wrapped(envelope.encrypt(DATA, keys, cache=cache)) != wrapped(first)


def test_a_key_disabled_by_another_process_is_refused_within_a_second(tmp_path: Path) -> None:
    uri, cache = f"software://{tmp_path}/keys.db", DataKeyCache()
    with kmskit.connect(uri) as kms, kmskit.connect(uri) as elsewhere:
        key = kms.create_key()
        envelope.encrypt(DATA, [key], cache=cache)
        elsewhere.key(key.id).disable()
        time.sleep(1.1)
        with pytest.raises(kmskit.KeyStateError):
            envelope.encrypt(DATA, [key], cache=cache)


def test_a_failure_to_make_a_data_key_is_not_cached(kms: kmskit.Kms) -> None:
    key, cache = kms.create_key(), DataKeyCache()
    key.disable()
    for _ in range(2):
        with pytest.raises(kmskit.KeyStateError):
            envelope.encrypt(DATA, [key], cache=cache)
    assert len(cache) == 0


def test_it_is_not_pickled_and_shows_nothing(key: kmskit.Key, aes: RawAesKey) -> None:
    cache = DataKeyCache()
    envelope.encrypt(DATA, [key], cache=cache)
    assert repr(cache) == "<DataKeyCache 1 of 100>"
    with pytest.raises(TypeError, match="not pickled") as caught:
        pickle.dumps(cache)
    leaks.assert_clean(caught.value, DATA)


def test_a_forked_child_begins_empty() -> None:
    # The lock is held during the fork, as by a thread that is just encrypting: in the child nobody would release it.
    code = """
import os
from kmskit import connect, envelope
key = connect("software:?memory=1").create_key()
cache = envelope.DataKeyCache()
def wrapped():
    return envelope.inspect(envelope.encrypt(b"data", [key], cache=cache)).recipients[0].wrapped
first = wrapped()
for use in (wrapped, cache.clear, cache.__len__):
    cache._lock.acquire()
    child = os.fork()
    if not child:
        assert use() != first
        assert wrapped() != first
        os._exit(7)
    cache._lock.release()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
assert wrapped() == first
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], timeout=30, check=True)


def test_threads_keep_to_the_limits(key: kmskit.Key) -> None:
    cache = DataKeyCache(max_messages=10, capacity=3)

    def work(number: int) -> tuple[bytes, bytes]:
        context = {"table": str(number % 4)}
        return wrapped(message := envelope.encrypt(DATA, [key], context=context, cache=cache)), message

    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(work, range(800)))
    assert max(Counter(wrapped for wrapped, _ in done).values()) <= 10
    assert len(Counter(wrapped for wrapped, _ in done)) < 800
    assert all(envelope.decrypt(message, [key]) == DATA for _, message in done)
    assert len(cache) <= 3
