"""SoftHSM tokens in folders of one's own: who may read them, that they are made once, and that they survive crashes."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree, rmtree

import pytest

import kmskit
from kmskit import softhsm
from kmskit.backends.pkcs11 import tokens
from kmskit.backends.pkcs11.location import Location
from kmskit.backends.pkcs11.places import find_modules, pin_file
from kmskit.softhsm import Token
from kmskit.testing import hostile, leaks
from kmskit.uri import parse
from tests.parts import missing
from tests.processes import Child, as_an_ordinary_user, in_child


@pytest.fixture(scope="module", autouse=True)
def _softhsm() -> None:
    if "SoftHSM" not in dict(find_modules()):
        missing("SoftHSM")


def count(folder: Path) -> int:
    """How many tokens SoftHSM has in a folder."""
    return len(os.listdir(folder / "tokens"))


def files(folder: Path) -> dict[str, bytes]:
    """All files but the lock, and the copies that the backend keeps for the case of a crash."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "kept")
    return {str(path): path.read_bytes() for path in found if path.name != ".lock"}


def use(uri: str) -> str:
    """Make a key and use it; the token's label."""
    with kmskit.connect(uri) as kms:
        key = kms.create_key()
        assert key.decrypt(key.encrypt(b"x")) == b"x"
    return dict(parse(uri).attributes)["token"]


# A token


def test_a_token_is_made_once_and_then_found(tmp_path: Path) -> None:
    made = softhsm.token(tmp_path / "folder", "demo")
    before = files(tmp_path)
    again = softhsm.token(tmp_path / "folder", "demo")
    assert (made.made, again.made) == (True, False)
    assert made == again
    assert files(tmp_path) == before
    assert count(tmp_path / "folder") == 1
    assert use(made.uri) == "demo"


def test_several_tokens_lie_in_one_folder(tmp_path: Path) -> None:
    first, second = softhsm.token(tmp_path, "first"), softhsm.token(tmp_path, "second")
    assert first.serial != second.serial
    assert first.pin_path.read_text() != second.pin_path.read_text()
    assert count(tmp_path) == 2
    assert (use(first.uri), use(second.uri)) == ("first", "second")
    assert softhsm.token(tmp_path, "first") == first


def test_folders_have_nothing_in_common(tmp_path: Path) -> None:
    first = softhsm.token(tmp_path / "a")
    with kmskit.connect(first.uri) as kms:
        kms.create_key("orders")
        second = softhsm.token(tmp_path / "b")
        assert (count(tmp_path / "a"), count(tmp_path / "b")) == (1, 1)
        with kmskit.connect(second.uri) as other:
            assert not list(other.keys())
    assert first.serial != second.serial


def test_the_uri_opens_the_token_in_another_process(tmp_path: Path) -> None:
    token = softhsm.token(tmp_path, "demo")
    with kmskit.connect(token.uri) as kms:
        blob = kms.create_key("orders").encrypt(b"4111")
    program = "import sys, kmskit; print(kmskit.connect(sys.argv[1]).key('orders').decrypt(bytes.fromhex(sys.argv[2])))"
    command = [sys.executable, "-W", "error", "-c", program, token.uri, blob.hex()]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).parents[1]
    )
    assert (done.stdout, done.stderr) == ("b'4111'\n", "")


def test_a_relative_folder_means_the_same_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    token = softhsm.token("folder")
    monkeypatch.chdir("/")
    assert token.folder == tmp_path / "folder"
    assert use(token.uri) == "kmskit"


def test_only_the_owner_can_look_into_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        token = softhsm.token(tmp_path / "above" / "folder")
        use(token.uri)
    finally:
        os.umask(before)
    for path in (tmp_path / "above").rglob("*"):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
    assert stat.S_IMODE((tmp_path / "above").stat().st_mode) == 0o700


def test_no_secret_is_shown(tmp_path: Path) -> None:
    token = softhsm.token(tmp_path)
    pin, so_pin = ((tmp_path / f"kmskit.{name}").read_bytes().strip() for name in ("pin", "so-pin"))
    assert pin != so_pin
    assert len(pin) == 32
    shown = [repr(token), token._repr_html_(), token.uri, str(token), repr(pickle.dumps(token))]
    leaks.assert_clean(shown, pin, so_pin)
    assert repr(token) == f"<Token kmskit ⟨{token.serial}⟩>"


@pytest.mark.parametrize("text", [text[:32] for text in hostile.STRINGS], ids=repr)
def test_a_hostile_label_works_and_its_display_is_safe(tmp_path: Path, text: str) -> None:
    token = softhsm.token(tmp_path, text)
    hostile.assert_safe(token)
    assert use(token.uri) == text
    assert softhsm.token(tmp_path, text) == token


# Folders and labels


