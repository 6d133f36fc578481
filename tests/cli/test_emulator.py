"""`kmskit emulator`: the table of actions, and what is refused before anything starts. Running it is tested in
`tests/emulator/state/test_restart.py`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from kmskit.emulator import ACTIONS

from .conftest import Run


def test_the_actions_are_listed_with_their_evidence(run: Run) -> None:
    told = run("emulator", "--actions")
    lines = told.stdout.splitlines()
    assert lines[0].split() == ["action", "state", "evidence", "note"]
    assert [line.split()[0] for line in lines[1:]] == list(ACTIONS)
    counted = Counter(action.state for action in ACTIONS.values())
    assert f"{counted['done']} done, {counted['not done']} not done, {counted['partly']} partly" in told.stderr
    listed = json.loads(run("--json", "emulator", "--actions").stdout)
    assert {each["action"]: each["evidence"] for each in listed} == {
        name: action.evidence for name, action in ACTIONS.items()
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "65536"),
        ("--instance-ports", "1"),
        ("--instance-ports", "1,x"),
        ("--instance-ports", "1,65536"),
        ("--user", "app"),
        ("--user", ":policy"),
    ],
)
def test_wrong_usage_is_told(run: Run, arguments: tuple[str, str]) -> None:
    assert arguments[0] in run("emulator", *arguments, status=2).stderr


def test_what_cannot_start_says_why_and_leaves_no_env_file(run: Run, tmp_path: Path) -> None:
    env, folder = tmp_path / "env", tmp_path / "open"
    env.write_text("old")
    folder.mkdir(mode=0o755)
    told = run("emulator", "--data-dir", str(folder), "--env-file", str(env), status=1)
    assert "can be read by others" in told.stderr
    assert not env.exists()
    assert "no policy" in run("emulator", "--user", "app:None", status=1).stderr
    assert "the region is not" in run("emulator", "--region", "x\ny=1", status=1).stderr
    assert "cannot be read" in run("emulator", "--seed", str(tmp_path / "none"), status=1).stderr
