"""The plugin as others use it: `pytest -p kmskit.testing.notebooks`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import kmskit
from kmskit.testing.notebooks.outputs import SANITIZE_FILE, count_rules, read_rules
from kmskit.testing.notebooks.plugin import rules_file
from tests.testing.notebooks.making import code, exercise, notebook, printed, prints, run, shown, write

PLUGIN = ("pytest", "-p", "kmskit.testing.notebooks", "-rpfEs", "--color=no")
WRONG = ("number = 3", "too small")


def _make_sound(folder: Path) -> None:
    """All that may differ does: inside volatile marks, and what a rule of the user masks."""
    volatile = shown("⟨31.7⟩", '<span class="kms-volatile">31.7</span>')
    made = notebook(
        code("import os\nfrom kmskit.notebook import scratch, volatile\nos.environ['PYTHONHASHSEED']", shown("'0'")),
        code("scratch().uri", shown("'software:?memory=1'")),
        code("print(open('data.txt').read(), volatile(4))", printed("beside the notebook ⟨31⟩\n")),
        code("scratch().create_key('orders').aliases", shown("('⟨nb-00000000-⟩orders',)")),
        code("volatile(4)", volatile),
        code("print(f'pid {os.getpid()} is ours')", printed("pid 1 is ours\n")),
        *map(prints, "abc"),
        *exercise(WRONG),
    )
    write(folder / "sound.ipynb", made)
    (folder / "data.txt").write_text("beside the notebook")


def _make_unsound(folder: Path) -> None:
    """Something differs outside the marks, and a wrong answer is accepted."""
    made = notebook(
        code("print('it took ⟨4⟩ ms')", printed("it took ⟨4⟩ s\n")), *exercise(("number = 10", "too small"))
    )
    write(folder / "unsound.ipynb", made)


def _make_broken(folder: Path) -> None:
    """A cell fails on the way to an exercise."""
    write(folder / "broken.ipynb", notebook(code("1 / 0", printed("0\n")), *exercise(WRONG)))


def _make_stripped(folder: Path) -> None:
    """Nothing is compared."""
    made = notebook(code("print('one')"))
    made.cells[0].execution_count = None
    write(folder / "stripped.ipynb", made)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One run of four notebooks, by a user whose IPython settings and KMSKIT_URI would break each of them."""
    home = tmp_path_factory.mktemp("home")
    startup = home / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-mine.py").write_text("raise SystemExit('a start-up file of the user was run')")
    (home / "rules.cfg").write_text("[process]\nregex: pid [0-9]+\nreplace: PID\n")
    folder = home / "course"
    folder.mkdir()
    for make in (_make_sound, _make_unsound, _make_broken, _make_stripped):
        make(folder)
    return run(
        *PLUGIN,
        "course",
        "--nbval-sanitize-with=rules.cfg",
        folder=home,
        IPYTHONDIR=str(home / "ipython"),
        KMSKIT_URI="software:///not/there/keys.db",
    )


def _failed(done: subprocess.CompletedProcess[str], name: str) -> list[str]:
    outcomes = re.findall(rf"^(PASSED|FAILED|ERROR) course/{name}\.ipynb::(\w+(?: \d+)?)", done.stdout, re.MULTILINE)
    assert outcomes, done.stdout + done.stderr
    return [item for outcome, item in outcomes if outcome != "PASSED"]


def test_values_inside_the_marks_may_change_and_settings_of_the_user_do_not_matter(
    course: subprocess.CompletedProcess[str],
) -> None:
    assert _failed(course, "sound") == [], course.stdout


def test_a_change_outside_the_marks_and_an_accepted_wrong_answer_fail(course: subprocess.CompletedProcess[str]) -> None:
    assert _failed(course, "unsound") == ["exercises", "Cell 0"]
    assert "wrong, because 'too small', is the answer\nnumber = 10\nand its check shows:\nRight" in course.stdout


def test_a_notebook_that_nbval_alone_would_pass_fails_by_the_guard(course: subprocess.CompletedProcess[str]) -> None:
    assert _failed(course, "stripped") == ["guard"]
    assert "run it from top to bottom and store it" in course.stdout


def test_a_cell_that_fails_before_an_exercise_fails_it(course: subprocess.CompletedProcess[str]) -> None:
    assert _failed(course, "broken") == ["exercises", "Cell 0"]
    assert "ZeroDivisionError" in course.stdout


