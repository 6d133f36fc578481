"""The conformance suite itself: it fits a backend that offers less, and says what a subclass forgot."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kmskit import KeySpec, KeyUsage, Kms, LimitExceededError, Support, UnsupportedError
from kmskit.algorithms import SPECS, Algorithm, choose
from kmskit.backend import NewKey
from kmskit.backends.software import SoftwareBackend
from kmskit.testing import BackendConformance
from kmskit.types import Buffer, KeyInfo, Operation
from kmskit.uri import parse

LIMIT = 6144


class NarrowBackend(SoftwareBackend):
    """A backend with the gaps that a token and a cloud service have, all of them at once."""

    lacking: ClassVar[set[str]] = {"SM4", "EC_P384", "ED25519", "HMAC_512"}
    refused: ClassVar[set[str]] = {"rotate", "reencrypt"}

    def supports(self, spec: KeySpec, operation: Operation, /) -> Support:
        if spec in self.lacking or operation in self.refused or (operation == "import" and SPECS[spec].asymmetric):
            return Support(False, "not in this backend; the software backend has it")
        support = super().supports(spec, operation)
        if support.max_bytes is None:
            return support
        # Of OAEP it has SHA-1 only, which leaves room for 24 bytes more.
        return replace(support, max_bytes=support.max_bytes + 24 if SPECS[spec].asymmetric else LIMIT)

    def create(self, new: NewKey, /) -> KeyInfo:
        self._check_alias(new.alias or "none")
        return super().create(new)

    def add_alias(self, key_id: str, alias: str, /) -> KeyInfo:
        self._check_alias(alias)
        return super().add_alias(key_id, alias)

    def rotate(self, key_id: str, /) -> KeyInfo:
        raise UnsupportedError("this backend does not rotate", hint="the software backend does")

    def reencrypt(self, *arguments: object) -> bytes:
        raise UnsupportedError("this backend does not re-encrypt", hint="the software backend does")

    def encrypt(self, key_id: str, plaintext: Buffer, context: Any, algorithm: Algorithm | None, /) -> bytes:
        algorithm = self._checked(key_id, context, algorithm)
        if algorithm.padding is None and len(plaintext) > LIMIT:
            raise LimitExceededError("plaintext: too large", hint="use envelope encryption")
        return super().encrypt(key_id, plaintext, context, algorithm)

    def decrypt(self, key_id: str, ciphertext: Buffer, context: Any, algorithm: Algorithm | None, /) -> bytes:
        algorithm = self._checked(key_id, context, algorithm)
        return super().decrypt(key_id, ciphertext, context, algorithm)

    def _checked(self, key_id: str, context: Any, algorithm: Algorithm | None) -> Algorithm:
        algorithm = algorithm or choose(SPECS[self.describe(key_id).spec], KeyUsage.ENCRYPT_DECRYPT, None)
        if algorithm.digest == "SHA256":
            raise UnsupportedError("this backend has no OAEP with SHA-256", hint="name RSAES_OAEP_SHA_1")
        if isinstance(context, Mapping) and re.search("[=&]", "".join(map(str, [*context, *context.values()]))):
            raise UnsupportedError("context: this service cannot tell = and & apart", hint="leave them out")
        return algorithm

    @staticmethod
    def _check_alias(alias: str) -> None:
        if not re.fullmatch("[A-Za-z0-9_/-]+", alias):
            raise ValueError("alias: letters, digits, _, - and / expected")


class TestNarrowBackend(BackendConformance):
    reopenable = False

    @pytest.fixture(scope="class")
    @classmethod
    def kms(cls) -> Iterator[Kms]:
        uri = "software:?memory=1"
        with Kms(uri, NarrowBackend.open(parse(uri))) as kms:
            yield kms


SUBCLASSES = """
import pytest, kmskit
from kmskit.testing import BackendConformance
from kmskit.testing.conformance.base import KeyPool

class TestForgetful(BackendConformance):
    pass

class TestWrong(BackendConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def kms(cls):
        with kmskit.connect("software:?memory=1") as kms:
            kms.supports = lambda spec, operation: kmskit.Support(False, "it only says so")
            yield kms
"""


def test_a_subclass_without_a_kms_is_told_so_and_a_wrong_declaration_is_found(tmp_path: Path) -> None:
    (tmp_path / "test_backend.py").write_text(SUBCLASSES)
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-k",
            "not_declared_raises and AES_256",
            "test_backend.py",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "override the fixture `kms`" in run.stdout
    assert "DID NOT RAISE UnsupportedError" in run.stdout
    assert re.search("1 failed, .*1 error", run.stdout)
