"""What the doctor finds, and that looking changes nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree

import pytest

import kmskit
from kmskit import doctor, softhsm
from kmskit.doctor import Finding, Findings, examine
from kmskit.softhsm import Token
from kmskit.testing import hostile, leaks
from tests.parts import missing

ROOT = Path(kmskit.__file__).parent.parent
URI = "URI"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and none of the variables that the doctor looks at."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    for name in [name for name in os.environ if name.startswith(("KMSKIT_", "ALIBABA_CLOUD_", "SOFTHSM2_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def uri(tmp_path: Path) -> str:
    (tmp_path / "store").mkdir(mode=0o700)
    return f"software://{tmp_path}/store/keys.db"


def of(findings: Findings, topic: str) -> list[Finding]:
    return [finding for finding in findings if finding.topic == topic]


def only(findings: Findings, topic: str) -> Finding:
    (finding,) = of(findings, topic)
    return finding


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, with its mode and bytes."""
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*")
    }


# What is installed


def test_python_kmskit_cryptography_and_openssl_are_told() -> None:
    findings = examine()
    assert only(findings, "Python").text.startswith(f"{platform.python_version()} at ")
    assert only(findings, "kmskit").text == f"{kmskit.__version__} in {ROOT / 'kmskit'}"
    assert "with OpenSSL" in only(findings, "cryptography").text
    assert {only(findings, topic).state for topic in ("Python", "kmskit", "cryptography")} == {"ok"}


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        extra: tuple(requirement.partition(">")[0] for requirement in requirements)
        for extra, requirements in project["optional-dependencies"].items()
        if extra not in ("all", "dev")
    }
    assert declared == doctor.EXTRAS
    assert f"cryptography>={doctor.LEAST_CRYPTOGRAPHY}" in project["dependencies"]


def test_the_versions_of_an_extras_packages_are_told() -> None:
    finding = only(examine(), "extra cli")
    assert f"click {version('click')}, rich {version('rich')}" in finding.text