@pytest.mark.parametrize(
    "name", ["a b", "a%20b", "Grüße 𝄞", "a;b&c?d", "tail ", "'\"$(touch x)", "x" * 200], ids=lambda name: name[:12]
)
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    token = softhsm.token(tmp_path / name)
    assert count(tmp_path / name) == 1
    assert use(token.uri) == "kmskit"
    assert softhsm.token(tmp_path / name) == token


@pytest.mark.parametrize("name", ["a#b", "a=b", "a\nb", "a\rb", "/".join(["x" * 200] * 5)], ids=lambda name: name[:4])
def test_a_folder_that_softhsm_would_take_for_another_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(kmskit.ConfigurationError, match="SoftHSM cannot keep tokens in"):
        softhsm.token(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("label", ["a", "a/b", "..", "a b", "a;b%20c", "ü" * 16, "x" * 32, ".", "~", " a"])
def test_a_label_may_be_any_text(tmp_path: Path, label: str) -> None:
    token = softhsm.token(tmp_path / "folder", label)
    assert token.label == label
    assert token.pin_path.parent == tmp_path / "folder"
    assert use(token.uri) == label
    assert softhsm.token(tmp_path / "folder", label) == token


@pytest.mark.parametrize("label", ["", "x" * 33, "ü" * 17, "a ", "a\n", "a\0b", "\udcff", "a\u3000"])
def test_a_label_that_a_token_cannot_have_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(ValueError, match=r"^label: "):
        softhsm.token(tmp_path / "folder", label)
    assert not list(tmp_path.iterdir())


def test_a_label_is_text(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^label: text expected, not bytes$"):
        softhsm.token(tmp_path / "folder", b"demo")  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["/dev/null/folder", "/proc/folder"])
def test_a_folder_that_cannot_be_made_is_said(place: str) -> None:
    with pytest.raises(kmskit.ConfigurationError, match=f"{place} cannot hold a token: ") as caught:
        softhsm.token(place)
    assert caught.value.hint == "choose a folder that can be written to"


def test_a_folder_that_cannot_be_written_to_is_said() -> None:
    with pytest.raises(kmskit.ConfigurationError, match="cannot hold a token: Permission denied"):
        as_an_ordinary_user(softhsm.token, "/etc/tokens")


# Moved, damaged, incomplete


def test_a_folder_that_was_moved_is_used_where_it_is(tmp_path: Path) -> None:
    token = softhsm.token(tmp_path / "here")
    with kmskit.connect(token.uri) as kms:
        kms.create_key("orders")
    (tmp_path / "here").rename(tmp_path / "there")
    moved = softhsm.token(tmp_path / "there")
    assert (moved.made, moved.serial) == (False, token.serial)
    with kmskit.connect(moved.uri) as kms:
        assert kms.key("orders")
    assert not (tmp_path / "here").exists()


def test_a_copy_is_a_token_of_its_own(tmp_path: Path) -> None:
    use(softhsm.token(tmp_path / "here").uri)
    copytree(tmp_path / "here", tmp_path / "there")
    copy = softhsm.token(tmp_path / "there")
    use(copy.uri)
    rmtree(tmp_path / "here")
    with kmskit.connect(copy.uri) as kms:
        assert len(list(kms.keys())) == 2


def test_settings_of_the_users_own_stay(tmp_path: Path) -> None:
    softhsm.token(tmp_path)
    path = tmp_path / "softhsm2.conf"
    path.write_text(path.read_text().replace("log.level = ERROR", "log.level = DEBUG"))
    softhsm.token(tmp_path, "other")
    assert "log.level = DEBUG" in path.read_text()


@pytest.mark.parametrize("ending", ["pin", "so-pin"])
def test_a_pin_that_is_gone_is_not_replaced_by_a_wrong_one(tmp_path: Path, ending: str) -> None:
    softhsm.token(tmp_path)
    (tmp_path / f"kmskit.{ending}").unlink()
    before = files(tmp_path)
    with pytest.raises(kmskit.ConfigurationError, match="its PIN is not there") as caught:
        softhsm.token(tmp_path)
    assert "choose another label" in str(caught.value.hint)
    assert files(tmp_path) == before


def test_pins_without_a_token_are_what_a_kill_leaves_and_are_used(tmp_path: Path) -> None:
    token = softhsm.token(tmp_path)
    pin = token.pin_path.read_bytes()
    rmtree(tmp_path / "tokens")
    made = softhsm.token(tmp_path)
    assert made.made
    assert made.serial != token.serial
    assert made.pin_path.read_bytes() == pin
    use(made.uri)


def test_a_token_without_a_user_pin_is_what_a_kill_leaves_and_gets_it(tmp_path: Path) -> None:
    uri = softhsm.token(tmp_path, "other").uri
    pin_path = pin_file(tmp_path, "demo")
    pin_path.write_text("0123456789abcdef\n")
    pin_path.chmod(0o600)
    (tmp_path / "demo.so-pin").write_text("fedcba9876543210\n")
    with tokens.opened(Location.parse(parse(uri))) as module:
        free = next(slot for slot in module.slots() if slot.get_token().label == "")
        module.cryptoki.init_token(free.slot_id, b"fedcba9876543210", "demo")
        half = tokens.find(module, "demo").serial.decode()
    token = softhsm.token(tmp_path, "demo")
    assert (token.made, token.serial) == (False, half)
    assert use(token.uri) == "demo"


def test_a_token_whose_maker_was_killed_before_it_had_any_pin_is_made_anew(tmp_path: Path) -> None:
    softhsm.token(tmp_path, "other")
    whole = next(tmp_path.glob("tokens/*/token.object"))
    first = softhsm.token(tmp_path)
    assert use(first.uri) == "kmskit"  # Its record is kept from now on.
    record = next(each for each in tmp_path.glob("tokens/*/token.object") if each != whole)
    # The counter, label and serial number; the flags as SoftHSM first sets them, and neither PIN.
    half = record.read_bytes()[:120] + (0x425).to_bytes(8, "big")
    record.write_bytes(half)
    kept = tmp_path / "kept" / record.parent.name
    assert kept.read_bytes()[:120][8:] == half[8:120]
    with pytest.raises(kmskit.AuthenticationError):
        softhsm.token(tmp_path)
    assert record.exists()  # Its copy has a PIN, so keys may be in it.
    kept.write_bytes(half)
    token = softhsm.token(tmp_path)
    assert (token.made, token.uri) == (True, first.uri)
    assert use(token.uri) == "kmskit"
    assert whole.exists()
    assert count(tmp_path) == 2


def test_it_may_be_killed_at_any_time(tmp_path: Path) -> None:
    for number in range(25):
        folder = tmp_path / str(number)
        child = Child(softhsm.token, folder)
        time.sleep(number * 0.004)
        child.kill()
        token = softhsm.token(folder)
        assert use(token.uri) == "kmskit"
        assert softhsm.token(folder) == token


# At the same time


def test_processes_make_one_token_together(tmp_path: Path) -> None:
    children = [Child(softhsm.token, tmp_path / "folder", "demo") for _ in range(4)]
    found: list[Token] = [child.result() for child in children]
    assert sum(token.made for token in found) == 1
    assert len({token.serial for token in found}) == 1
    assert count(tmp_path / "folder") == 1
    assert use(found[0].uri) == "demo"


def test_a_token_that_another_process_made_is_found_while_the_folder_is_in_use(tmp_path: Path) -> None:
    first = softhsm.token(tmp_path, "first")
    with kmskit.connect(first.uri):
        made = in_child(softhsm.token, tmp_path, "second")
        found = softhsm.token(tmp_path, "second")
        assert (found.made, found.serial) == (False, made.serial)
        assert count(tmp_path) == 2
    assert use(found.uri) == "second"


def test_a_token_that_is_made_while_the_folder_is_in_use_opens_at_once(tmp_path: Path) -> None:
    with kmskit.connect(softhsm.token(tmp_path, "first").uri) as kms:
        key = kms.create_key("orders")
        assert use(softhsm.token(tmp_path, "second").uri) == "second"
        assert key.decrypt(key.encrypt(b"x")) == b"x"


# What is missing


def test_softhsm_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softhsm, "find_modules", lambda: iter(()))
    with pytest.raises(kmskit.ConfigurationError, match="SoftHSM is not installed; looked for libsofthsm2") as caught:
        softhsm.token(tmp_path / "folder")
    assert "apt-get install softhsm2" in str(caught.value.hint)
    assert not list(tmp_path.iterdir())


def test_the_uri_of_all_tokens_in_a_folder(tmp_path: Path) -> None:
    with pytest.raises(kmskit.ConfigurationError, match=f"no token was made in {tmp_path}"):
        softhsm.tokens_uri(tmp_path)
    softhsm.token(tmp_path)
    uri = parse(softhsm.tokens_uri(tmp_path))
    assert uri.attributes == {}
    assert set(uri.query) == {"module-path", "x-softhsm2-conf"}


def test_the_folder_that_is_used_by_default_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert softhsm.default_folder() == tmp_path / "kmskit" / "softhsm"


def test_a_child_that_was_forked_while_a_token_was_made_does_not_keep_the_folder(tmp_path: Path) -> None:
    """A child has its parent's open files, and a lock is the open file's."""
    with softhsm._locked(tmp_path):
        child = Child(time.sleep, 30)
    begin = time.monotonic()
    softhsm.token(tmp_path)
    assert time.monotonic() - begin < 20
    child.kill()
