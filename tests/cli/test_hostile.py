"""Aliases, tags, descriptions, names and arguments come from others: none takes over the terminal or the markup."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

import kmskit
from kmskit.markup import printable
from kmskit.testing.hostile import STRINGS, assert_safe_text

from .conftest import COLOURS, Run, Terminal

MARKUP = ("[red]x[/red]", "[/]", "[link=file:///etc/passwd]here[/link]", ":smile:", "a\\[b]", "[@click=app.bell]x[/]")
HOSTILE = (*STRINGS, *MARKUP)
TERMINAL = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "500"}
"""With these rich believes that it writes to a terminal, so wide that nothing is folded."""


@pytest.fixture(params=HOSTILE, ids=repr)
def hostile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def key(kms: kmskit.Kms, hostile: str) -> kmskit.Key:
    return kms.create_key(hostile, tags={hostile: hostile}, description=hostile)


@pytest.mark.parametrize("look", [{}, TERMINAL], ids=["pipe", "terminal"])
def test_a_hostile_key_is_shown_and_does_nothing(run: Run, key: kmskit.Key, hostile: str, look: dict[str, str]) -> None:
    for arguments in (
        ["keys"],
        ["keys", "show", hostile],
        ["keys", "rotate", hostile],
        ["keys", "alias", "add", key.id, hostile],
    ):
        shown = COLOURS.sub("", run(*arguments, **look).output)
        assert_safe_text(shown, lines=True)
        assert printable(hostile) in shown, arguments


def test_a_hostile_key_goes_through_json_unchanged(run: Run, key: kmskit.Key, hostile: str) -> None:
    for arguments in (["keys"], ["keys", "show", key.id], ["keys", "rotate", hostile]):
        written = run(*arguments, "--json").stdout
        assert_safe_text(written, lines=True)
        facts = json.loads(written)
        facts = facts[0] if isinstance(facts, list) else facts
        assert facts["aliases"] == [hostile]
        assert facts["tags"] == {hostile: hostile}
        assert facts["description"] == hostile


@pytest.mark.parametrize("look", [{}, TERMINAL], ids=["pipe", "terminal"])
def test_hostile_arguments_are_refused_and_do_nothing(run: Run, hostile: str, look: dict[str, str]) -> None:
    for arguments, status in (
        (["keys", "show", hostile], 1),
        (["keys", "create", "new", "--spec", hostile], 2),
        (["keys", "create", "new", "--usage", hostile], 2),
        (["keys", "create", "new", f"--{hostile}"], 2),
        (["keys", hostile], 2),
        ([hostile], 2),
        (["keys", "tag", "new", hostile], 1 if "=" in hostile else 2),
        (["keys", "schedule-deletion", "new", "--days", hostile], 2),
        (["--uri", hostile, "keys"], 1),
        (["--uri", f"software:{hostile}", "keys"], 1),
        (["--passphrase-file", hostile, "keys"], 1),
        (["sign", hostile, hostile], 1),
        (["verify", "key", hostile, hostile], 1),
        (["verify", hostile, hostile, "--public-key", hostile], 1),
        (["keys", "import", "new", hostile, "--spec", "AES_256"], 1),
    ):
        refused = run(*arguments, status=status, **look)
        shown = COLOURS.sub("", refused.output)
        assert_safe_text(shown, lines=True)
        assert "error: " in shown


def test_hostile_file_names_are_shown_and_do_nothing(run: Run, kms: kmskit.Kms, hostile: str, tmp_path: Path) -> None:
    kms.create_key("releases", "ED25519")
    file = tmp_path / hostile.replace("/", "∕")
    file.write_bytes(b"x")
    for status in (0, 1):
        shown = run("sign", "releases", str(file), status=status).output
        assert_safe_text(shown, lines=True)
        assert printable(file.name) in shown
    assert_safe_text(run("verify", "releases", str(file), f"{file}.sig").output, lines=True)


def test_a_file_name_that_is_no_text_works(run: Run, kms: kmskit.Kms, tmp_path: Path) -> None:
    kms.create_key("releases", "ED25519")
    file = f"{tmp_path}/\udcff\udcfe"
    Path(file).write_bytes(b"x")
    assert r"\udcff\udcfe.sig: signature of" in run("sign", "releases", file).stdout
    assert_safe_text(run("verify", "releases", file, f"{file}.sig").stdout, lines=True)


@pytest.mark.parametrize("argument", ["\udcff", "\x00", "a\x00b"])
def test_arguments_that_are_no_text_are_refused(run: Run, argument: str) -> None:
    for arguments in (["keys", "create", argument], ["keys", "create", "new", "--tag", f"a={argument}"]):
        assert "cannot be stored" in run(*arguments, status=2).stderr


def test_a_real_terminal_gets_only_the_colours_of_ours(kms: kmskit.Kms, terminal: Terminal) -> None:
    for number, text in enumerate(HOSTILE):
        kms.create_key(f"{number}{text}", tags={text: text}, description=text)
    for arguments in (["keys"], ["keys", "show", f"4{HOSTILE[4]}"], ["keys", "show", HOSTILE[5]]):
        shown = terminal(f"$kmskit {shlex.join(arguments)}").communicate(timeout=60)[0].decode()
        plain = COLOURS.sub("", shown).replace("\r\n", "\n")
        assert plain != shown.replace("\r\n", "\n"), "no colour"
        assert_safe_text(plain, lines=True)
