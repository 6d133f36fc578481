"""The suite on a token of the user's choice.

    KMSKIT_TEST_PKCS11_URI='pkcs11:token=NAME?module-path=FILE' make test-modules

The PIN is in KMSKIT_PKCS11_PIN, or in the file that the URI names by `pin-source=`. The tests make about 200 keys and
destroy them afterwards; keys that were there before are left alone. It wants a token for tests all the same: a fault in
kmskit or in the module is what it looks for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pkcs11.constants import Attribute, ObjectClass

from kmskit.backends.pkcs11.cryptoki import TRUE, ulong
from kmskit.backends.pkcs11.inventory import parse_id
from kmskit.backends.pkcs11.session import Session
from tests.modules.suite import ModuleConformance, environment, token_keys

pytestmark = pytest.mark.modules

# Read here, because the tests themselves run without the user's settings.
URI = os.environ.get("KMSKIT_TEST_PKCS11_URI")
PIN = os.environ.get("KMSKIT_PKCS11_PIN")


@pytest.mark.skipif(URI is None, reason="KMSKIT_TEST_PKCS11_URI names no token")
class TestNamedToken(ModuleConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, folder: Path) -> Iterator[str]:
        with environment(**({} if PIN is None else {"KMSKIT_PKCS11_PIN": PIN})):
            with token_keys(str(URI)) as keys:
                there = set(keys.run(key_objects).values())
            yield str(URI)
            # Opened anew, because tpm2-pkcs11 keeps a key that failed to decrypt as in use until the module is let go.
            with token_keys(str(URI)) as keys:
                keys.run(lambda session: destroy_all_but(session, there))


def key_objects(session: Session) -> dict[int, str]:
    """Handle -> key id, of every object that kmskit has made: also of those that make up no whole key."""
    found = {}
    for kind in (ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY):
        for handle in session.find({Attribute.TOKEN: TRUE, Attribute.CLASS: ulong(kind)}):
            (identity,) = session.attributes(handle, (Attribute.ID,))
            if parsed := parse_id(identity or b""):
                found[handle] = parsed[0]
    return found


def destroy_all_but(session: Session, key_ids: set[str]) -> None:
    for handle, key_id in key_objects(session).items():
        if key_id not in key_ids:
            session.destroy(handle)
