"""Where things lie: modules, where distributions put them; SoftHSM's tokens; the PIN of a token. Nothing is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from urllib.parse import quote

__all__ = ["NEED_MORE", "find_modules", "pin_file", "searched", "softhsm_configuration", "token_folder"]

_MODULES = {
    "libsofthsm2.so": "SoftHSM",
    "opensc-pkcs11.so": "OpenSC",
    "libopencryptoki.so": "opencryptoki",
    "libtpm2_pkcs11.so": "tpm2-pkcs11",
    "libykcs11.so": "YubiKey",
    "libsoftokn3.so": "NSS",
    "p11-kit-proxy.so": "p11-kit",
}
NEED_MORE = ("NSS", "p11-kit")
"""Modules that hold no token before they are given parameters or other modules: not taken by themselves."""

_LIBRARY_FOLDERS = ("usr/lib", "usr/lib/*-linux-*", "usr/lib64", "usr/local/lib", "opt/homebrew/lib")
_MODULE_FOLDERS = ("", "softhsm", "pkcs11", "opencryptoki", "nss")


def find_modules(root: str = "/") -> Iterator[tuple[str, str]]:
    """Product and path of each module, each file once.

    Args:
        root: the folder to take for `/`.
    """
    seen = set()
    for library_folder in _LIBRARY_FOLDERS:
        for folder in _MODULE_FOLDERS:
            for name, product in _MODULES.items():
                for path in sorted(glob(os.path.join(root, library_folder, folder, name))):
                    if os.path.isfile(path) and (real := os.path.realpath(path)) not in seen:
                        seen.add(real)
                        yield product, path


def searched() -> str:
    """Which files are looked for, and where, for an error that says so."""
    folders = ", ".join(f"/{folder}" for folder in _LIBRARY_FOLDERS)
    return f"{', '.join(_MODULES)} in {folders} and in their folders {', '.join(filter(None, _MODULE_FOLDERS))}"


def softhsm_configuration() -> str:
    """The file that SoftHSM reads unless a URI names another."""
    own, shared = os.path.expanduser("~/.config/softhsm2/softhsm2.conf"), "/etc/softhsm/softhsm2.conf"
    return os.environ.get("SOFTHSM2_CONF") or (own if os.path.exists(own) else shared)


def token_folder(configuration: str | os.PathLike[str]) -> str | None:
    """The folder with the tokens that a configuration names, read as SoftHSM reads it; None if it names none.

    Raises:
        OSError: the file cannot be read.
    """
    folder = None
    for line in Path(configuration).read_text(errors="surrogateescape").splitlines():
        name, *values = line.partition("#")[0].split("=")
        if name.strip() == "directories.tokendir" and values:
            folder = values[0].strip()
    return folder


def pin_file(folder: Path, label: str) -> Path:
    """The file with the PIN of a token that kmskit made in a folder."""
    return folder / f"{quote(label, safe='')}.pin"
