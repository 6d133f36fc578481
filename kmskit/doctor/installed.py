"""What is installed: Python, packages, Jupyter, PKCS#11 modules, SoftHSM."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import kmskit
from kmskit.backends.pkcs11.places import find_modules, softhsm_configuration, token_folder
from kmskit.doctor.finding import Finding, Subject

__all__ = ["EXTRAS", "LEAST_CRYPTOGRAPHY", "cryptography", "extras", "jupyter", "modules", "python", "softhsm"]

EXTRAS = {
    "alibaba": ("alibabacloud-kms20160120", "alibabacloud-credentials"),
    "pkcs11": ("python-pkcs11",),
    "emulator": ("uvicorn", "httptools"),
    "notebook": ("jupyterlab", "ipywidgets", "anywidget", "ipykernel", "pandas", "matplotlib", "tqdm"),
    "cli": ("click", "rich", "tqdm"),
    "bench": ("pandas", "matplotlib", "tqdm"),
}
"""Extra -> its packages. A copy of pyproject.toml's list, because a checkout that is not installed has no metadata; a
test compares the two."""

LEAST_CRYPTOGRAPHY = 47


def python(subject: Subject) -> Iterator[Finding]:
    yield Finding("Python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield Finding("kmskit", "ok", f"{kmskit.__version__} in {Path(kmskit.__file__).parent}")


def cryptography(subject: Subject) -> Iterator[Finding]:
    from cryptography.hazmat.backends.openssl import backend

    number = version("cryptography")
    text = f"{number} with {backend.openssl_version_text()}"
    if int(number.partition(".")[0]) >= LEAST_CRYPTOGRAPHY:
        yield Finding("cryptography", "ok", text)
    else:
        yield Finding("cryptography", "problem", text, f'pip install "cryptography>={LEAST_CRYPTOGRAPHY}"')


def extras(subject: Subject) -> Iterator[Finding]:
    for extra, packages in EXTRAS.items():
        versions = {package: _version(package) for package in packages}
        lacking = [package for package, number in versions.items() if number is None]
        topic, text = f"extra {extra}", ", ".join(f"{name} {number}" for name, number in versions.items() if number)
        if not lacking:
            yield Finding(topic, "ok", text)
        else:
            text = f"not installed: {', '.join(lacking)}" + (f"; there: {text}" if text else "")
            yield Finding(topic, "missing", text, f'pip install "kmskit[{extra}]"')


def jupyter(subject: Subject) -> Iterator[Finding]:
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


def modules(subject: Subject) -> Iterator[Finding]:
    topic, found = "PKCS#11 module", False
    for product, path in find_modules():
        found = True
        yield Finding(topic, "ok", f"{product}: {path}")
    if not found:
        yield Finding(topic, "missing", "none where distributions put them", "apt-get install softhsm2")


def softhsm(subject: Subject) -> Iterator[Finding]:
    tool = shutil.which("softhsm2-util")
    if tool is None:
        yield Finding("SoftHSM", "missing", "softhsm2-util is not on the PATH", "apt-get install softhsm2")
        return
    yield Finding("SoftHSM", "ok", tool)
    configuration = softhsm_configuration()
    cure = (
        "kmskit token init makes a token in a folder of your own; or set SOFTHSM2_CONF to a file with the line: "
        "directories.tokendir = FOLDER"
    )
    try:
        folder = token_folder(configuration)
    except OSError as error:
        yield Finding("SoftHSM", "problem", f"its configuration {configuration}: {error.strerror}", cure)
        return
    if folder is not None and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        text = f"{configuration} names a token folder that this user cannot use: {folder}"
        yield Finding("SoftHSM", "problem", text, cure)
        return
    yield Finding("SoftHSM", "ok", f"its configuration: {configuration}")
