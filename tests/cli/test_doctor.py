"""`kmskit doctor`: the findings as lines and as JSON, and the exit status."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import kmskit
from kmskit.doctor import EXTRAS
from kmskit.testing.leaks import assert_clean

from .conftest import Run, Shell, Terminal

SECRET = "s3cret-value-0123456789"


def test_a_fresh_machine_is_told_about_and_stays_fresh(shell: Shell, home: Path) -> None:
    told = shell("$kmskit doctor", KMSKIT_URI="").stdout.decode()
    for topic in ("Python", "kmskit", "cryptography", "Jupyter", "PKCS#11 module", "SoftHSM", "environment", "disk"):
        assert f"  {topic} " in told
    for extra in EXTRAS:
        assert f"extra {extra} " in told
    assert f"missing  key store       {home}/.local/share/kmskit/keys.db is not made yet\n" in told
    assert "\n                         -> the first use makes it: kmskit keys create ALIAS\n" in told
    assert "ok       URI             software: can be used, and its key store will be made\n" in told
    assert not os.listdir(home)


def test_the_status_is_1_if_the_uri_cannot_be_used(run: Run, uri: str, kms: kmskit.Kms) -> None:
    assert f"{uri} opens" in run("doctor").stdout
    for arguments in (["doctor", "foo:"], ["doctor", "--uri", "foo:"], ["--uri", "foo:", "doctor"], ["doctor", ""]):
        assert "problem  URI " in run(*arguments, status=1).stdout
    assert f"{uri} opens" in run("--uri", "foo:", "doctor", uri).stdout
    assert "problem  URI " in run("doctor", KMSKIT_URI="foo:", status=1).stdout


def test_json_has_every_finding(run: Run) -> None:
    findings = json.loads(run("doctor", "--json", "foo:", status=1).stdout)
    assert all(set(finding) == {"topic", "state", "text", "cure"} for finding in findings)
    assert {finding["state"] for finding in findings} <= {"ok", "missing", "problem"}
    (problem,) = (finding for finding in findings if finding["topic"] == "URI")
    assert problem["state"] == "problem"
    assert "known schemes: " in problem["cure"]


def test_no_value_of_a_variable_is_told(run: Run) -> None:
    secrets = {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET, "KMSKIT_PKCS11_PIN": SECRET}
    for arguments in (["doctor"], ["doctor", "--json"]):
        told = run(*arguments, **secrets).output
        assert all(name in told for name in secrets)
        assert_clean(told, SECRET.encode())


@pytest.fixture
def locked(uri: str) -> None:
    kmskit.connect(uri, passphrase=SECRET).close()


@pytest.mark.usefixtures("locked")
def test_a_store_with_a_passphrase_opens_with_it(run: Run, tmp_path: Path) -> None:
    assert "this store is protected by a passphrase" in run("doctor", status=1).stdout
    path = tmp_path / "passphrase"
    path.write_text(SECRET)
    path.chmod(0o600)
    assert "keys.db opens" in run("doctor", "--passphrase-file", str(path)).stdout
    assert "keys.db opens" in run("doctor", KMSKIT_PASSPHRASE=SECRET).stdout
    path.chmod(0o644)
    assert "others can read the passphrase file" in run("doctor", "--passphrase-file", str(path), status=1).stdout


@pytest.mark.usefixtures("locked")
def test_a_terminal_is_asked_for_it(terminal: Terminal) -> None:
    program = terminal("$kmskit doctor")
    assert program.stdin is not None
    assert program.stdout is not None
    shown = b""
    while not shown.endswith(b"Passphrase of the key store: "):
        byte = program.stdout.read(1)
        assert byte, shown
        shown += byte
    program.stdin.write(f"{SECRET}\n".encode())
    rest, _ = program.communicate(timeout=60)
    assert program.returncode == 0
    assert b"keys.db opens" in rest
    assert_clean((shown + rest).decode(), SECRET.encode())