@pytest.fixture
def bare(tmp_path: Path, home: Path) -> Callable[[str], str]:
    """Run a statement in a Python that has only what kmskit needs."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in ("cryptography", "_cffi_backend", "platformdirs"):
        found = find_spec(name)
        if found is not None and found.origin is not None:
            path = Path(found.origin).parent if found.submodule_search_locations else Path(found.origin)
            (packages / path.name).symlink_to(path)
            for metadata in path.parent.glob(f"{name}-*.dist-info"):
                (packages / metadata.name).symlink_to(metadata)

    def run(statement: str) -> str:
        environment = {"HOME": str(home), "PATH": "/nowhere", "PYTHONPATH": os.pathsep.join([str(ROOT), str(packages)])}
        command = [sys.executable, "-W", "error", "-S", "-c", statement]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    return run


def test_what_is_missing_is_told_with_its_pip_line(bare: Callable[[str], str]) -> None:
    told = bare(
        "from kmskit import doctor; findings = doctor.examine()\n"
        "for f in findings: print(f.topic, f.state, f.text, f.cure, sep='|')\n"
        "print(findings.usable)"
    ).splitlines()
    for extra, packages in doctor.EXTRAS.items():
        line = f'extra {extra}|missing|not installed: {", ".join(packages)}|pip install "kmskit[{extra}]"'
        assert line in told
    assert 'Jupyter|missing|no JupyterLab here|pip install "kmskit[notebook]", for the course' in told
    assert "SoftHSM|missing|softhsm2-util is not on the PATH|apt-get install softhsm2" in told
    assert told[-1] == "True"


def test_it_loads_no_extra() -> None:
    code = "import sys; from kmskit import doctor; doctor.examine(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "kmskit" in loaded
    assert not loaded & {"click", "rich", "pkcs11", "alibabacloud_kms20160120", "IPython", "jupyterlab", "tqdm"}


# PKCS#11


def test_modules_are_found_where_distributions_put_them(tmp_path: Path) -> None:
    expected = []
    for product, path in (
        ("SoftHSM", "usr/lib/softhsm/libsofthsm2.so"),
        ("OpenSC", "usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"),
        ("tpm2-pkcs11", "usr/lib64/pkcs11/libtpm2_pkcs11.so"),
    ):
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        file.write_text("this is no library, and loading it would fail")
        expected.append((product, str(file)))
    again = tmp_path / "usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"
    again.parent.mkdir()
    again.symlink_to(tmp_path / "usr/lib/softhsm/libsofthsm2.so")
    (tmp_path / "usr/lib/opensc-pkcs11.so").mkdir()
    (tmp_path / "usr/lib/libother.so").touch()
    assert sorted(doctor.find_modules(str(tmp_path))) == sorted(expected)


def test_nothing_is_found_in_an_empty_place(tmp_path: Path) -> None:
    assert list(doctor.find_modules(str(tmp_path / "nowhere"))) == []


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program with the name of SoftHSM's, which would make a file if it were run."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "softhsm2-util"
    path.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return path


def test_softhsms_configuration_is_looked_at(tool: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = home / ".config/softhsm2/softhsm2.conf"
    own.parent.mkdir(parents=True)
    own.write_text(f"# mine\ndirectories.tokendir = {home}\n")
    first, second = of(examine(), "SoftHSM")
    assert (first.state, first.text) == ("ok", str(tool))
    assert (second.state, second.text) == ("ok", f"its configuration: {own}")

    own.write_text("directories.tokendir = /nowhere/tokens\n")
    _, second = of(examine(), "SoftHSM")
    assert second.state == "problem"
    assert second.text.endswith("a token folder that this user cannot use: /nowhere/tokens")
    assert "SOFTHSM2_CONF" in second.cure

    monkeypatch.setenv("SOFTHSM2_CONF", "/nowhere/softhsm2.conf")
    _, second = of(examine(), "SoftHSM")
    assert second.state == "problem"
    assert second.text == "its configuration /nowhere/softhsm2.conf: No such file or directory"
    assert not (tool.parent.parent / "was-run").exists()


# The token of a URI


@pytest.fixture
def token(tmp_path: Path) -> Token:
    if "SoftHSM" not in dict(doctor.find_modules()):
        missing("SoftHSM")
    return softhsm.token(tmp_path / "softhsm", "demo")


def problems(findings: Findings) -> dict[str, str]:
    """What is wrong with a token and its URI, and the cures."""
    wrong = (finding for finding in findings if finding.topic in ("token", URI) and finding.state == "problem")
    return {finding.text: finding.cure for finding in wrong}


def state(token: Token) -> str:
    return kmskit.tokens.tokens(token.uri)[0].state


def test_a_token_that_can_be_used_is_told_with_all_that_belongs_to_it(token: Token) -> None:
    kmskit.connect(token.uri).close()
    before = {path: mode for path, (mode, _) in snapshot(token.folder).items()}  # A login is written into the token.
    findings = examine(token.uri)
    assert findings.usable
    folder = token.folder
    assert [(finding.state, finding.text) for finding in of(findings, "token")] == [
        ("ok", f"module {softhsm.module_path()}"),
        ("ok", f"configuration {folder}/softhsm2.conf"),
        ("ok", f"token folder {folder}/tokens (mode 0700)"),
        ("ok", f"PIN file {folder}/demo.pin (mode 0600)"),
        ("ok", f"demo (serial {token.serial}, SoftHSM v2)"),
        ("ok", "no notes on it yet: the first key makes them"),
    ]
    assert only(findings, URI).text == "pkcs11:token=demo?… opens"
    assert {path: mode for path, (mode, _) in snapshot(folder).items()} == before


def test_the_notes_are_those_that_the_backend_keeps(token: Token) -> None:
    with kmskit.connect(token.uri) as kms:
        kms.create_key("orders")
    (notes,) = token.folder.glob("notes-*.db")
    assert f"notes {notes} (mode 0600)" in [finding.text for finding in of(examine(token.uri), "token")]
    notes.chmod(0o644)
    assert problems(examine(token.uri)) == {f"notes {notes}: others may use it (mode 0644)": f"chmod 600 {notes}"}


def test_files_of_a_token_that_others_may_use_are_told_with_the_cure(token: Token) -> None:
    folder = token.folder
    (folder / "tokens").chmod(0o755)
    folder.chmod(0o777)
    found = examine(token.uri)
    assert problems(found) == {
        f"token folder {folder}/tokens: others may use it (mode 0755)": f"chmod 700 {folder}/tokens",
        f"others can write to the folder {folder} (mode 0777), and so replace the tokens": f"chmod go-w {folder}",
    }
    assert found.usable
    folder.chmod(0o700)
    token.pin_path.chmod(0o640)
    found = examine(token.uri)
    assert f"PIN file {token.pin_path}: others may use it (mode 0640)" in problems(found)
    assert "others can read the file that pin-source= names" in only(found, URI).text
    assert state(token) == "ready"


def test_a_token_whose_files_are_gone_is_a_problem(token: Token) -> None:
    token.pin_path.unlink()
    found = examine(token.uri)
    assert f"PIN file {token.pin_path} cannot be looked at" in problems(found)
    assert "the file that pin-source= names cannot be read" in only(found, URI).text

    rmtree(token.folder / "tokens")
    found = examine(token.uri)
    assert f"token folder {token.folder}/tokens is not there" in problems(found)
    assert not found.usable

    (token.folder / "softhsm2.conf").write_text("# nothing\n")
    found = examine(token.uri)
    assert problems(found)[f"configuration {token.folder}/softhsm2.conf names no directories.tokendir"] == (
        f"kmskit token init --folder {token.folder} writes it anew"
    )
    assert not found.usable
    (token.folder / "softhsm2.conf").unlink()
    assert "x-softhsm2-conf= names no file" in only(examine(token.uri), URI).text


def test_a_token_folder_that_this_user_cannot_use_is_a_problem(token: Token, request: pytest.FixtureRequest) -> None:
    for folder in token.folder.parents:
        if folder.stat().st_uid == os.geteuid() and "pytest" in str(folder):
            folder.chmod(0o755)
    token.folder.chmod(0o755)
    (token.folder / "softhsm2.conf").chmod(0o644)
    request.getfixturevalue("nobody")
    if os.access(token.folder / "tokens", os.R_OK):
        (token.folder / "tokens").chmod(0)
    found = examine(token.uri)
    assert f"token folder {token.folder}/tokens cannot be used by this user" in problems(found)
    assert not found.usable


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("token=demo", "token=nobody"), "there is no token of token 'nobody'"),
        (("softhsm2.so", "nothing.so"), "module-path= names no file"),
        (("token=demo", "slot-id=1"), "slot-id= names no token"),
        (("pin-source", "pin-value"), "a PIN does not belong in a URI"),
    ],
)
def test_a_uri_that_names_no_token_is_a_problem(token: Token, change: tuple[str, str], reason: str) -> None:
    findings = examine(token.uri.replace(*change))
    assert reason in only(findings, URI).text
    assert not findings.usable


def test_a_module_that_is_none_is_a_problem(tmp_path: Path) -> None:
    library = tmp_path / "module.so"
    library.write_text("no library")
    findings = examine(f"pkcs11:token=x?module-path={library}")
    assert "no PKCS#11 module that works here" in only(findings, URI).text
    assert [finding.text for finding in of(findings, "token")] == [f"module {library}"]


def test_a_pin_that_is_missing_is_asked_of_whoever_knows_it(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = token.uri.partition("&pin-source=")[0]
    assert "the token wants a PIN" in only(examine(uri), URI).text
    pin = token.pin_path.read_text().strip()
    assert examine(uri, connect=lambda uri: kmskit.connect(uri, pin=pin)).usable
    monkeypatch.setenv("KMSKIT_PKCS11_PIN", pin)
    findings = examine(uri)
    assert findings.usable
    leaks.assert_clean([repr(findings), findings._repr_html_()], pin.encode())


def test_a_wrong_pin_is_sent_once_and_never_again_by_itself(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    uri, sent = token.uri.partition("&pin-source=")[0], []

    def connect(uri: str) -> kmskit.Kms:
        sent.append(uri)
        return kmskit.connect(uri)

    monkeypatch.setenv("KMSKIT_PKCS11_PIN", "not-the-right-pin")
    assert "the token refused the PIN" in only(examine(uri, connect=connect), URI).text
    assert sent == [uri]
    findings = examine(uri, connect=connect)
    assert sent == [uri]
    sure = "make sure of the PIN, then log in with it: that sets the count back"
    assert problems(findings) == {
        "it was sent a wrong PIN since the last right one": sure,
        "pkcs11:token=demo?… was not opened: it was sent a wrong PIN since the last right one": sure,
    }
    assert not findings.usable
    leaks.assert_clean(repr(findings), b"not-the-right-pin")
    kmskit.connect(token.uri).close()
    assert examine(token.uri).usable


@pytest.mark.parametrize(
    ("bit", "text", "cure"),
    [(0x20000, "one more wrong PIN locks it", "make sure"), (0x40000, "its PIN is locked", "its security officer")],
)
def test_a_pin_that_is_locked_or_nearly_is_not_sent(token: Token, bit: int, text: str, cure: str) -> None:
    (file,) = token.folder.glob("tokens/*/token.object")
    flags = (0x42D).to_bytes(8)  # What a new token has. SoftHSM itself never locks a PIN.
    assert file.read_bytes().count(flags) == 1
    file.write_bytes(file.read_bytes().replace(flags, (0x42D | bit).to_bytes(8)))
    findings = examine(token.uri, connect=lambda uri: pytest.fail("the PIN was sent"))
    assert problems(findings)[text].startswith(cure)
    assert problems(findings)[f"pkcs11:token=demo?… was not opened: {text}"].startswith(cure)
    assert not findings.usable


def test_without_python_pkcs11_a_token_cannot_be_used(bare: Callable[[str], str], token: Token) -> None:
    told = bare(f"from kmskit.doctor import examine; print(examine({token.uri!r}))")
    assert "the pkcs11 backend needs the package pkcs11" in told
    assert 'pip install "kmskit[pkcs11]"' in told
    assert f"PIN file {token.pin_path} (mode 0600)" in told


def test_findings_of_a_token_have_a_cure_in_one_line(token: Token) -> None:
    (token.folder / "tokens").chmod(0o777)
    for uri in (token.uri, token.uri.replace("token=demo", "token=%1b%5b2J")):
        findings = examine(uri)
        hostile.assert_safe(findings)
        for finding in findings:
            assert bool(finding.cure) == (finding.state != "ok"), finding
            assert "\n" not in finding.cure + finding.text


# Credentials


def test_variables_are_told_by_name_and_never_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s3cret-value-0123456789"
    names = [
        "KMSKIT_PASSPHRASE",
        "KMSKIT_PKCS11_PIN",
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
    ]
    for name in names:
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("KMSKIT_URI", "software:?memory=1")
    findings = examine()
    told = " ".join(finding.text for finding in findings if finding.topic in ("environment", "Alibaba Cloud"))
    for name in (*names, "KMSKIT_URI"):
        assert name in told
    leaks.assert_clean([repr(findings), findings._repr_html_(), *map(repr, findings)], secret.encode())


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KMSKIT_PASSPHRASE", "ALIBABA_CLOUD_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, "")
    findings = examine()
    assert only(findings, "environment").text == "no variable of kmskit is set"
    missing = only(findings, "Alibaba Cloud")
    assert missing.state == "missing"
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET" in missing.cure


def test_half_an_access_key_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "x")
    finding = only(examine(), "Alibaba Cloud")
    assert (finding.state, finding.cure) == ("problem", "set ALIBABA_CLOUD_ACCESS_KEY_ID too")


def test_credential_files_are_told_with_their_modes(home: Path) -> None:
    file = home / ".aliyun/config.json"
    file.parent.mkdir()
    file.write_text('{"secret": "0123456789"}')
    file.chmod(0o600)
    finding = only(examine(), "Alibaba Cloud")
    assert (finding.state, finding.text) == ("ok", f"credentials in {file} (mode 0600)")
    file.chmod(0o644)
    finding = only(examine(), "Alibaba Cloud")
    assert (finding.state, finding.cure) == ("problem", f"chmod 600 {file}")


# The URI and its key store


def test_a_fresh_machine_is_usable_and_stays_fresh(home: Path) -> None:
    findings = examine()
    assert findings.usable
    assert only(findings, URI).state == "ok"
    store = only(findings, "key store")
    assert store.state == "missing"
    assert store.text == f"{home}/.local/share/kmskit/keys.db is not made yet"
    assert only(findings, "disk").text.endswith(f"GiB free at {home}")
    assert not list(home.iterdir())


def test_a_store_that_is_there_is_opened_and_not_changed(uri: str, tmp_path: Path) -> None:
    month_ago = time.time() - 30 * 86_400
    with kmskit.connect(uri, clock=lambda: month_ago) as kms:
        key = kms.create_key("orders")
        key.set_rotation(timedelta(days=1))
        kms.create_key("old").schedule_deletion(7)
    before = snapshot(tmp_path)
    findings = examine(uri)
    assert findings.usable
    path = tmp_path / "store/keys.db"
    assert [(finding.state, finding.text) for finding in of(findings, "key store")] == [
        ("ok", f"{path} (mode 0600)"),
        ("ok", f"key file {path}.key (mode 0600)"),
    ]
    assert only(findings, URI).text == f"{uri} opens"
    assert snapshot(tmp_path) == before


def test_the_variable_names_the_uri(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KMSKIT_URI", uri)
    assert only(examine(), URI).text == f"{uri} can be used, and its key store will be made"


def test_a_uri_with_a_key_file_elsewhere(uri: str, tmp_path: Path) -> None:
    named = f"{uri}?key-file={tmp_path}/elsewhere.key"
    kmskit.connect(named).close()
    findings = examine(named)
    assert f"key file {tmp_path}/elsewhere.key (mode 0600)" in [finding.text for finding in of(findings, "key store")]
    assert only(findings, URI).text == f"{uri}?… opens"
    assert not examine(uri).usable


def test_a_store_in_memory_needs_nothing() -> None:
    findings = examine("software:?memory=1")
    assert findings.usable
    assert not of(findings, "key store")


@pytest.mark.parametrize(
    ("uri", "reason", "cure"),
    [
        ("", "not a URI of a backend", "write software:"),
        ("nonsense", "not a URI of a backend", "write software:"),
        ("foo:bar", "there is no backend for foo: URIs", "known schemes: "),
        ("software:relative", "names an absolute path", "write software:///abs/keys.db"),
        ("software:///a?nonsense=1", "has an attribute that is not known", "known attributes"),
        ("software:///nowhere/keys.db", "the folder /nowhere is not there", "make the folder first"),
        ("software:///dev/null/keys.db", "/dev/null cannot be written to", "choose another folder"),
        ("software:///tmp/no-keys.db?key-file=/nowhere/x.key", "the folder /nowhere is not there", "make the folder"),
        ("software:///tmp", "does not let this process read and write it", "check the permissions"),
    ],
)
def test_a_uri_that_cannot_be_used_is_a_problem(uri: str, reason: str, cure: str) -> None:
    findings = examine(uri)
    assert not findings.usable
    finding = only(findings, URI)
    assert finding.state == "problem"
    assert reason in finding.text
    assert cure in finding.cure


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may write everywhere, so a test that is root's goes on as someone else."""
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 0)
        yield
        os.setresuid(0, 0, 0)
    else:
        yield


