"""A store that wants a passphrase: from a file, from the environment, or asked for on a terminal."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import kmskit
from kmskit.testing.leaks import assert_clean

from .conftest import COLOURS, Run, Shell, Terminal

PASSPHRASE = "correct horse, Grüße"
WRONG = "wrong horse battery"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with one key, protected by a passphrase."""
    uri = f"software://{tmp_path_factory.mktemp('store')}/keys.db"
    with kmskit.connect(uri, passphrase=PASSPHRASE) as kms:
        kms.create_key("orders")
        kms.create_key("releases", "ED25519")
    return uri


@pytest.fixture
def uri(store: str) -> str:
    return store


@pytest.fixture
def passphrase_file(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_bytes(PASSPHRASE.encode())
    path.chmod(0o600)
    return path


def test_without_one_and_without_a_terminal_it_says_what_to_do(run: Run, shell: Shell) -> None:
    refused = run("keys", status=1)
    assert refused.stderr == (
        "error: this store is protected by a passphrase\n"
        "hint: name a file with --passphrase-file, or set KMSKIT_PASSPHRASE\n"
        "code: PASSPHRASE_REQUIRED\n"
    )
    assert shell("echo passphrase | $kmskit keys", status=1).stderr == refused.stderr_bytes


def test_the_environment_opens_it(run: Run) -> None:
    assert "orders" in run("keys", KMSKIT_PASSPHRASE=PASSPHRASE).stdout
    refused = run("keys", KMSKIT_PASSPHRASE=WRONG, status=1)
    assert refused.stderr.startswith("error: the passphrase does not open this store\nhint: nothing was changed")
    assert_clean(refused.output, WRONG.encode())


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\nwritten on the 1st of May\n"])
def test_the_first_line_of_a_file_opens_it(run: Run, passphrase_file: Path, ending: bytes) -> None:
    passphrase_file.write_bytes(PASSPHRASE.encode() + ending)
    for arguments in (
        ["--passphrase-file", str(passphrase_file), "keys"],
        ["keys", "--passphrase-file", str(passphrase_file)],
    ):
        assert "orders" in run(*arguments, KMSKIT_PASSPHRASE=WRONG).stdout


def test_a_pipe_is_a_file_too(shell: Shell, passphrase_file: Path) -> None:
    assert b"orders" in shell("bash -c '$kmskit keys --passphrase-file <(cat passphrase)'").stdout


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_file_that_others_may_use_is_refused(run: Run, passphrase_file: Path, mode: int) -> None:
    passphrase_file.chmod(mode)
    refused = run("keys", "--passphrase-file", str(passphrase_file), status=1)
    assert refused.stderr.startswith(f"error: others can read the passphrase file {passphrase_file}\nhint: chmod 600 ")
    assert_clean(refused.output, PASSPHRASE.encode())


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"\nsecond line", b"\xff\xfe\xfd-no-utf-8", b"x" * 4097])
def test_a_file_without_a_passphrase_is_refused(run: Run, passphrase_file: Path, content: bytes) -> None:
    passphrase_file.write_bytes(content)
    refused = run("keys", "--passphrase-file", str(passphrase_file), status=1)
    assert f"the first line of the passphrase file {passphrase_file} is no passphrase" in refused.stderr
    assert "no-utf-8" not in refused.output


def test_a_file_that_is_not_there_is_an_error(run: Run, tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        assert run("keys", "--passphrase-file", str(path), status=1).stderr == f"error: {path}: {reason}\n"
    run("keys", "--passphrase-file", "", status=1)


def test_other_backends_have_no_passphrase(run: Run, passphrase_file: Path) -> None:
    arguments = ["keys", "--passphrase-file", str(passphrase_file)]
    assert "is for software: stores" in run(*arguments, "--uri", "pkcs11:token=x", status=2).stderr
    assert "a store in memory has no" in run(*arguments, "--uri", "software:?memory=1", status=1).stderr


def test_a_store_with_a_key_file_does_not_take_one(run: Run, passphrase_file: Path, tmp_path: Path) -> None:
    uri = f"software://{tmp_path}/other.db"
    run("keys", "create", "orders", "--uri", uri)
    refused = run("keys", "--uri", uri, "--passphrase-file", str(passphrase_file), status=1)
    assert "protected by a key file, not by a passphrase" in refused.stderr
    assert "orders" in run("keys", "--uri", uri).stdout


def test_a_new_store_is_protected_by_it(run: Run, passphrase_file: Path, tmp_path: Path) -> None:
    uri = f"software://{tmp_path}/new.db"
    run("keys", "create", "orders", "--uri", uri, "--passphrase-file", str(passphrase_file))
    assert not (tmp_path / "new.db.key").exists()
    run("keys", "--uri", uri, status=1)
    with kmskit.connect(uri, passphrase=PASSPHRASE) as kms:
        assert kms.key("orders")


# On a terminal


def answer(program: subprocess.Popen[bytes], *answers: str) -> tuple[int, str]:
    """Wait for each question and answer it; the exit status, and all that the screen showed."""
    assert program.stdin is not None
    assert program.stdout is not None
    shown = b""
    for text in answers:
        question = b""
        while not question.endswith(b": "):
            byte = program.stdout.read(1)
            assert byte, shown + question
            question += byte
        program.stdin.write(text.encode())
        program.stdin.flush()
        shown += question
    rest, _ = program.communicate(timeout=60)
    return program.returncode, COLOURS.sub("", (shown + rest).decode())


def test_a_terminal_is_asked(terminal: Terminal) -> None:
    status, shown = answer(terminal("$kmskit keys"), f"{PASSPHRASE}\n")
    assert status == 0
    assert shown.startswith("Passphrase of the key store: ")
    assert "orders" in shown
    assert_clean(shown, PASSPHRASE.encode())


def test_a_terminal_is_asked_although_stdin_is_the_data(terminal: Terminal, run: Run, tmp_path: Path) -> None:
    line = "echo data | $kmskit sign releases - >sig && echo data | $kmskit verify releases - sig"
    status, shown = answer(terminal(line), f"{PASSPHRASE}\n", f"{PASSPHRASE}\n")
    assert status == 0, shown
    assert "the signature verifies under releases" in shown
    (tmp_path / "data").write_bytes(b"data\n")
    run("verify", "releases", str(tmp_path / "data"), str(tmp_path / "sig"), KMSKIT_PASSPHRASE=PASSPHRASE)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (f"{WRONG}\n", "error: the passphrase does not open this store"),
        ("\n", "error: passphrase: it is empty"),
        ("\x03", "error: aborted"),
        ("\x04", "error: aborted"),
    ],
    ids=["wrong", "empty", "Ctrl-C", "Ctrl-D"],
)
def test_a_bad_answer_ends_it(terminal: Terminal, typed: str, said: str) -> None:
    status, shown = answer(terminal("exec $kmskit keys"), typed)
    assert status in (1, 2)
    assert said in shown
    assert "Traceback" not in shown
    assert_clean(shown, WRONG.encode())


def test_a_terminal_is_not_asked_when_there_is_nothing_to_ask_for(terminal: Terminal, tmp_path: Path) -> None:
    for line, more in (
        ("$kmskit keys", {"KMSKIT_PASSPHRASE": PASSPHRASE}),
        ("$kmskit keys create orders", {"KMSKIT_URI": f"software://{tmp_path}/new.db"}),
        ("$kmskit keys", {"KMSKIT_URI": f"software://{tmp_path}/new.db"}),
    ):
        status, shown = answer(terminal(line, **more))
        assert status == 0, shown
        assert "orders" in shown
        assert "Passphrase" not in shown
