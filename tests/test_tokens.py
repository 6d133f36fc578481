"""Modules, slots, tokens and mechanisms from outside: what is told, that it needs no PIN, and that it shows safely."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

import kmskit
from kmskit import softhsm, tokens
from kmskit.backends.pkcs11.places import find_modules
from kmskit.softhsm import Token
from kmskit.testing import hostile, leaks
from kmskit.tokens import MechanismInfo, Mechanisms, ModuleInfo, Modules, SlotInfo, Slots, TokenInfo, Tokens
from kmskit.uri import parse
from tests.parts import missing


@pytest.fixture(scope="module", autouse=True)
def _softhsm() -> None:
    if "SoftHSM" not in dict(find_modules()):
        missing("SoftHSM")


@pytest.fixture
def token(tmp_path: Path) -> Token:
    return softhsm.token(tmp_path / "softhsm", "demo")


def info(**changes: object) -> TokenInfo:
    """A token that is ready, but for what is changed."""
    values: dict[str, object] = {
        **dict.fromkeys(("label", "serial", "manufacturer", "model", "module", "uri"), "x"),
        **dict.fromkeys(("login_required", "pin_initialised"), True),
        **dict.fromkeys(("pin_count_low", "pin_final_try", "pin_locked", "write_protected", "pin_pad"), False),
    }
    return TokenInfo(**{**values, **changes})  # type: ignore[arg-type]


# Modules


def test_modules_are_found_without_loading_them() -> None:
    found = tokens.modules()
    assert [(module.product, module.path) for module in found] == list(find_modules())
    assert {module.loads for module in found} == {None}
    assert "not tried" in repr(found)


def test_modules_are_loaded_when_asked() -> None:
    found = {module.product: module for module in tokens.modules(load=True)}
    works = found["SoftHSM"]
    assert (works.loads, works.problem) == (True, "")
    assert works.version.startswith("2.")


def test_a_module_that_does_not_load_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "libsofthsm2.so"
    broken.write_text("no library")
    monkeypatch.setattr("kmskit.tokens.look.find_modules", lambda: iter([("SoftHSM", str(broken))]))
    (module,) = tokens.modules(load=True)
    assert module.loads is False
    assert "no PKCS#11 module that works here" in module.problem
    assert "no: " in repr(tokens.modules(load=True))


def test_looking_needs_the_extra_and_finding_modules_does_not(tmp_path: Path, token: Token) -> None:
    program = """
import sys
sys.modules["pkcs11"] = None
import kmskit
assert kmskit.tokens.modules()
for look in (lambda: kmskit.tokens.modules(load=True), lambda: kmskit.tokens.tokens(sys.argv[1]),
             lambda: kmskit.tokens.slots("/x.so"), lambda: kmskit.tokens.mechanisms(sys.argv[1]),
             lambda: kmskit.softhsm.token(sys.argv[2])):
    try:
        look()
    except kmskit.MissingDependencyError as error:
        print(error, error.hint)
