"""What is installed, what was found, and whether a URI can be used: `examine()` looks, and changes nothing.

    from kmskit import doctor
    doctor.examine()                       # a table in Jupyter; `kmskit doctor` on the command line
    doctor.examine("software:///abs/keys.db").usable

A check is a function that yields findings. A new backend adds one to `CHECKS`.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from glob import glob
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shlex import quote
from typing import Literal, TypeAlias

from kmskit import __version__, markup
from kmskit.errors import KmsError
from kmskit.kms import Kms, connect
from kmskit.uri import Uri, parse

__all__ = [
    "CHECKS",
    "EXTRAS",
    "LEAST_CRYPTOGRAPHY",
    "Check",
    "Finding",
    "Findings",
    "State",
    "Subject",
    "examine",
    "find_modules",
]

State: TypeAlias = Literal["ok", "missing", "problem"]

EXTRAS = {
    "alibaba": ("alibabacloud-kms20160120", "alibabacloud-credentials"),
    "pkcs11": ("python-pkcs11",),
    "emulator": ("starlette", "uvicorn", "httptools"),
    "notebook": ("jupyterlab", "ipywidgets", "ipykernel", "pandas", "matplotlib", "tqdm"),
    "cli": ("click", "rich", "tqdm"),
    "bench": ("pandas", "matplotlib", "tqdm"),
}
"""Extra -> its packages. A copy of pyproject.toml's list, because a checkout that is not installed has no metadata; a
test compares the two."""

_URI = "URI"
_STORE = "key store"
LEAST_CRYPTOGRAPHY = 47
_LEAST_FREE = 100 << 20
_KINDS = {"ok": "good", "missing": "wait", "problem": "bad"}

_MODULES = {
    "libsofthsm2.so": "SoftHSM",
    "opensc-pkcs11.so": "OpenSC",
    "libopencryptoki.so": "opencryptoki",
    "libtpm2_pkcs11.so": "tpm2-pkcs11",
    "libykcs11.so": "YubiKey",
    "libsoftokn3.so": "NSS",
    "p11-kit-proxy.so": "p11-kit",
}
_LIBRARY_FOLDERS = ("usr/lib", "usr/lib/*-linux-*", "usr/lib64", "usr/local/lib", "opt/homebrew/lib")
_MODULE_FOLDERS = ("", "softhsm", "pkcs11", "opencryptoki", "nss")

_OURS = ("KMSKIT_URI", "KMSKIT_PASSPHRASE", "KMSKIT_PKCS11_PIN", "KMSKIT_CLOUD")
_ACCESS_KEY = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
_OTHER_ALIBABA = (
    "ALIBABA_CLOUD_SECURITY_TOKEN",
    "ALIBABA_CLOUD_ROLE_ARN",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
    "ALIBABA_CLOUD_CREDENTIALS_URI",
    "ALIBABA_CLOUD_CREDENTIALS_FILE",
    "ALIBABA_CLOUD_ECS_METADATA",
    "ALIBABA_CLOUD_PROFILE",
)
_CREDENTIAL_FILES = (".alibabacloud/credentials.ini", ".aliyun/config.json")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        topic: what it belongs to, such as `key store`.
        state: `ok`; `missing`: not there, and needed only by what the cure names; `problem`: there, and does not work.
        text: what was found. Names and paths may be other people's: escape it before it is displayed.
        cure: what to do, in one line; empty if the state is `ok`.
    """

    topic: str
    state: State
    text: str
    cure: str = ""


class Findings(tuple[Finding, ...]):
    """All findings, in the order of the checks. A table in Jupyter."""

    __slots__ = ()

    @property
    def usable(self) -> bool:
        """Whether the URI can be used."""
        return not any(finding.topic.startswith(_URI) and finding.state == "problem" for finding in self)

    def __repr__(self) -> str:
        rows = [(found.topic, found.state, markup.volatile_text(found.text), found.cure) for found in self]
        return markup.columns(("topic", "state", "found", "cure"), rows)

    def _repr_html_(self) -> str:
        rows = [
            (found.topic, markup.badge(found.state, _KINDS[found.state]), markup.volatile_html(found.text), found.cure)
            for found in self
        ]
        return markup.table(("topic", "state", "found", "cure"), rows)


@dataclass(frozen=True, slots=True)
class Subject:
    """What the checks look at: a URI, and how to open it."""

    uri: str
    connect: Callable[[str], Kms]

    def files(self) -> tuple[Path, Path] | None:
        """The store and the key file of a `software:` URI; None if it has none or is no URI."""
        from kmskit.backends.software import store_files

        try:
            uri = parse(self.uri)
            return store_files(uri) if uri.scheme == "software" and "memory" not in uri.query else None
        except KmsError:
            return None


Check: TypeAlias = Callable[[Subject], Iterable[Finding]]


