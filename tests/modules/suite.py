"""The suite on a token of any PKCS#11 module, and what else is asked of each."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11.constants import Attribute

import kmskit
from kmskit import KeySpec, Kms
from kmskit.backends.pkcs11.cryptoki import FALSE, TRUE
from kmskit.backends.pkcs11.keys import TokenKeys
from kmskit.backends.pkcs11.location import Location
from kmskit.backends.pkcs11.session import Session
from kmskit.backends.pkcs11.sessions import Sessions
from kmskit.testing import BackendConformance
from kmskit.testing.conformance import KeyPool
from kmskit.uri import parse
from tests.clock import Clock

__all__ = ["ModuleConformance", "environment", "token_keys"]

# How `openssl dgst` verifies what keys of these specs sign.
OPENSSL = {
    KeySpec.RSA_2048: ("-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"),
    KeySpec.EC_P256: ("-sha256",),
    KeySpec.EC_P384: ("-sha384",),
}
SECRET = (Attribute.VALUE, Attribute.PRIVATE_EXPONENT)
GUARDS = {
    Attribute.SENSITIVE: TRUE,
    Attribute.ALWAYS_SENSITIVE: TRUE,
    Attribute.EXTRACTABLE: FALSE,
    Attribute.NEVER_EXTRACTABLE: TRUE,
    Attribute.PRIVATE: TRUE,
}


class ModuleConformance(BackendConformance):
    """BackendConformance on the token that the fixture `uri` names."""

    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, folder: Path) -> str | Iterator[str]:
        """A token that the tests may fill. Its PIN is in the environment, or in the file that the URI names."""
        raise NotImplementedError("override the fixture `uri`")

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        """A folder for this class. Notes about the token are kept in it, not among those of the user."""
        folder = tmp_path_factory.mktemp("module")
        with environment(XDG_DATA_HOME=str(folder / "data")):
            yield folder

    @pytest.fixture(scope="class")
    @classmethod
    def clock(cls) -> Clock:
        return Clock()

    @pytest.fixture(scope="class")
    @classmethod
    def advance(cls, clock: Clock) -> Callable[[float], None]:
        return clock.advance

    @pytest.fixture(scope="class")
    @classmethod
    def kms(cls, uri: str, clock: Clock) -> Iterator[Kms]:
        with kmskit.connect(uri, clock=clock) as kms:
            yield kms

    @pytest.mark.parametrize("spec", OPENSSL)
    def test_openssl_verifies_what_the_token_signed(self, keys: KeyPool, spec: KeySpec, tmp_path: Path) -> None:
        key = keys.signing(spec)
        public, signature, message = (tmp_path / name for name in ("public.pem", "signature", "message"))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        message.write_bytes(b"release v1.2.0")
        signature.write_bytes(bytes(key.sign(b"release v1.2.0")))
        command = ["openssl", "dgst", *OPENSSL[spec], "-verify", public, "-signature", signature, message]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "Verified OK\n"
        message.write_bytes(b"release v1.2.1")
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0

    @pytest.mark.parametrize("spec", list(KeySpec))
    def test_the_token_shows_no_secret_and_says_that_it_never_will(
        self, uri: str, keys: KeyPool, spec: KeySpec
    ) -> None:
        key_id = keys(spec).id

        def read(session: Session, handle: int) -> None:
            assert session.attributes(handle, SECRET) == [None, None]
            shown = dict(zip(GUARDS, session.attributes(handle, tuple(GUARDS)), strict=True))
            assert shown == GUARDS

        with token_keys(uri) as tokens_keys:
            (material,) = tokens_keys.scan()[key_id].materials
            tokens_keys.run(lambda session: read(session, material.handle))


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Variables that also the processes see which a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@contextmanager
def token_keys(uri: str) -> Iterator[TokenKeys]:
    """The keys of a token as the backend itself reads and destroys them."""
    sessions = Sessions.open(Location.parse(parse(uri)), None, may_ask=False)
    try:
        yield TokenKeys(sessions)
    finally:
        sessions.close()