"""
    command = [sys.executable, "-W", "error", "-c", program, token.uri, str(tmp_path / "new")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).parents[1]
    )
    line = 'the pkcs11 backend needs the package pkcs11 pip install "kmskit[pkcs11]"'
    assert (done.stdout.splitlines(), done.stderr) == ([line] * 5, "")
    assert not (tmp_path / "new").exists()


# Tokens


def test_a_token_is_told_by_its_uri(token: Token) -> None:
    (found,) = tokens.tokens(token.uri)
    assert (found.label, found.serial, found.uri) == ("demo", token.serial, token.uri)
    assert (found.manufacturer, found.model) == ("SoftHSM project", "SoftHSM v2")
    assert found.module == softhsm.module_path()
    assert (found.login_required, found.pin_initialised, found.state) == (True, True, "ready")


def test_all_tokens_of_a_place_are_told_in_order(token: Token) -> None:
    second = softhsm.token(token.folder, "another")
    place = softhsm.tokens_uri(token.folder)
    found = tokens.tokens(place)
    assert [row.label for row in found] == ["another", "demo"]
    assert [row.uri for row in found] == [second.uri, token.uri]
    assert [row.label for row in tokens.tokens(token.uri)] == ["demo"]
    by_serial = place.replace("pkcs11:", f"pkcs11:serial={second.serial}")
    assert [row.label for row in tokens.tokens(by_serial)] == ["another"]
    assert not tokens.tokens(place.replace("pkcs11:", "pkcs11:token=nobody"))


def test_the_uri_of_a_token_opens_it(token: Token) -> None:
    (found,) = tokens.tokens(softhsm.tokens_uri(token.folder))
    with kmskit.connect(found.uri) as kms:
        assert kms.create_key("orders")


def test_a_label_that_two_tokens_have_is_told_with_the_serial(tmp_path: Path, token: Token) -> None:
    twin = softhsm.token(tmp_path / "other", "demo")
    (folder,) = (twin.folder / "tokens").iterdir()
    folder.rename(token.folder / "tokens" / folder.name)
    found = tokens.tokens(softhsm.tokens_uri(token.folder))
    assert [row.label for row in found] == ["demo", "demo"]
    assert {parse(row.uri).attributes["serial"] for row in found} == {token.serial, twin.serial}
    for row in found:
        assert tokens.tokens(row.uri) == (row,)


def test_a_path_means_the_modules_own_tokens(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", str(token.folder / "softhsm2.conf"))
    (found,) = tokens.tokens(Path(softhsm.module_path()))
    assert (found.label, found.serial) == ("demo", token.serial)
    assert parse(found.uri).query == {"module-path": softhsm.module_path()}


@pytest.mark.parametrize(("bit", "name", "state"), [
    (0x10000, "pin_count_low", "PIN count low"),
    (0x20000, "pin_final_try", "final try"),
    (0x40000, "pin_locked", "PIN locked"),
])  # fmt: skip
def test_the_flags_of_a_token_are_told(token: Token, bit: int, name: str, state: str) -> None:
    set_flag(token, bit)
    (found,) = tokens.tokens(token.uri)
    assert getattr(found, name)
    assert found.state == state


def set_flag(token: Token, bit: int) -> None:
    """Set a flag in the token's file: SoftHSM itself never locks a PIN."""
    (file,) = token.folder.glob("tokens/*/token.object")
    content = file.read_bytes()
    flags = struct.pack(">Q", 0x42D)  # What a new token has.
    assert content.count(flags) == 1
    file.write_bytes(content.replace(flags, struct.pack(">Q", 0x42D | bit)))


def test_a_wrong_pin_is_told_until_the_right_one_comes(token: Token) -> None:
    with pytest.raises(kmskit.AuthenticationError):
        kmskit.connect(token.uri, pin="not-the-right-one")
    assert tokens.tokens(token.uri)[0].state == "PIN count low"
    kmskit.connect(token.uri).close()
    assert tokens.tokens(token.uri)[0].state == "ready"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "ready"),
        ({"pin_initialised": False}, "no PIN yet"),
        ({"pin_initialised": False, "login_required": False}, "ready"),
        ({"write_protected": True}, "write-protected"),
        ({"write_protected": True, "pin_count_low": True, "pin_final_try": True}, "final try"),
        ({"pin_locked": True, "pin_final_try": True}, "PIN locked"),
    ],
)
def test_the_state_is_the_gravest_flag(changes: dict[str, object], state: str) -> None:
    assert info(**changes).state == state


def test_looking_sends_no_pin_and_reads_none(token: Token) -> None:
    pin = token.pin_path.read_bytes().strip()
    token.pin_path.chmod(0o644)  # The backend would refuse it.
    shown = [*map(repr, tokens.tokens(token.uri)), repr(tokens.slots(token.uri)), repr(tokens.mechanisms(token.uri))]
    token.pin_path.unlink()
    assert tokens.tokens(token.uri)[0].state == "ready"
    leaks.assert_clean(shown, pin)


