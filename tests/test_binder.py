"""What `binder/` holds agrees with the project, and its scripts do what they say."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from kmskit.backends.pkcs11.places import find_modules
from tests.parts import missing

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lines(name: str) -> list[str]:
    found = (line.partition("#")[0].strip() for line in (BINDER / name).read_text().splitlines())
    return [line for line in found if line]


def run(*command: str, home: Path, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in the repository's folder, by someone with an empty home."""
    places = [str(path)] if path else []
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "SOFTHSM", "JUPYTER"))}
    places += [str(Path(sys.executable).parent), os.environ["PATH"]]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**clean, "HOME": str(home), "PATH": os.pathsep.join(places), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_setup_knows_every_debian_package() -> None:
    known = re.findall(r"echo ([\w-]+)$", (ROOT / "tools" / "setup.sh").read_text(), re.MULTILINE)
    assert lines("apt.txt")
    assert set(lines("apt.txt")) <= set(known)


def test_python_is_one_that_the_project_supports() -> None:
    (runtime,) = lines("runtime.txt")
    version = runtime.removeprefix("python-")
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_requirements_are_the_pinned_project_and_name_no_index() -> None:
    constraints, project, *others = lines("requirements.txt")
    assert (BINDER / constraints.removeprefix("-c ")).resolve() == ROOT / "constraints.txt"
    extras = re.fullmatch(r"-e \.\[([\w,-]+)\]", project)
    assert extras
    assert set(extras[1].split(",")) <= PROJECT["optional-dependencies"].keys()
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", other) for other in others)


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_scripts_can_be_executed_and_parsed(name: str, tmp_path: Path) -> None:
    script = BINDER / name
    assert script.read_text().startswith("#!/bin/bash\n")
    assert script.stat().st_mode & stat.S_IXUSR
    assert run("bash", "-n", str(script), home=tmp_path).returncode == 0


def test_the_image_trusts_the_notebooks_and_asks_nothing(tmp_path: Path) -> None:
    done = run("binder/postBuild", home=tmp_path, JUPYTER_DATA_DIR=str(tmp_path / "jupyter"))
    assert done.returncode == 0, done.stderr
    notary = NotebookNotary(data_dir=str(tmp_path / "jupyter"))
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert notary.check_signature(nbformat.read(path, as_version=4)), path.name
    notary.store.close()
    overrides = Path(sys.prefix, "share", "jupyter", "lab", "settings", "overrides.json").read_text()
    assert overrides.strip() in (ROOT / "tools" / "setup.sh").read_text()


def test_a_session_brings_a_token_that_opens_by_its_uri(tmp_path: Path) -> None:
    if "SoftHSM" not in dict(find_modules()):
        missing("SoftHSM")
    code = """
import os, sys, kmskit
from kmskit import softhsm
token = softhsm.token(softhsm.default_folder())
key = kmskit.connect(token.uri).create_key()
assert key.decrypt(key.encrypt(b"x")) == b"x"
print(token.serial, token.made, token.pin_path, sys.argv[1:])
"""
    show = ["sh", "-c", 'echo "$SOFTHSM2_CONF"']
    home = tmp_path / "a home"
    home.mkdir()
    first, second = (run("binder/start", "python", "-c", code, "two words", "", home=home) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    serial, made, rest = first.stdout.split(maxsplit=2)
    assert made == "False"  # The script has made it.
    pin = Path(rest.partition(" [")[0])
    assert rest.endswith("['two words', '']\n")
    assert pin.is_relative_to(home)
    assert stat.S_IMODE(pin.stat().st_mode) == 0o600
    configuration = run("binder/start", *show, home=home).stdout.strip()
    assert Path(configuration).is_relative_to(home)
    if shutil.which("softhsm2-util"):
        told = run("softhsm2-util", "--show-slots", home=home, SOFTHSM2_CONF=configuration).stdout
        assert serial in told
    pins = pin.read_text().strip()
    assert pins not in first.stdout + first.stderr


def test_without_a_token_the_session_starts_all_the_same(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho there is no SoftHSM >&2\nexit 1\n")
    python.chmod(0o755)
    done = run("binder/start", "sh", "-c", 'echo "on, $SOFTHSM2_CONF"; exit 3', home=tmp_path, path=tmp_path)
    assert (done.returncode, done.stdout) == (3, "on, \n")
    assert "no SoftHSM" in done.stderr
