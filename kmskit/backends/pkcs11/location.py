"""Where a token is: a `pkcs11:` URI (RFC 7512) taken apart and checked.

    pkcs11:token=kmskit?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/path

A key's URI has the key's CKA_ID as `id=` besides, or a label as `object=`.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from kmskit.backends.pkcs11.places import NEED_MORE, find_modules, searched
from kmskit.errors import ConfigurationError
from kmskit.uri import Uri

__all__ = ["Location", "of_key"]

_OF_TOKEN = ("token", "serial", "manufacturer", "model")
_OF_KEY = ("id", "object", "type")
_QUERY = ("module-path", "pin-source", "x-softhsm2-conf", "x-init-reserved")
_LONGEST_PIN = 4096


@dataclass(frozen=True, slots=True)
class Location:
    """One token of one module.

    Attributes:
        module: the path of the module's library, links resolved.
        configuration: SOFTHSM2_CONF while the module is initialised; None for the environment's own.
        reserved: what only this module understands when it is initialised, such as NSS's parameters.
        wanted: attribute -> what the token must have: `token` (its label), `serial`, `manufacturer`, `model`.
        pin_source: the file that holds the PIN.
    """

    module: str
    configuration: str | None
    reserved: str | None
    wanted: tuple[tuple[str, str], ...]
    pin_source: Path | None

    @classmethod
    def parse(cls, uri: Uri) -> Location:
        """ConfigurationError if the URI names no module and token, or what must not stand in one."""
        if "pin-value" in uri.query:
            raise ConfigurationError(
                "a PIN does not belong in a URI, which is stored and logged",
                hint="write pin-source=file:/path, set KMSKIT_PKCS11_PIN or call connect(uri, pin=...)",
            )
        if "slot-id" in uri.attributes:
            raise ConfigurationError(
                "slot-id= names no token: slots are numbered anew when a token is made",
                hint="write token=LABEL or serial=NUMBER; kmskit token list shows them",
            )
        uri.only(_QUERY, _OF_TOKEN)
        configuration = uri.query.get("x-softhsm2-conf")
        if configuration is not None and not os.path.isfile(configuration):
            raise ConfigurationError(
                "x-softhsm2-conf= names no file", hint="kmskit token init makes a token and its configuration"
            )
        return cls(
            _module(uri.query.get("module-path")),
            configuration,
            uri.query.get("x-init-reserved"),
            tuple(uri.attributes.items()),
            _pin_file(uri.query.get("pin-source")),
        )

    def names_a_token(self) -> bool:
        """Whether a PIN from the environment may be sent: only to a token that the URI names."""
        return bool({"token", "serial"} & dict(self.wanted).keys())

    def pin_from_file(self) -> str | None:
        """The PIN in the file that `pin-source=` names; None if the URI names none.

        Raises:
            ConfigurationError: it cannot be read, others can read it, or it holds no PIN.
        """
        if self.pin_source is None:
            return None
        try:
            with self.pin_source.open("rb") as file:
                if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                    raise ConfigurationError(
                        "others can read the file that pin-source= names", hint="chmod 600 the file"
                    )
                line = file.readline(_LONGEST_PIN + 1).rstrip(b"\r\n")
        except OSError as error:
            raise ConfigurationError(
                f"the file that pin-source= names cannot be read: {error.strerror}",
                hint="its first line is the PIN; connect(uri, pin=...) needs no file",
            ) from None
        try:
            pin = line.decode()
        except UnicodeDecodeError:
            pin = ""
        if not pin or len(line) > _LONGEST_PIN:
            raise ConfigurationError(
                "the first line of the file that pin-source= names is no PIN",
                hint=f"it is UTF-8 text, {_LONGEST_PIN:,} bytes at most",
            )
        return pin


def of_key(uri: Uri) -> tuple[Uri, str]:
    """A key's URI as its token's URI and the key's id or label; ConfigurationError if it names no key."""
    identity, label = uri.attributes.get("id"), uri.attributes.get("object")
    rest = replace(uri, attributes={name: uri.attributes[name] for name in uri.attributes if name not in _OF_KEY})
    if identity is not None:
        from kmskit.backends.pkcs11.inventory import parse_id  # Not above: it needs python-pkcs11.

        found = parse_id(identity.encode(errors="surrogateescape"))
        if found is None:
            raise ConfigurationError(
                "id= is not the id of a key that kmskit made", hint="write object=LABEL, or take the URI from key.uri"
            )
        return rest, found[0]
    if label is None:
        raise ConfigurationError("this URI names a token, not a key", hint="a key's URI is in key.uri")
    return rest, label


def _module(path: str | None) -> str:
    if path is None:
        found = [path for product, path in find_modules() if product not in NEED_MORE]
        if len(found) == 1:
            return os.path.realpath(found[0])
        if found:
            raise ConfigurationError(
                f"several PKCS#11 modules are installed: {', '.join(found)}", hint="write ?module-path= and one of them"
            )
        raise ConfigurationError(
            f"no PKCS#11 module was found; looked for {searched()}",
            hint="apt-get install softhsm2, or write ?module-path= and the module's path",
        )
    if not os.path.isabs(path):
        raise ConfigurationError("module-path= names an absolute path", hint="kmskit token modules lists modules")
    if not os.path.isfile(path):
        there = ", ".join(found for _, found in find_modules())
        raise ConfigurationError(
            f"module-path= names no file; installed modules: {there or 'none'}; looked for {searched()}",
            hint="correct module-path=" if there else "apt-get install softhsm2, or correct module-path=",
        )
    return os.path.realpath(path)


def _pin_file(source: str | None) -> Path | None:
    if source is None:
        return None
    scheme, _, path = source.partition(":")
    if scheme != "file" or not path:
        raise ConfigurationError("pin-source= is a file: URI", hint="write pin-source=file:/path")
    if path.startswith("//"):  # file:///path, and file://localhost/path (RFC 8089).
        path = path.removeprefix("//").removeprefix("localhost")
    if not path.startswith("/"):
        raise ConfigurationError("pin-source=file: names an absolute path", hint="write pin-source=file:/path")
    return Path(unquote(path))