def test_looking_leaves_a_login_alone(token: Token) -> None:
    with kmskit.connect(token.uri) as kms:
        key = kms.create_key("orders")
        tokens.tokens(token.uri)
        tokens.slots(token.uri)
        tokens.mechanisms(token.uri)
        assert key.decrypt(key.encrypt(b"x")) == b"x"


# Slots


def test_slots_are_told_with_what_is_in_them(token: Token) -> None:
    full, free = tokens.slots(token.uri)
    assert full.token == tokens.tokens(token.uri)[0]
    assert (full.free, full.state) == (False, "ready")
    assert (free.token, free.free, free.state) == (None, True, "free")
    assert "SoftHSM" in full.description
    assert SlotInfo(0, "", "", None, free=False).state == "empty"


# Mechanisms


def test_mechanisms_are_told_with_sizes_and_uses(token: Token) -> None:
    found = {row.name: row for row in tokens.mechanisms(token.uri)}
    assert found["AES_GCM"].number == 0x1087
    assert found["AES_GCM"].uses == ("encrypt", "decrypt")
    assert found["AES_GCM"].key_sizes == "16-32"
    assert found["RSA_PKCS_KEY_PAIR_GEN"].uses == ("generate",)
    assert found["AES_KEY_GEN"].uses == ("generate",)
    assert {"sign", "verify"} <= set(found["ECDSA"].uses)
    assert found["SHA256"].uses == ("digest",)
    assert found["SHA256"].key_sizes == "-"
    assert not found["AES_GCM"].in_hardware


def test_mechanisms_are_the_same_each_time(token: Token) -> None:
    """python-pkcs11 takes flags from memory that nobody has set."""
    first = tokens.mechanisms(token.uri)
    assert [row.name for row in first] == sorted(row.name for row in first)
    for _ in range(20):
        assert tokens.mechanisms(token.uri) == first
    assert {row.name: row.uses for row in first}["AES_CBC_PAD"] == ("encrypt", "decrypt")


def test_mechanisms_for_one_use(token: Token) -> None:
    found = tokens.mechanisms(token.uri)
    signing = found.only("sign")
    assert isinstance(signing, Mechanisms)
    assert 0 < len(signing) < len(found)
    assert all("sign" in row.uses for row in signing)
    with pytest.raises(ValueError, match=r"^use: one of encrypt, .* expected, not 'nonsense'"):
        found.only("nonsense")


def test_the_token_is_named_if_there_are_several(token: Token) -> None:
    place = softhsm.tokens_uri(token.folder)
    assert tokens.mechanisms(place) == tokens.mechanisms(token.uri)
    softhsm.token(token.folder, "another")
    with pytest.raises(kmskit.ConfigurationError, match="2 tokens fit"):
        tokens.mechanisms(place)
    assert tokens.mechanisms(place, "another") == tokens.mechanisms(token.uri)
    with pytest.raises(kmskit.ConfigurationError, match="there is no token of token 'nobody'"):
        tokens.mechanisms(place, "nobody")


def test_a_module_without_tokens_tells_what_a_free_slot_can_do(tmp_path: Path, token: Token) -> None:
    softhsm.token(tmp_path / "empty")
    for folder in (tmp_path / "empty/tokens").iterdir():
        folder.rename(tmp_path / folder.name)
    place = softhsm.tokens_uri(tmp_path / "empty")
    assert not tokens.tokens(place)
    assert tokens.mechanisms(place) == tokens.mechanisms(token.uri)


@pytest.mark.parametrize(
    ("least", "most", "shown"), [(0, 0, "-"), (16, 32, "16-32"), (8, 8, "8"), (1, 1 << 31, "from 1")]
)
def test_key_sizes_are_written_shortly(least: int, most: int, shown: str) -> None:
    assert MechanismInfo("X", 1, least, most, (), in_hardware=False).key_sizes == shown


