"""Looking into modules, by the part of the backend that needs no PIN."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kmskit import softhsm
from kmskit.backends.pkcs11.extra import needed
from kmskit.backends.pkcs11.location import Location
from kmskit.backends.pkcs11.places import NEED_MORE, find_modules, pin_file
from kmskit.errors import ConfigurationError, KmsError
from kmskit.tokens.info import (
    USES,
    MechanismInfo,
    Mechanisms,
    ModuleInfo,
    Modules,
    SlotInfo,
    Slots,
    TokenInfo,
    Tokens,
)
from kmskit.uri import Uri, parse

if TYPE_CHECKING:
    from kmskit.backends.pkcs11.module import Module

__all__ = ["mechanisms", "modules", "places", "slots", "tokens"]

_Where = str | os.PathLike[str]
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:")
_NAMED = {"token": "label", "serial": "serial", "manufacturer": "manufacturer", "model": "model"}
_VENDOR_DEFINED = 0x80000000


def places() -> tuple[str, ...]:
    """Where tokens may be on this machine: the user's own folder, and the modules that need nothing but to be loaded.

    Each is a `where` for `tokens` and `slots`.
    """
    own = []
    with suppress(ConfigurationError):
        own.append(softhsm.tokens_uri(softhsm.default_folder()))
    return (*own, *(path for product, path in find_modules() if product not in NEED_MORE))


def modules(*, load: bool = False) -> Modules:
    """The PKCS#11 modules in the places where distributions put them.

    Args:
        load: whether to load and initialise each, to see that it works.

    Raises:
        MissingDependencyError: they are to be loaded, and python-pkcs11 is not installed.
    """
    return Modules(_tried(product, path) if load else ModuleInfo(product, path) for product, path in find_modules())


def _tried(product: str, path: str) -> ModuleInfo:
    backend = _backend()
    try:
        with backend.opened(backend.of_path(path)) as module:
            return ModuleInfo(product, path, True, backend.version(module))
    except KmsError as error:
        more = "; it wants parameters or other modules" if product in NEED_MORE else ""
        return ModuleInfo(product, path, False, problem=f"{error}{more}")


def tokens(where: _Where) -> Tokens:
    """The tokens of a module.

    Args:
        where: a `pkcs11:` URI, or the path of a module. Of the URI's attributes `token`, `serial`, `manufacturer` and
            `model` those that are there choose among the tokens.

    Raises:
        ConfigurationError: there is no such module, or it does not work.
        MissingDependencyError: python-pkcs11 is not installed.
    """
    with _opened(where) as (module, location, uri):
        found = [_told(token, module, location, uri) for token in module.tokens()]
    fitting = (row for row in found if all(getattr(row, _NAMED[name]) == value for name, value in location.wanted))
    return Tokens(sorted(fitting, key=lambda row: (row.label, row.serial)))


def slots(where: _Where) -> Slots:
    """All slots of a module, with what is in them. Arguments and errors are those of `tokens`."""
    with _opened(where) as (module, location, uri):
        return Slots([_slot(slot, module, location, uri) for slot in module.slots()])


def mechanisms(where: _Where, token: str | None = None) -> Mechanisms:
    """What one token can do, as its own list of mechanisms says.

    Args:
        where: a `pkcs11:` URI, or the path of a module.
        token: the token's label, if `where` does not name a token. If neither does, the module has one token, or none
            yet: the mechanisms are then those of a free slot.

    Raises:
        ConfigurationError: there is no such module or token, or several fit.
        MissingDependencyError: python-pkcs11 is not installed.
    """
    backend = _backend()
    with _opened(where) as (module, location, _):
        wanted = location.wanted if token is None else (*location.wanted, ("token", token))
        free = next((slot for slot in module.slots() if backend.present(slot)), None)
        slot = module.find(wanted).slot if wanted or module.tokens() or free is None else free
        rows = [_mechanism(*facts) for facts in backend.mechanisms(module, slot)]
    return Mechanisms(sorted(rows, key=lambda row: (row.number >= _VENDOR_DEFINED, row.name)))


def _backend() -> Any:
    """The part of the backend that looks at tokens from outside."""
    with needed():
        from kmskit.backends.pkcs11 import tokens as backend
    return backend


@contextmanager
def _opened(where: _Where) -> Iterator[tuple[Module, Location, Uri]]:
    """A module for the time of the block: where it is, and as a URI."""
    backend = _backend()
    if isinstance(where, str) and _SCHEME.match(where):
        uri = parse(where)
        if uri.scheme != "pkcs11":
            raise ConfigurationError(f"{uri.scheme}: URIs name no token", hint="write pkcs11:token=LABEL, or a path")
        location = Location.parse(uri)
    else:
        location, uri = backend.of_path(where), Uri("pkcs11")
    with backend.opened(location) as module:
        yield module, location, uri


def _told(token: Any, module: Module, location: Location, uri: Uri) -> TokenInfo:
    from pkcs11.constants import TokenFlag

    def has(flag: TokenFlag) -> bool:
        return flag in token.flags

    serial = token.serial.decode(errors="replace")
    return TokenInfo(
        label=token.label,
        serial=serial,
        manufacturer=token.manufacturer_id,
        model=token.model,
        module=location.module,
        uri=_uri(token.label, serial, module, location, uri),
        login_required=has(TokenFlag.LOGIN_REQUIRED),
        pin_initialised=has(TokenFlag.USER_PIN_INITIALIZED),
        pin_count_low=has(TokenFlag.USER_PIN_COUNT_LOW),
        pin_final_try=has(TokenFlag.USER_PIN_FINAL_TRY),
        pin_locked=has(TokenFlag.USER_PIN_LOCKED),
        write_protected=has(TokenFlag.WRITE_PROTECTED),
        pin_pad=has(TokenFlag.PROTECTED_AUTHENTICATION_PATH),
    )


def _uri(label: str, serial: str, module: Module, location: Location, uri: Uri) -> str:
    """The URI of one token. It names the serial number too where the label alone would fit several."""
    attributes = {"token": label} if label else {"serial": serial}
    if [token.label for token in module.tokens()].count(label) > 1:
        attributes["serial"] = serial
    query = {"module-path": location.module, **uri.query}
    if location.configuration is not None and "pin-source" not in query:
        pin_path = pin_file(Path(location.configuration).parent, label)
        if pin_path.exists():
            query["pin-source"] = f"file:{quote(os.fsencode(pin_path))}"
    return str(Uri("pkcs11", attributes=attributes, query=query))


def _slot(slot: Any, module: Module, location: Location, uri: Uri) -> SlotInfo:
    from pkcs11.constants import TokenFlag

    token = _backend().present(slot)
    made = token is not None and TokenFlag.TOKEN_INITIALIZED in token.flags
    told = _told(token, module, location, uri) if made else None
    return SlotInfo(slot.slot_id, slot.slot_description, location.module, told, token is not None and not made)


def _mechanism(number: int, least: int, most: int, flags: int) -> MechanismInfo:
    from pkcs11.constants import MechanismFlag
    from pkcs11.mechanisms import Mechanism

    try:
        name = Mechanism(number).name.lstrip("_")  # python-pkcs11 marks those that are out of use.
    except ValueError:
        name = f"0x{number:08x}"
    both = MechanismFlag.GENERATE | MechanismFlag.GENERATE_KEY_PAIR
    wanted = {use: both if use == "generate" else MechanismFlag[use.upper()] for use in USES}
    uses = tuple(use for use, flag in wanted.items() if flags & flag)
    return MechanismInfo(name, number, least, most, uses, bool(flags & MechanismFlag.HW))