def test_the_summary_tells_how_much_was_compared(course: subprocess.CompletedProcess[str]) -> None:
    rows = [re.split(r"  +", line) for line in course.stdout.splitlines() if re.match(r"course/\S+  |all  ", line)]
    assert [row[:5] for row in rows] == [
        ["course/broken.ipynb", "4", "3 of 3, 100 %", "1, 25 %", "0"],
        ["course/sound.ipynb", "12", "10 of 11, 90 %", "1, 9 %", "0"],
        ["course/stripped.ipynb", "1", "0 of 0", "1, 100 %", "0"],
        ["course/unsound.ipynb", "4", "3 of 3, 100 %", "1, 25 %", "0"],
        ["all", "21", "16 of 17, 94 %", "4, 20 %", "0"],
    ]
    assert all(re.fullmatch(r"\d+\.\d", figure) for row in rows for figure in row[5:])
    assert re.search(r"^limit, aim +at least 90 % +at most 35 % +0 +60, all 360$", course.stdout, re.MULTILINE)
    assert "slower" not in course.stdout


def test_what_takes_longer_than_is_aimed_at_is_told_and_fails_nothing(tmp_path: Path) -> None:
    write(tmp_path / "slow.ipynb", notebook(prints()))
    done = run(*PLUGIN, "--notebook-aim=0", "--notebook-aim-all=0", "slow.ipynb", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.findall(r"^slower than is aimed at: ([\w.]+), \d+ s, not 0$", done.stdout, re.MULTILINE) == [
        "slow.ipynb",
        "all",
    ]


def test_notebooks_run_in_the_backend_that_is_named_and_leave_no_file(tmp_path: Path) -> None:
    """nbval kills its kernels, so what they would tidy up at their end is left to the plugin."""
    uri = f"software://{tmp_path}/keys.db"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    left = code("import tempfile\nfolder = tempfile.TemporaryDirectory()")
    used = code("from kmskit.notebook import scratch\nprint(scratch().uri)", printed(f"{uri}\n"))
    write(tmp_path / "elsewhere.ipynb", notebook(left, used, *map(prints, "abc")))
    done = run(*PLUGIN, "elsewhere.ipynb", f"--notebook-uri={uri}", folder=tmp_path, TMPDIR=str(temporary))
    assert re.findall(r"^(\w+) elsewhere\.ipynb::Cell", done.stdout, re.MULTILINE) == ["PASSED"] * 5
    assert list(temporary.iterdir()) == []


def test_lax_comparison_is_refused_also_where_plugins_do_not_load_by_themselves(tmp_path: Path) -> None:
    done = run(*PLUGIN, "--nbval-lax", folder=tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert done.returncode == 4
    assert "--nbval-lax compares nothing that is not marked" in done.stderr


@pytest.mark.parametrize("command", [["-c", "import kmskit.testing.notebooks"], ["-m", *PLUGIN]])
def test_a_missing_package_is_named_with_the_line_that_installs_it(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['nbformat'] = None\n")
    path = f"{tmp_path}:{Path(kmskit.__file__).parents[1]}"
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "needs the package nbformat" in done.stderr
    assert "pip install pytest nbval nbclient ipykernel" in done.stderr


def test_nbval_finds_every_rule_of_the_file_that_is_shipped() -> None:
    assert count_rules(SANITIZE_FILE.read_text("utf-8")) == (3, 3)
    assert rules_file(None, Path("unused")) == SANITIZE_FILE


def test_rules_of_the_user_are_added_to_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.cfg").write_text("regex: a\nreplace: b\n")
    merged = read_rules(rules_file(str(tmp_path / "mine.cfg"), tmp_path))
    assert merged == {**read_rules(SANITIZE_FILE), "a": "b"}


def test_a_file_of_rules_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(pytest.UsageError, match=r"No such file or directory: '.*mine\.cfg'"):
        rules_file(str(tmp_path / "mine.cfg"), tmp_path)


DROPPED = {
    "an empty replacement": "regex: a\nreplace:\n",
    "no space": "regex:a\nreplace: b\n",
    "an equals sign": "regex= a\nreplace: b\n",
    "an indented rule": "  regex: a\nreplace: b\n",
    "a comment between": "regex: a\n# why\nreplace: b\n",
    "a rule twice": "regex: a\nreplace: b\nregex: a\nreplace: c\n",
}


@pytest.mark.parametrize("name", DROPPED)
def test_a_rule_that_nbval_would_drop_unseen_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.cfg").write_text(DROPPED[name])
    with pytest.raises(pytest.UsageError, match=r"nbval finds \d of \d rules"):
        rules_file(str(tmp_path / "mine.cfg"), tmp_path)