# What cannot be looked into


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("/nowhere/module.so", "there is no module /nowhere/module.so"),
        ("/etc/passwd", "no PKCS#11 module that works here"),
        ("software:", "software: URIs name no token"),
        ("software:///tmp/keys.db", "software: URIs name no token"),
        ("pkcs11:token=x?module-path=/nowhere.so", "module-path= names no file"),
        ("pkcs11:slot-id=1", "slot-id= names no token"),
        ("pkcs11:token=x?pin-value=12345678", "a PIN does not belong in a URI"),
        ("pkcs11:nonsense", "name=value"),
    ],
)
def test_what_cannot_be_looked_into_is_said(where: str, reason: str) -> None:
    for look in (tokens.tokens, tokens.slots, tokens.mechanisms):
        with pytest.raises(kmskit.ConfigurationError) as caught:
            look(where)
        assert reason in str(caught.value)
        leaks.assert_clean(caught.value, b"12345678")


def test_a_library_that_is_no_module_is_said() -> None:
    library = next(Path("/usr/lib").glob("*/libz.so.1"), None)
    if library is None:
        missing("libz")
    with pytest.raises(kmskit.ConfigurationError, match="no PKCS#11 module that works here"):
        tokens.tokens(library)


def test_places_are_the_users_folder_and_the_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    modules = tokens.places()
    assert modules == tuple(path for product, path in find_modules() if product not in ("NSS", "p11-kit"))
    assert not list(tmp_path.iterdir())
    softhsm.token(softhsm.default_folder())
    assert tokens.places() == (softhsm.tokens_uri(softhsm.default_folder()), *modules)


# Display


@pytest.mark.parametrize("text", hostile.STRINGS, ids=repr)
def test_displays_are_safe(text: str) -> None:
    token = info(**dict.fromkeys(("label", "serial", "manufacturer", "model", "module", "uri"), text))
    slot = SlotInfo(1, text, text, token, free=False)
    module = ModuleInfo(text, text, False, text, text)
    mechanism = MechanismInfo(text, 1, 2, 3, (text,), in_hardware=True)
    for shown in (
        *(token, slot, module, mechanism, Tokens([token]), Slots([slot]), Modules([module])),
        *(Mechanisms([mechanism]), Modules([ModuleInfo(text, text, True, text)])),
    ):
        hostile.assert_safe(shown)


def test_a_hostile_label_is_told_as_it_is_and_shown_safely(tmp_path: Path) -> None:
    text = hostile.STRINGS[4]
    token = softhsm.token(tmp_path, text)
    (found,) = tokens.tokens(token.uri)
    assert found.label == text
    hostile.assert_safe(found)
    hostile.assert_safe(tokens.slots(token.uri))


def test_what_differs_between_machines_is_marked(token: Token) -> None:
    (found,) = tokens.tokens(token.uri)
    assert repr(Tokens([found])).splitlines()[1] == f"demo   ⟨{token.serial}⟩  SoftHSM v2  ready"
    assert f'<span class="kms-volatile">{token.serial}</span>' in found._repr_html_()
    assert f'<span class="kms-volatile">{found.module}</span>' in found._repr_html_()
    slot, _ = tokens.slots(token.uri)
    assert f'<span class="kms-volatile">{slot.id}</span>' in slot._repr_html_()
    assert f"⟨{slot.id}⟩" in repr(slot)
    assert repr(found) == f"<TokenInfo demo ⟨{token.serial}⟩ ready>"


def test_mechanisms_are_a_table(token: Token) -> None:
    found = tokens.mechanisms(token.uri)
    assert repr(found).splitlines()[0].split() == ["mechanism", "key", "size", "uses"]
    html = found._repr_html_()
    assert html.count("<tr>") == len(found) + 1
    assert "bits for RSA and elliptic curves" in html
    assert repr(found[0]) == f"<MechanismInfo {found[0].name} {found[0].key_sizes} {', '.join(found[0].uses)}>"
    assert found[0].name in found[0]._repr_html_()
