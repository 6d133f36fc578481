"""The suite on NSS softokn, the module behind Firefox: written apart from SoftHSM, and stricter in places."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import quote

import pytest

from kmskit.backends.pkcs11 import tokens
from kmskit.backends.pkcs11.location import Location
from kmskit.backends.pkcs11.places import find_modules
from kmskit.uri import Uri
from tests.modules.suite import ModuleConformance
from tests.parts import missing

pytestmark = pytest.mark.modules

TOKEN = "NSS Certificate DB"


class TestNss(ModuleConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, folder: Path) -> str:
        """The token of a new database. Its security officer has an empty PIN until someone sets the user's."""
        path = dict(find_modules()).get("NSS") or missing("libnss3", "test-modules")
        database, pin = folder / "nss", secrets.token_hex(16)
        database.mkdir()
        parameters = f"configdir='sql:{database}' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
        query = {"module-path": path, "x-init-reserved": parameters}
        with tokens.opened(Location.parse(Uri("pkcs11", query=query))) as module:
            # NSS takes a token without a user PIN for one that is not initialised, so `module.tokens()` lacks it.
            there = [slot.get_token() for slot in module.slots()]
            (token,) = (token for token in there if token.label == TOKEN)
            tokens.set_pin(module, token, "", pin)
        pin_path = folder / "pin"
        pin_path.touch(0o600)
        pin_path.write_text(pin)
        query["pin-source"] = f"file:{quote(str(pin_path))}"
        return str(Uri("pkcs11", attributes={"token": TOKEN}, query=query))
