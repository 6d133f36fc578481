"""The program as a whole: how it is started, its options, its exit statuses, and what it does when a stream fails."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

import kmskit
from kmskit.cli.commands import kmskit as program

from .conftest import ROOT, Run, Shell


def commands(command: click.Command, *names: str) -> Iterator[tuple[str, ...]]:
    """The names of all commands, groups included."""
    yield names
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            yield from commands(sub, *names, name)


COMMANDS = list(commands(program))


def test_both_ways_to_start_it_are_one(shell: Shell) -> None:
    version = f"kmskit {kmskit.__version__}\n".encode()
    assert shell("$kmskit --version").stdout == version
    assert shell("python -c 'from kmskit.cli import main; main()' --version").stdout == version


def test_the_three_exit_statuses(shell: Shell) -> None:
    assert shell("$kmskit keys create orders").stderr == b""
    refused = shell("$kmskit keys create orders", status=1)
    assert refused.stderr.startswith(b"error: the alias 'orders' is taken\nhint: ")
    misused = shell("$kmskit keys create", status=2)
    assert misused.stderr == (
        b"error: Missing argument 'ALIAS'.\n"
        b"usage: kmskit keys create [OPTIONS] ALIAS\n"
        b"hint: kmskit keys create --help\n"
    )
    for refusal in (refused, misused, shell("$kmskit keys show nobody", status=1), shell("$kmskit nonsense", status=2)):
        assert refusal.stdout == b""
    assert shell("$kmskit", status=2).stderr.startswith(b"Usage: kmskit ")


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_the_shared_options(run: Run, names: tuple[str, ...]) -> None:
    shown = run(*names, "--help").stdout
    assert shown.startswith(f"Usage: {' '.join(('kmskit', *names))} ")
    for option in ("--uri", "--json", "--passphrase-file", "--pin-file"):
        assert option in shown
    assert "..." not in shown.partition("Commands:")[2], "a first sentence is too long for a list of commands"


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_no_command_takes_a_passphrase_or_pin_as_an_argument(names: tuple[str, ...]) -> None:
    command: click.Command = program
    for name in names:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert not [
        option for parameter in command.params for option in parameter.opts if option in ("--passphrase", "--pin")
    ]


# The shared options


def test_the_uri_comes_from_the_option_else_the_variable_else_the_users_folder(shell: Shell, tmp_path: Path) -> None:
    here, there = f"software://{tmp_path}/a.db", f"software://{tmp_path}/b.db"
    shell(f"$kmskit --uri {here} keys create before")
    shell(f"$kmskit keys create behind --uri {there}")
    shell(f"$kmskit --uri {here} keys create last --uri {there}")
    shell("$kmskit keys create variable", KMSKIT_URI=here)
    shell("$kmskit keys create default", KMSKIT_URI="")
    found = {}
    for name, uri in (("a", here), ("b", there)):
        with kmskit.connect(uri) as kms:
            found[name] = [key.aliases[0] for key in kms.keys(state="ENABLED")]
    assert found == {"a": ["before", "variable"], "b": ["behind", "last"]}
    assert (tmp_path / "home/.local/share/kmskit/keys.db").exists()


def test_an_empty_home_is_enough(shell: Shell, home: Path) -> None:
    shell("unset KMSKIT_URI; $kmskit keys create orders && $kmskit keys show orders")
    folder = home / ".local/share/kmskit"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"keys.db": 0o600, "keys.db.key": 0o600}


def test_a_home_that_is_none_is_an_error(shell: Shell) -> None:
    refused = shell("unset KMSKIT_URI; $kmskit keys create orders", status=1, HOME="/dev/null")
    assert refused.stderr.startswith(b"error: the key store cannot be made: Not a directory\nhint: ")


@pytest.mark.parametrize("uri", ["", "nonsense", "foo:", "software:relative", "software:///nowhere/keys.db"])
def test_a_uri_that_cannot_be_used_is_an_error_and_not_the_default(shell: Shell, home: Path, uri: str) -> None:
    refused = shell('$kmskit --uri "$uri" keys create orders', status=1, uri=uri)
    assert refused.stderr.startswith(b"error: ")
    assert b"hint: " in refused.stderr
    assert not os.listdir(home)


def test_json_may_stand_before_or_behind_the_command(run: Run) -> None:
    run("keys", "create", "orders")
    before, behind, between = (
        run(*arguments).stdout
        for arguments in (
            ["--json", "keys", "show", "orders"],
            ["keys", "show", "orders", "--json"],
            ["keys", "--json"],
        )
    )
    assert before == behind
    assert json.loads(between) == [json.loads(before)]


def test_capabilities_are_those_of_the_library(run: Run) -> None:
    with kmskit.connect("software:?memory=1") as kms:
        table = kms.capabilities()
    plain = [line.split() for line in run("capabilities").stdout.splitlines()]
    facts = json.loads(run("capabilities", "--json", "--uri", "software:?memory=1").stdout)
    for (spec, operation), support in table.items():
        assert facts[spec][operation] == {
            "supported": bool(support),
            "reason": support.reason,
            "max_bytes": support.max_bytes,
        }
        (row,) = (row for row in plain if row[0] == spec)
        assert row[plain[0].index(operation)] == ("yes" if support else "-")


# Without the extra


def test_without_the_extra_it_names_the_pip_line(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in ("cryptography", "_cffi_backend", "platformdirs"):  # What kmskit itself needs, and nothing else.
        found = find_spec(name)
        if found is None or found.origin is None:
            continue
        path = Path(found.origin).parent if found.submodule_search_locations else Path(found.origin)
        (packages / path.name).symlink_to(path)
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(packages)]), "HOME": str(tmp_path)}
    for arguments in (["-m", "kmskit", "keys"], ["-c", "import kmskit.cli; kmskit.cli.main()"]):
        command = [sys.executable, "-S", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == 'error: the command line needs the package click\nhint: pip install "kmskit[cli]"\n'
        assert (done.returncode, done.stdout) == (1, "")
    use = "import kmskit; print(kmskit.connect('software:?memory=1').create_key().spec)"
    command = [sys.executable, "-S", "-c", use]
    assert subprocess.run(command, env=environment, capture_output=True, timeout=60, check=True).stdout == b"AES_256\n"


# Streams that fail


def test_a_full_disk_is_an_error(shell: Shell) -> None:
    shell("$kmskit keys create releases --spec EC_P256")
    for line in ("keys", "keys --json", "sign releases /etc/hostname -o -", "capabilities", "--version"):
        refused = shell(f"$kmskit {line} >/dev/full", status=1)
        assert refused.stderr == b"error: No space left on device\n", line


def test_a_closed_stdout_is_an_error(shell: Shell) -> None:
    assert shell("$kmskit keys >&-", status=1).stderr == b"error: stdout is closed\n"
    shell("$kmskit keys create releases --spec EC_P256")
    assert shell("$kmskit sign releases - <&-", status=1).stderr == b"error: stdin is closed\n"
    assert shell("$kmskit keys show nobody 2>&-", status=1).stdout == b""


def test_a_reader_who_has_enough_is_no_error_to_talk_about(shell: Shell, uri: str) -> None:
    with kmskit.connect(uri) as kms:
        key = kms.create_key("orders", tags={f"{number}": "x" * 200 for number in range(300)})
        for number in range(20):
            key.add_alias(f"{number:02}" + "y" * 240)
    done = shell("{ $kmskit keys show orders; echo $? >status; } | head -c 10; cat status")
    assert done.stderr == b""
    assert done.stdout.endswith(b"1\n")


def test_what_the_encoding_lacks_is_escaped(shell: Shell) -> None:
    shell("$kmskit keys create Müller-𝄞")
    for encoding, expected in (("ascii", rb"M\xfcller-\U0001d11e"), ("latin-1", b"M\xfcller-\\U0001d11e")):
        line = "$kmskit keys list && $kmskit keys show Müller-𝄞 && $kmskit keys rotate nobody-𝄞"
        shown = shell(line, PYTHONIOENCODING=encoding, status=1)
        assert shown.stdout.splitlines()[1].startswith(expected)
        assert b"aliases          " + expected in shown.stdout
        assert rb"nobody-\U0001d11e" in shown.stderr
