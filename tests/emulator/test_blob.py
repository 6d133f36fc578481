"""The bytes of ciphertexts, and what a context becomes."""

from __future__ import annotations

import json
from hashlib import sha256
from random import Random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from kmskit.emulator.blob import associated_data, open_blob, seal_blob, version_of
from kmskit.emulator.errors import ServiceError

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VERSION = "86a9efd9-3d16-4894-bd4f-1fc43f3f2abf"
CIPHER = AESGCM(bytes(32))


@given(st.dictionaries(TEXT, TEXT, max_size=6), st.integers())
def test_the_order_of_a_context_does_not_matter(context: dict[str, str], seed: int) -> None:
    turned = list(context.items())
    Random(seed).shuffle(turned)
    plain = associated_data(json.dumps(context))
    assert plain == associated_data(json.dumps(dict(turned), ensure_ascii=False))
    assert plain == sha256("&".join(f"{name}={context[name]}" for name in sorted(context)).encode()).digest()


def test_an_empty_context_differs_from_none() -> None:
    assert associated_data(None) is None
    assert associated_data("{}") == sha256(b"").digest()


@given(st.text(max_size=80))
def test_any_text_is_a_context_or_refused(text: str) -> None:
    try:
        aad = associated_data(text)
    except ServiceError:
        return
    assert aad is not None
    assert len(aad) == 32


def test_a_context_has_a_bound() -> None:
    with pytest.raises(ServiceError):
        associated_data(json.dumps({"a": "x" * 8192}))
    with pytest.raises(ServiceError):
        associated_data("[" * 8000)


@given(TEXT, st.one_of(st.none(), st.binary(max_size=40)))
def test_what_is_sealed_opens(text: str, aad: bytes | None) -> None:
    version, rest = version_of(seal_blob(VERSION, CIPHER, text, aad))
    assert version == VERSION
    assert open_blob(CIPHER, rest, aad) == text


@given(st.text(max_size=200))
def test_any_text_is_a_blob_or_refused(text: str) -> None:
    try:
        version_of(text)
    except ServiceError:
        return