@pytest.mark.usefixtures("nobody")
def test_a_folder_that_cannot_be_written_to_is_a_problem() -> None:
    finding = only(examine("software:///etc/keys.db"), URI)
    assert finding == Finding(
        URI, "problem", "software:///etc/keys.db: /etc cannot be written to", "choose another folder"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"nonsense" * 1000, "damaged or not a kmskit key store"), (None, "an SQLite file, and not a kmskit key store")],
    ids=["damaged", "another database"],
)
def test_a_file_that_is_no_key_store_is_a_problem(uri: str, tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "store/keys.db"
    if content is None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE x (y)")
    else:
        path.write_bytes(content)
    path.chmod(0o600)
    before = snapshot(tmp_path)
    findings = examine(uri)
    assert reason in only(findings, URI).text
    assert not findings.usable
    assert snapshot(tmp_path) == before


def test_a_key_file_that_is_gone_is_a_problem(uri: str, tmp_path: Path) -> None:
    kmskit.connect(uri).close()
    (tmp_path / "store/keys.db.key").unlink()
    before = snapshot(tmp_path)
    findings = examine(uri)
    assert "the key file of this store is gone" in only(findings, URI).text
    assert not findings.usable
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("content", [b"", None], ids=["empty", "a database of nothing"])
def test_an_empty_file_is_not_made_a_store(uri: str, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "store/keys.db"
    if content is None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version=7")
        assert path.stat().st_size
    else:
        path.write_bytes(content)
    before = snapshot(tmp_path)
    findings = examine(uri)
    assert only(findings, "key store").state == "missing"
    assert findings.usable
    assert snapshot(tmp_path) == before


def test_a_link_to_nothing_is_a_problem(uri: str, tmp_path: Path) -> None:
    (tmp_path / "store/keys.db").symlink_to(tmp_path / "nowhere")
    findings = examine(uri)
    assert not findings.usable
    assert [finding.state for finding in of(findings, "key store")] == ["problem"]
    assert not (tmp_path / "nowhere").exists()


def test_a_passphrase_is_asked_of_whoever_knows_it(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kmskit.connect(uri, passphrase="correct horse").close()
    locked = only(examine(uri), URI)
    assert locked.state == "problem"
    assert "protected by a passphrase" in locked.text
    assert examine(uri, connect=lambda uri: kmskit.connect(uri, passphrase="correct horse")).usable
    wrong = examine(uri, connect=lambda uri: kmskit.connect(uri, passphrase="wrong horse battery"))
    assert "the passphrase does not open this store" in only(wrong, URI).text
    leaks.assert_clean(repr(wrong), b"wrong horse battery")
    monkeypatch.setenv("KMSKIT_PASSPHRASE", "correct horse")
    assert examine(uri).usable


def test_files_that_others_may_use_are_told_with_the_cure(uri: str, tmp_path: Path) -> None:
    kmskit.connect(uri).close()
    path = tmp_path / "store/keys.db"
    path.chmod(0o640)
    (tmp_path / "store").chmod(0o770)
    findings = examine(uri)
    told = {finding.text: finding.cure for finding in of(findings, "key store") if finding.state == "problem"}
    assert told == {
        f"{path}: others may use it (mode 0640)": f"chmod 600 {path}",
        f"others can write to the folder {path.parent} (mode 0770), and so replace the store": (
            f"chmod go-w {path.parent}"
        ),
    }
    assert findings.usable, "a store that others can read can still be used"
    (tmp_path / "store").chmod(0o1777)
    assert not [finding for finding in of(examine(uri), "key store") if "the folder" in finding.text]


def test_a_key_file_that_others_may_read_cannot_be_used(uri: str, tmp_path: Path) -> None:
    kmskit.connect(uri).close()
    (tmp_path / "store/keys.db.key").chmod(0o644)
    findings = examine(uri)
    assert not findings.usable
    assert "others can read the key file" in only(findings, URI).text


def test_a_cure_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "my keys; touch x"
    folder.mkdir(mode=0o700)
    uri = f"software://{tmp_path}/my%20keys;%20touch%20x/keys.db"
    kmskit.connect(uri).close()
    path = folder / "keys.db"
    path.chmod(0o644)
    (problem,) = (finding for finding in of(examine(uri), "key store") if finding.state == "problem")
    subprocess.run(["sh", "-c", problem.cure], check=True, timeout=10, cwd=tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not (tmp_path / "x").exists()


def test_whatever_is_not_ok_has_a_cure_in_one_line(uri: str) -> None:
    for findings in (examine(), examine("nonsense"), examine(uri), examine("software:///nowhere/keys.db")):
        for finding in findings:
            assert finding.state in ("ok", "missing", "problem")
            assert bool(finding.cure) == (finding.state != "ok"), finding
            assert "\n" not in finding.cure + finding.text


# Display


@pytest.mark.parametrize("text", hostile.STRINGS, ids=repr)
def test_a_display_of_findings_is_safe(text: str) -> None:
    findings = Findings([Finding(text, "problem", text, text), Finding("URI", "ok", "fine")])
    hostile.assert_safe(findings)
    assert findings.usable


def test_a_hostile_folder_is_shown_and_does_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[2J<img src=x onerror=alert(1)>"
    folder.mkdir()
    uri = f"software://{tmp_path}/%1b%5b2J%3Cimg%20src=x%20onerror=alert(1)%3E/keys.db"
    for _ in range(2):
        findings = examine(uri)
        assert findings.usable, findings
        assert str(folder) in " ".join(finding.text for finding in findings)
        hostile.assert_safe(findings)
        kmskit.connect(uri).close()


def test_findings_are_a_table_whose_measured_parts_are_marked() -> None:
    findings = Findings([Finding("disk", "problem", "0.0 GiB free", "make room")])
    assert repr(findings).splitlines() == [
        "topic  state    found           cure",
        "disk   problem  ⟨0.0 GiB free⟩  make room",
    ]
    assert '<span class="kms-volatile">0.0 GiB free</span>' in findings._repr_html_()
