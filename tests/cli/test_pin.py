"""A token's PIN: from a file, from the URI's file, from the environment, or asked for on a terminal; sent once."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmskit import softhsm, tokens
from kmskit.backends.pkcs11.places import find_modules
from kmskit.softhsm import Token
from kmskit.testing.leaks import assert_clean
from tests.parts import missing

from .conftest import Run, Shell, Terminal
from .test_passphrase import answer

WRONG = "not-the-right-pin"


@pytest.fixture(scope="module", autouse=True)
def _softhsm() -> None:
    if "SoftHSM" not in dict(find_modules()):
        missing("SoftHSM")


@pytest.fixture
def token(tmp_path: Path) -> Token:
    return softhsm.token(tmp_path / "softhsm", "demo")


@pytest.fixture
def uri(token: Token) -> str:
    """A URI that names the token and no file with its PIN."""
    return token.uri.partition("&pin-source=")[0]


@pytest.fixture
def pin(token: Token) -> str:
    return token.pin_path.read_text().strip()


@pytest.fixture
def pin_file(tmp_path: Path, pin: str) -> Path:
    path = tmp_path / "pin"
    path.write_text(f"{pin}\nkept in the safe\n")
    path.chmod(0o600)
    return path


def state(token: Token) -> str:
    return tokens.tokens(token.uri)[0].state


def test_without_one_and_without_a_terminal_it_says_what_to_do(run: Run, shell: Shell) -> None:
    refused = run("keys", status=1)
    assert refused.stderr == (
        "error: the token wants a PIN, and none was given\n"
        "hint: name a file with --pin-file, write pin-source=file:/path in the URI, or set KMSKIT_PKCS11_PIN and name "
        "the token\n"
        "code: PIN_REQUIRED\n"
    )
    assert shell("echo 12345678 | $kmskit keys", status=1).stderr == refused.stderr_bytes


def test_a_file_opens_it_and_stands_before_all_others(run: Run, pin_file: Path, token: Token) -> None:
    for arguments in (["--pin-file", str(pin_file), "keys"], ["keys", "--pin-file", str(pin_file)]):
        run(*arguments, KMSKIT_PKCS11_PIN=WRONG)
    wrong = token.folder / "wrong"
    wrong.write_text(WRONG)
    wrong.chmod(0o600)
    run("keys", "--uri", token.uri.replace("demo.pin", "wrong"), "--pin-file", str(pin_file))
    assert state(token) == "ready"


def test_the_uris_file_and_the_environment_open_it(run: Run, token: Token, pin: str) -> None:
    run("keys", "create", "orders", "--uri", token.uri, KMSKIT_PKCS11_PIN=WRONG)
    assert "orders" in run("keys", KMSKIT_PKCS11_PIN=pin).stdout


def test_a_pipe_is_a_file_too(shell: Shell, pin_file: Path) -> None:
    shell("bash -c '$kmskit keys create orders --pin-file <(cat pin)'")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602])
def test_a_file_that_others_may_use_is_refused(run: Run, pin_file: Path, pin: str, token: Token, mode: int) -> None:
    pin_file.chmod(mode)
    refused = run("keys", "--pin-file", str(pin_file), status=1)
    assert refused.stderr == f"error: others can read the PIN file {pin_file}\nhint: chmod 600 {pin_file}\n"
    assert_clean(refused.output, pin.encode())
    assert state(token) == "ready"


@pytest.mark.parametrize("content", [b"", b"\n1234", b"\xff\xfe\xfd", b"x" * 4097])
def test_a_file_without_a_pin_is_refused_before_it_is_sent(
    run: Run, pin_file: Path, token: Token, content: bytes
) -> None:
    pin_file.write_bytes(content)
    refused = run("keys", "--pin-file", str(pin_file), status=1)
    assert f"the first line of the PIN file {pin_file} is no PIN" in refused.stderr
    assert state(token) == "ready"


def test_other_backends_have_no_pin(run: Run, pin_file: Path, tmp_path: Path) -> None:
    refused = run("keys", "--pin-file", str(pin_file), "--uri", f"software://{tmp_path}/keys.db", status=2)
    assert "--pin-file is for pkcs11: tokens" in refused.stderr
    assert not (tmp_path / "keys.db").exists()


def test_a_wrong_pin_is_refused_and_told_nowhere(run: Run, pin_file: Path, token: Token) -> None:
    pin_file.write_text(WRONG)
    for arguments, more in (
        (["keys", "--pin-file", str(pin_file)], {}),
        (["keys"], {"KMSKIT_PKCS11_PIN": WRONG}),
    ):
        refused = run(*arguments, status=1, **more)
        assert refused.stderr.startswith("error: the token refused the PIN\nhint: ")
        assert_clean(refused.output, WRONG.encode())
    assert state(token) == "PIN count low"


# On a terminal


def test_a_terminal_is_asked(terminal: Terminal, pin: str) -> None:
    status, shown = answer(terminal("$kmskit keys create orders"), f"{pin}\n")
    assert status == 0, shown
    assert shown.startswith("PIN of the token demo: ")
    assert_clean(shown, pin.encode())


def test_a_terminal_is_asked_although_stdin_is_the_data(terminal: Terminal, token: Token, run: Run, pin: str) -> None:
    run("keys", "create", "releases", "--spec", "ED25519", "--uri", token.uri)
    line = "echo data | $kmskit sign releases - >sig && echo data | $kmskit verify releases - sig"
    status, shown = answer(terminal(line), f"{pin}\n", f"{pin}\n")
    assert status == 0, shown
    assert shown.startswith("PIN of the token demo: ")
    assert "the signature verifies under releases" in shown
    assert_clean(shown, pin.encode())


@pytest.mark.parametrize(
    ("typed", "said", "left"),
    [
        (f"{WRONG}\n", "error: the token refused the PIN", "PIN count low"),
        ("\n", "error: the token wants a PIN, and none was given", "ready"),
        ("\x03", "error: aborted", "ready"),
        ("\x04", "error: aborted", "ready"),
    ],
    ids=["wrong", "empty", "Ctrl-C", "Ctrl-D"],
)
def test_a_bad_answer_ends_it(terminal: Terminal, token: Token, typed: str, said: str, left: str) -> None:
    """Where stdin is the data, so that it is the command line that asks."""
    status, shown = answer(terminal("exec $kmskit keys </dev/null"), typed)
    assert status == 1
    assert said in shown
    assert "Traceback" not in shown
    assert shown.count("PIN of the token") == 1
    assert_clean(shown, WRONG.encode())
    assert state(token) == left


def test_a_terminal_is_not_asked_when_there_is_nothing_to_ask_for(
    terminal: Terminal, token: Token, pin_file: Path, pin: str
) -> None:
    for line, more in (
        (f"$kmskit keys --pin-file {pin_file}", {}),
        ("$kmskit keys", {"KMSKIT_PKCS11_PIN": pin}),
        ("$kmskit keys", {"KMSKIT_URI": token.uri}),
        ("$kmskit token list --uri $KMSKIT_URI", {}),
    ):
        status, shown = answer(terminal(line, **more))
        assert status == 0, shown
        assert "PIN of" not in shown
