"""`kmskit token`: a token from nothing, and looking at modules, slots, tokens and mechanisms."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

import kmskit
from kmskit import softhsm
from kmskit.backends.pkcs11.places import find_modules
from kmskit.softhsm import Token
from kmskit.testing.hostile import STRINGS, assert_safe_text
from kmskit.testing.leaks import assert_clean
from tests.parts import missing

from .conftest import COLOURS, Run, Shell, Terminal


@pytest.fixture(scope="module", autouse=True)
def _softhsm() -> None:
    if "SoftHSM" not in dict(find_modules()):
        missing("SoftHSM")


@pytest.fixture(autouse=True)
def _no_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SOFTHSM2_CONF", raising=False)


@pytest.fixture
def token(tmp_path: Path) -> Token:
    return softhsm.token(tmp_path / "softhsm", "demo")


# init


def test_a_token_from_nothing_to_a_key(shell: Shell, home: Path) -> None:
    made = shell("$kmskit token init --label demo")
    first, uri = made.stdout.decode().splitlines()
    assert first.startswith("demo: made, serial ")
    assert uri.startswith("pkcs11:token=demo?module-path=/")
    assert made.stderr.decode() == f"to use it in this shell: export KMSKIT_URI='{uri}'\n"
    folder = home / ".local/share/kmskit/softhsm"
    assert f"x-softhsm2-conf={folder}/softhsm2.conf" in uri
    for path in (folder, folder.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700

    again = shell("$kmskit token init --label demo").stdout.decode().splitlines()
    assert again == [first.replace("made,", "was there already,"), uri]

    shell("$kmskit keys create orders && echo data | $kmskit encrypt - --to orders -o sealed", KMSKIT_URI=uri)
    assert shell("$kmskit decrypt sealed -o -", KMSKIT_URI=uri).stdout == b"data\n"
    assert "HSM" in shell("$kmskit keys show orders", KMSKIT_URI=uri).stdout.decode()


def test_the_line_it_tells_works_in_a_shell(shell: Shell) -> None:
    shell("$kmskit token init --folder 'a b & c' 2>told; sed 's/.*: export/export/' told >line")
    shell(". ./line; export KMSKIT_URI; $kmskit keys create orders && $kmskit keys show orders")


def test_json_has_the_uri(run: Run, tmp_path: Path) -> None:
    arguments = ["token", "init", "--label", "demo", "--folder", str(tmp_path / "here"), "--json"]
    first, second = (json.loads(run(*arguments).stdout) for _ in range(2))
    assert (first.pop("made"), second.pop("made")) == (True, False)
    assert first == second
    assert first["pin_file"] == str(tmp_path / "here/demo.pin")
    run("keys", "create", "orders", "--uri", first["uri"])


def test_the_pin_is_not_told(run: Run, tmp_path: Path) -> None:
    told = run("token", "init", "--folder", str(tmp_path)).output
    pins = [(tmp_path / f"kmskit.{ending}").read_bytes().strip() for ending in ("pin", "so-pin")]
    for arguments in (["init"], ["list"], ["slots"], ["mechanisms"], ["list", "--json"], ["init", "--json"]):
        told += run("token", *arguments, "--folder", str(tmp_path)).output
    assert_clean(told, *pins)


@pytest.mark.parametrize("label", ["", "x" * 33, "a\n"])
def test_a_label_that_a_token_cannot_have_is_wrong_usage(run: Run, tmp_path: Path, label: str) -> None:
    refused = run("token", "init", "--folder", str(tmp_path / "here"), "--label", label, status=2)
    assert refused.stderr.startswith("error: label: ")
    assert not (tmp_path / "here").exists()


def test_a_folder_that_cannot_be_used_is_an_error(run: Run) -> None:
    refused = run("token", "init", "--folder", "/dev/null/x", status=1)
    assert refused.stderr == (
        "error: /dev/null/x cannot hold a token: Not a directory\nhint: choose a folder that can be written to\n"
    )


# list


def test_tokens_of_a_folder_are_listed_with_their_uris(run: Run, token: Token) -> None:
    other = softhsm.token(token.folder, "another")
    told = run("token", "list", "--folder", str(token.folder)).stdout
    assert told == "\n".join(
        f"token   {made.label}\nserial  {made.serial}\nmodel   SoftHSM project, SoftHSM v2\n"
        f"state   ready\nuri     {made.uri}\n"
        for made in (other, token)
    )
    assert run("token", "--uri", token.uri).stdout == told.split("\n\n")[1]
    facts = json.loads(run("token", "list", "--folder", str(token.folder), "--json").stdout)
    assert [(row["label"], row["uri"], row["state"]) for row in facts] == [
        (made.label, made.uri, "ready") for made in (other, token)
    ]


def test_without_a_place_it_looks_everywhere(run: Run, token: Token) -> None:
    own = softhsm.token(softhsm.default_folder(), "own")
    facts = json.loads(run("token", "--json").stdout)
    assert own.uri in [row["uri"] for row in facts]
    assert token.uri not in [row["uri"] for row in facts]
    found = [row["uri"] for row in json.loads(run("token", "--json", KMSKIT_URI=token.uri).stdout)]
    assert (found.count(own.uri), found.count(token.uri)) == (1, 1)
    found = [row["uri"] for row in json.loads(run("token", "--json", KMSKIT_URI=own.uri).stdout)]
    assert found.count(own.uri) == 1


def test_a_module_that_is_named_is_looked_into(run: Run, token: Token) -> None:
    configuration = str(token.folder / "softhsm2.conf")
    told = run("token", "list", "--module", softhsm.module_path(), "--json", SOFTHSM2_CONF=configuration).stdout
    assert [row["label"] for row in json.loads(told)] == ["demo"]


def test_a_place_that_cannot_be_looked_into_is_told_and_the_others_are_listed(run: Run, tmp_path: Path) -> None:
    own = softhsm.token(softhsm.default_folder(), "own")
    done = run("token", "list", SOFTHSM2_CONF="/nowhere/softhsm2.conf")
    assert own.uri in done.stdout
    assert "the PKCS#11 module could not be initialised" in done.stderr
    refused = run("token", "list", "--module", softhsm.module_path(), SOFTHSM2_CONF="/nowhere/x.conf", status=1)
    assert "the PKCS#11 module could not be initialised" in refused.stderr
    assert "kmskit doctor looks at it" in refused.stderr


def test_nothing_is_there(run: Run, token: Token) -> None:
    done = run("token", "list", "--uri", token.uri.replace("token=demo", "token=nobody"))
    assert (done.stdout, done.stderr) == ("", "no token is there; kmskit token init makes one\n")
    assert run("token", "list", "--uri", token.uri.replace("token=demo", "token=nobody"), "--json").stdout == "[\n]\n"


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["--folder", "/nowhere"], 1, "no token was made in /nowhere"),
        (["--module", "/nowhere.so"], 1, "there is no module /nowhere.so"),
        (["--module", "/etc/passwd"], 1, "no PKCS#11 module that works here"),
        (["--uri", "software:"], 1, "software: URIs name no token"),
        (["--uri", ""], 1, "there is no module"),
        (["--uri", "pkcs11:slot-id=1"], 1, "slot-id= names no token"),
        (["--module", "/x.so", "--folder", "/x"], 2, "name one place"),
        (["--uri", "pkcs11:token=x", "--folder", "/x"], 2, "name one place"),
    ],
)
def test_a_place_that_is_none_is_an_error(run: Run, arguments: list[str], status: int, reason: str) -> None:
    for command in ("list", "slots", "mechanisms"):
        assert reason in run("token", command, *arguments, status=status).stderr


# slots, mechanisms, modules


def test_slots_are_listed(run: Run, token: Token) -> None:
    header, full, free = run("token", "slots", "--uri", token.uri).stdout.splitlines()
    assert header.split() == ["slot", "token", "state", "module"]
    assert full.split()[1:] == ["demo", "ready", softhsm.module_path()]
    assert free.split()[1:] == ["-", "free", softhsm.module_path()]
    facts = json.loads(run("token", "slots", "--uri", token.uri, "--json").stdout)
    assert facts[0]["token"]["uri"] == token.uri
    assert (facts[1]["token"], facts[1]["state"]) == (None, "free")


def test_mechanisms_are_listed(run: Run, token: Token) -> None:
    lines = run("token", "mechanisms", "--uri", token.uri).stdout.splitlines()
    assert lines[0].split() == ["mechanism", "key", "size", "uses"]
    assert "AES_GCM                     16-32             encrypt, decrypt" in lines
    facts = json.loads(run("token", "mechanisms", "--uri", token.uri, "--json").stdout)
    (found,) = (row for row in facts if row["name"] == "AES_GCM")
    assert (found["number"], found["min_key_size"], found["max_key_size"]) == (0x1087, 16, 32)
    signing = run("token", "mechanisms", "--uri", token.uri, "--use", "sign").stdout
    assert "ECDSA" in signing
    assert "AES_GCM" not in signing
    nothing = run("token", "mechanisms", "--uri", token.uri, "--use", "unwrap", "--json").stdout
    assert all("unwrap" in row["uses"] for row in json.loads(nothing))


def test_the_token_whose_mechanisms_are_listed(run: Run, token: Token) -> None:
    place = ["token", "mechanisms", "--folder", str(token.folder)]
    alone = run(*place).stdout
    softhsm.token(token.folder, "another")
    assert "2 tokens fit" in run(*place, status=1).stderr
    assert run(*place, "--label", "another").stdout == alone
    assert "there is no token of token 'nobody'" in run(*place, "--label", "nobody", status=1).stderr
    assert run("token", "mechanisms", KMSKIT_URI=token.uri).stdout == alone
    softhsm.token(softhsm.default_folder())
    assert run("token", "mechanisms").stdout == alone
    assert "Invalid value for '--use'" in run(*place, "--use", "nonsense", status=2).stderr


def test_modules_are_listed(run: Run) -> None:
    path = dict(find_modules())["SoftHSM"]
    line = next(line for line in run("token", "modules").stdout.splitlines() if line.startswith("SoftHSM"))
    assert line.split() == ["SoftHSM", "not", "tried", path]
    line = next(line for line in run("token", "modules", "--load").stdout.splitlines() if line.startswith("SoftHSM"))
    assert line.split() == ["SoftHSM", "yes", path]
    facts = {row["product"]: row for row in json.loads(run("token", "modules", "--load", "--json").stdout)}
    assert facts["SoftHSM"]["loads"] is True
    assert facts["SoftHSM"]["version"].startswith("2.")


def test_a_module_that_does_not_load_is_told(run: Run) -> None:
    done = run("token", "modules", "--load", SOFTHSM2_CONF="/nowhere/softhsm2.conf")
    line = next(line for line in done.stdout.splitlines() if line.startswith("SoftHSM"))
    assert line.split()[1] == "no"
    assert "libsofthsm2.so: the PKCS#11 module could not be initialised" in done.stderr


# Hostile labels


@pytest.mark.parametrize("text", STRINGS, ids=repr)
def test_hostile_labels_are_shown_and_do_nothing(run: Run, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "here"
    for arguments, status in (
        (["init", "--label", text[:32], "--folder", str(folder)], 0),
        (["list", "--folder", str(folder)], 0),
        (["slots", "--folder", str(folder)], 0),
        (["mechanisms", "--folder", str(folder), "--label", text], 1 if len(text) > 32 else 0),
        (["mechanisms", "--folder", str(folder), "--label", f"x{text}"], 1),
        (["list", "--folder", text], 1),
        (["list", "--module", text], 1),
        (["list", "--uri", text], 1),
        (["init", "--folder", str(folder), "--label", "x" * 40 + text], 2),
    ):
        for more in ([], ["--json"]):
            shown = run("token", *arguments, *more, status=status, FORCE_COLOR="1", TERM="xterm", COLUMNS="500")
            assert_safe_text(COLOURS.sub("", shown.output), lines=True)


def test_a_real_terminal_gets_only_the_colours_of_ours(tmp_path: Path, terminal: Terminal) -> None:
    for text in STRINGS:
        softhsm.token(tmp_path / "here", text[:32])
    for command in ("list", "slots"):
        shown = terminal(f"$kmskit token {command} --folder here").communicate(timeout=60)[0].decode()
        plain = COLOURS.sub("", shown).replace("\r\n", "\n")
        assert plain != shown.replace("\r\n", "\n"), "no colour"
        assert_safe_text(plain, lines=True)


def test_the_software_store_is_not_opened_for_it(run: Run, tmp_path: Path, token: Token) -> None:
    run("token", "list", "--folder", str(token.folder))
    assert not (tmp_path / "keys.db").exists()
    assert kmskit.softhsm.token(token.folder, "demo") == token
