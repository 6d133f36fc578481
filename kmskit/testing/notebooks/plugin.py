"""The plugin's hooks: options, and the collected guard and exercises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import nbformat
import nbval.plugin
import pytest
from nbclient.exceptions import CellExecutionError, CellTimeoutError

from kmskit.testing.notebooks.exercises import ExerciseError, try_all
from kmskit.testing.notebooks.guard import Limits, faults, measure
from kmskit.testing.notebooks.kernel import same_for_everyone
from kmskit.testing.notebooks.outputs import SANITIZE_FILE, count_rules, read_rules
from kmskit.testing.notebooks.summary import MEASURE, Aims, Summary

__all__ = ["pytest_addoption", "pytest_collect_file", "pytest_configure", "rules_file"]

_CELL_TIMEOUT = 60.0
_NBVAL_TIMEOUT = 2000.0  # Its default, which no one means.
_OPTIONS = {
    "ignored": ("--notebook-ignore-budget", "cells that may be marked to be ignored or skipped"),
    "lines": ("--notebook-max-lines", "lines that a code cell may have"),
    "compared": ("--notebook-min-compared", "per cent of the printing cells whose output must be compared"),
    "silent": ("--notebook-max-silent", "per cent of the code cells that may print nothing"),
}
_AIMS = {
    "each": ("--notebook-aim", "seconds that a notebook should take; the summary tells which take longer"),
    "all": ("--notebook-aim-all", "seconds that all of them should take"),
}


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not pluginmanager.has_plugin("nbval"):  # Plugins named by -p come before those that are installed.
        pluginmanager.register(nbval.plugin, "nbval")
    group = parser.getgroup("notebooks", "notebooks as documents and tests")
    for field in (*fields(Limits), *fields(Aims)):
        option, text = {**_OPTIONS, **_AIMS}[field.name]
        group.addoption(option, type=int, default=field.default, metavar="N", help=f"{text} ({field.default})")
    group.addoption("--notebook-uri", metavar="URI", help="KMSKIT_URI of the kernels: the same outputs elsewhere")


def pytest_configure(config: pytest.Config) -> None:
    """Turn nbval on, strict, with our rules and those of a file that the user names."""
    config.pluginmanager.register(Summary(_limits(config), _aims(config)), "notebooks-summary")
    option = config.option
    if option.nbval_lax:
        raise pytest.UsageError("--nbval-lax compares nothing that is not marked; leave it out")
    stack = ExitStack()
    config.add_cleanup(stack.close)
    folder = stack.enter_context(same_for_everyone(option.notebook_uri))
    option.nbval = True
    option.nbval_current_env = option.nbval_kernel_name is None
    if option.nbval_cell_timeout == _NBVAL_TIMEOUT:
        option.nbval_cell_timeout = _CELL_TIMEOUT
    option.nbval_sanitize_with = str(rules_file(option.nbval_sanitize_with, folder))


def _limits(config: pytest.Config) -> Limits:
    return Limits(**{name: config.getoption(option) for name, (option, _) in _OPTIONS.items()})


def _aims(config: pytest.Config) -> Aims:
    return Aims(**{name: config.getoption(option) for name, (option, _) in _AIMS.items()})


def rules_file(of_the_user: str | None, folder: Path) -> Path:
    """The file of our rules, or one in `folder` of ours and the user's; UsageError if nbval would drop one."""
    path = SANITIZE_FILE
    if of_the_user is not None:
        path = folder / "sanitize.cfg"
        try:
            path.write_text("\n".join(Path(name).read_text("utf-8") for name in (SANITIZE_FILE, of_the_user)), "utf-8")
        except OSError as error:
            raise pytest.UsageError(f"--nbval-sanitize-with: {error}") from None
    meant, found = count_rules(path.read_text("utf-8"))
    if meant != found:
        raise pytest.UsageError(
            f"nbval finds {found} of {meant} rules in {of_the_user or SANITIZE_FILE}; a rule is a line `regex: ...` "
            "and right below it a line `replace: ...`, neither of them indented or empty"
        )
    return path


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return GuardFile.from_parent(parent, path=file_path) if file_path.suffix == ".ipynb" else None


class GuardFile(pytest.File):
    """A notebook as the guard sees it; nbval collects its cells."""

    def collect(self) -> Iterator[pytest.Item]:
        notebook = nbformat.read(self.path, as_version=4)  # type: ignore[no-untyped-call]
        yield GuardItem.from_parent(self, name="guard", notebook=notebook)
        if any({"exercise", "check"} & {*cell.metadata.get("tags", ())} for cell in notebook.cells):
            yield ExercisesItem.from_parent(self, name="exercises", notebook=notebook)


class _NotebookItem(pytest.Item):
    def __init__(self, *, notebook: nbformat.NotebookNode, **options: Any) -> None:
        super().__init__(**options)
        self.notebook = notebook

    def find_faults(self) -> list[str]:
        raise NotImplementedError

    def runtest(self) -> None:
        if found := self.find_faults():
            pytest.fail("\n".join(found), pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name


class GuardItem(_NotebookItem):
    """The rules for a stored notebook."""

    def find_faults(self) -> list[str]:
        # A property of the report, so that it also comes back from a worker of pytest-xdist.
        rules = read_rules(Path(self.config.option.nbval_sanitize_with))
        self.user_properties.append((MEASURE, asdict(measure(self.notebook, rules))))
        return faults(self.notebook, _limits(self.config), rules, (self.config.rootpath, self.path.parent))


class ExercisesItem(_NotebookItem):
    """The exercises' solutions and wrong answers."""

    def find_faults(self) -> list[str]:
        try:
            return try_all(self.path, self.notebook, self.config.option.nbval_cell_timeout)
        except (ExerciseError, CellExecutionError, CellTimeoutError) as error:
            return [str(error)]