def examine(uri: str | None = None, *, connect: Callable[[str], Kms] = connect) -> Findings:
    """Look at this machine, and whether `uri` can be used here. Nothing is made or loaded to find out.

    Only an `alibaba:` URI has something sent: the service is asked who calls, and whether a key would encrypt. A key
    store that is there is opened and closed again; one that is not is not made. PKCS#11 modules are looked for and not
    loaded. Environment variables are told by name, never by value.

    Args:
        uri: as for `kmskit.connect`; if left out, KMSKIT_URI, else `software:`.
        connect: what opens the URI; one of your own may know a passphrase.
    """
    subject = Subject(uri if uri is not None else os.environ.get("KMSKIT_URI") or "software:", connect)
    return Findings(finding for check in CHECKS for finding in check(subject))


# What is installed


def _python(subject: Subject) -> Iterator[Finding]:
    yield Finding("Python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield Finding("kmskit", "ok", f"{__version__} in {Path(__file__).parent}")


def _cryptography(subject: Subject) -> Iterator[Finding]:
    from cryptography.hazmat.backends.openssl import backend

    number = version("cryptography")
    text = f"{number} with {backend.openssl_version_text()}"
    if int(number.partition(".")[0]) >= LEAST_CRYPTOGRAPHY:
        yield Finding("cryptography", "ok", text)
    else:
        yield Finding("cryptography", "problem", text, f'pip install "cryptography>={LEAST_CRYPTOGRAPHY}"')


def _extras(subject: Subject) -> Iterator[Finding]:
    for extra, packages in EXTRAS.items():
        versions = {package: _version(package) for package in packages}
        lacking = [package for package, number in versions.items() if number is None]
        topic, text = f"extra {extra}", ", ".join(f"{name} {number}" for name, number in versions.items() if number)
        if not lacking:
            yield Finding(topic, "ok", text)
        else:
            text = f"not installed: {', '.join(lacking)}" + (f"; there: {text}" if text else "")
            yield Finding(topic, "missing", text, f'pip install "kmskit[{extra}]"')


def _jupyter(subject: Subject) -> Iterator[Finding]:
    lab, kernel = _version("jupyterlab"), _version("ipykernel")
    where = ", and this is one of its kernels" if "ipykernel" in sys.modules else ""
    if lab and kernel:
        yield Finding("Jupyter", "ok", f"JupyterLab {lab} with ipykernel {kernel}{where}")
    elif kernel:
        yield Finding("Jupyter", "ok", f"ipykernel {kernel} for the JupyterLab of another environment{where}")
    else:
        yield Finding("Jupyter", "missing", "no JupyterLab here", 'pip install "kmskit[notebook]", for the course')


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


# PKCS#11


def find_modules(root: str = "/") -> Iterator[tuple[str, str]]:
    """PKCS#11 modules in the places where distributions put them: product and path, each file once.

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


def _modules(subject: Subject) -> Iterator[Finding]:
    topic, found = "PKCS#11 module", False
    for product, path in find_modules():
        found = True
        yield Finding(topic, "ok", f"{product}: {path}")
    if not found:
        yield Finding(topic, "missing", "none where distributions put them", "apt-get install softhsm2")


def _softhsm(subject: Subject) -> Iterator[Finding]:
    tool = shutil.which("softhsm2-util")
    if tool is None:
        yield Finding("SoftHSM", "missing", "softhsm2-util is not on the PATH", "apt-get install softhsm2")
        return
    yield Finding("SoftHSM", "ok", tool)
    named = os.environ.get("SOFTHSM2_CONF")
    own, shared = os.path.expanduser("~/.config/softhsm2/softhsm2.conf"), "/etc/softhsm/softhsm2.conf"
    configuration = named or (own if os.path.exists(own) else shared)
    cure = "set SOFTHSM2_CONF to a file with the line: directories.tokendir = FOLDER, a folder of your own"
    try:
        lines = Path(configuration).read_text(errors="surrogateescape").splitlines()
    except OSError as error:
        yield Finding("SoftHSM", "problem", f"its configuration {configuration}: {error.strerror}", cure)
        return
    for line in lines:
        name, _, folder = line.partition("=")
        if name.strip() == "directories.tokendir" and not os.access(folder.strip(), os.R_OK | os.W_OK | os.X_OK):
            text = f"{configuration} names a token folder that this user cannot use: {folder.strip()}"
            yield Finding("SoftHSM", "problem", text, cure)
            return
    yield Finding("SoftHSM", "ok", f"its configuration: {configuration}")


# Credentials: names, never values.


def _environment(subject: Subject) -> Iterator[Finding]:
    ours = _set(_OURS)
    yield Finding("environment", "ok", f"set: {', '.join(ours)}" if ours else "no variable of kmskit is set")


def _alibaba_credentials(subject: Subject) -> Iterator[Finding]:
    topic, pair, others = "Alibaba Cloud", _set(_ACCESS_KEY), _set(_OTHER_ALIBABA)
    files = [path for name in _CREDENTIAL_FILES if os.path.isfile(path := os.path.expanduser(f"~/{name}"))]
    if len(pair) == 1:
        other = next(name for name in _ACCESS_KEY if name not in pair)
        yield Finding(topic, "problem", f"only one half of the access key is set: {pair[0]}", f"set {other} too")
    elif pair or others:
        yield Finding(topic, "ok", f"set: {', '.join(pair + others)}")
    elif not files:
        cure = f"set {' and '.join(_ACCESS_KEY)}, for alibaba: URIs"
        yield Finding(topic, "missing", "no credentials in the environment or in the usual files", cure)
    for path in files:
        yield from _private(topic, "credentials in ", path)


def _set(names: Iterable[str]) -> list[str]:
    return [name for name in names if os.environ.get(name)]


# The URI and its key store


def _key_store(subject: Subject) -> Iterator[Finding]:
    files = subject.files()
    if files is None:
        return
    store, key_file = files
    if _is_made(store):
        yield from _private(_STORE, "", store)
        yield from _guarded(store.parent)
    else:
        yield Finding(_STORE, "missing", f"{store} is not made yet", "the first use makes it: kmskit keys create ALIAS")
    if os.path.exists(key_file):
        yield from _private(_STORE, "key file ", key_file)


def _opens(subject: Subject) -> Iterator[Finding]:
    """Whether the URI can be used. Its query may tell paths, so it is not repeated."""
    shown = "the URI"
    try:
        uri = parse(subject.uri)
        shown, files = uri.redacted(), subject.files()
        if uri.scheme == "alibaba":
            yield from _cloud(uri)
            return
        if files is None or _is_made(files[0]):
            subject.connect(subject.uri).close()
            yield Finding(_URI, "ok", f"{shown} opens")
            return
    except (KmsError, ValueError) as error:
        yield Finding(_URI, "problem", f"{shown}: {error}", getattr(error, "hint", None) or "correct it")
        return
    for folder in dict.fromkeys(path.parent for path in files):
        there = _existing(folder)
        if folder != there and parse(subject.uri).path:  # Only the user's data folder is made.
            yield Finding(_URI, "problem", f"{shown}: the folder {folder} is not there", "make the folder first")
            return
        if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
            yield Finding(_URI, "problem", f"{shown}: {there} cannot be written to", "choose another folder")
            return
    yield Finding(_URI, "ok", f"{shown} can be used, and its key store will be made")


def _cloud(uri: Uri) -> Iterator[Finding]:
    """What stands between this machine and the service, up to the first fault."""
    try:
        from kmskit.backends.alibaba.diagnosis import diagnose  # On first use: it needs an extra.
    except ModuleNotFoundError as error:
        yield Finding(_URI, "problem", f"{error.name} is not installed", 'pip install "kmskit[alibaba]"')
        return
    for step in diagnose(uri):
        yield Finding(f"{_URI} {step.name}".strip(), step.state, step.text, step.cure)


def _disk(subject: Subject) -> Iterator[Finding]:
    from kmskit.backends.software import store_files

    store, _ = subject.files() or store_files(parse("software:"))
    folder = _existing(store.parent)
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):,.1f} GiB free at {folder}"
    if free >= _LEAST_FREE:
        yield Finding("disk", "ok", text)
    else:
        yield Finding("disk", "problem", text, "make room: a key store that cannot grow refuses every change")


def _is_made(store: Path) -> bool:
    """Whether a key store, or anything else, is in the file. `connect` would make a store of an empty one."""
    if not os.path.lexists(store):
        return False
    try:
        with closing(sqlite3.connect(f"{store.as_uri()}?mode=rw", uri=True)) as connection:
            return bool(connection.execute("PRAGMA schema_version").fetchone() != (0,))
    except sqlite3.Error:
        return True  # `connect` says what is wrong with it.


def _private(topic: str, what: str, path: str | Path) -> Iterator[Finding]:
    """Whether only its owner can use a file."""
    mode = _mode(path)
    if mode is None:
        yield Finding(topic, "problem", f"{what}{path} cannot be looked at", "look what it is, and whose")
    elif os.name == "posix" and mode & 0o077:
        yield Finding(
            topic, "problem", f"{what}{path}: others may use it (mode {mode:04o})", f"chmod 600 {quote(str(path))}"
        )
    else:
        yield Finding(topic, "ok", f"{what}{path} (mode {mode:04o})")


def _guarded(folder: Path) -> Iterator[Finding]:
    """Whoever can write to the folder can put another store in the place of this one."""
    mode = _mode(folder)
    if os.name == "posix" and mode is not None and mode & 0o022 and not mode & stat.S_ISVTX:
        text = f"others can write to the folder {folder} (mode {mode:04o}), and so replace the store"
        yield Finding(_STORE, "problem", text, f"chmod go-w {quote(str(folder))}")


def _mode(path: str | Path) -> int | None:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return None


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if os.path.exists(path))


CHECKS: tuple[Check, ...] = (
    _python,
    _cryptography,
    _extras,
    _jupyter,
    _modules,
    _softhsm,
    _environment,
    _alibaba_credentials,
    _key_store,
    _opens,
    _disk,
)
"""In the order in which their findings are shown."""
