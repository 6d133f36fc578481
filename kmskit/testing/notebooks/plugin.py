"""The plugin's hooks: options, the collected guard and exercises, and the summary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import nbformat
import nbval.plugin
import pytest
from nbclient.exceptions import CellExecutionError, CellTimeoutError

from kmskit import markup
from kmskit.testing.notebooks.exercises import ExerciseError, try_all
from kmskit.testing.notebooks.guard import Limits, Measure, faults, measure
from kmskit.testing.notebooks.kernel import same_for_everyone
from kmskit.testing.notebooks.outputs import SANITIZE_FILE, count_rules, read_rules

__all__ = ["pytest_addoption", "pytest_collect_file", "pytest_configure", "rules_file"]

_CELL_TIMEOUT = 60.0
_NBVAL_TIMEOUT = 2000.0  # Its default, which no one means.
_OPTIONS = {
    "ignored": ("--notebook-ignore-budget", "cells that may be marked to be ignored or skipped"),
    "lines": ("--notebook-max-lines", "lines that a code cell may have"),
    "compared": ("--notebook-min-compared", "per cent of the printing cells whose output must be compared"),
    "silent": ("--notebook-max-silent", "per cent of the code cells that may print nothing"),
}
_MEASURE = "kmskit-notebook"
_HEADERS = ("notebook", "cells", "printing", "compared", "silent", "ignored", "seconds")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not pluginmanager.has_plugin("nbval"):  # Plugins named by -p come before those that are installed.
        pluginmanager.register(nbval.plugin, "nbval")
    group = parser.getgroup("notebooks", "notebooks as documents and tests")
    for field in fields(Limits):
        option, text = _OPTIONS[field.name]
        group.addoption(option, type=int, default=field.default, metavar="N", help=f"{text} ({field.default})")
    group.addoption("--notebook-uri", metavar="URI", help="KMSKIT_URI of the kernels: the same outputs elsewhere")


def pytest_configure(config: pytest.Config) -> None:
    """Turn nbval on, strict, with our rules and those of a file that the user names."""
    config.pluginmanager.register(Summary(), "notebooks-summary")
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
        self.user_properties.append((_MEASURE, asdict(measure(self.notebook, rules))))
        limits = Limits(**{name: self.config.getoption(option) for name, (option, _) in _OPTIONS.items()})
        return faults(self.notebook, limits, rules, (self.config.rootpath, self.path.parent))


class ExercisesItem(_NotebookItem):
    """The exercises' solutions and wrong answers."""

    def find_faults(self) -> list[str]:
        try:
            return try_all(self.path, self.notebook, self.config.option.nbval_cell_timeout)
        except (ExerciseError, CellExecutionError, CellTimeoutError) as error:
            return [str(error)]


class Summary:
    """How much of each notebook was compared, and how long it took with its exercises."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._measures: dict[str, Measure] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        path = report.nodeid.partition("::")[0]
        if path.endswith(".ipynb"):
            self._seconds[path] += report.duration
            for name, value in report.user_properties:
                if name == _MEASURE and isinstance(value, dict):
                    self._measures[path] = Measure(**value)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._measures:
            return
        rows = [
            (path, of.cells, of.printing, of.compared, of.silent, of.ignored, f"{self._seconds[path]:.1f}")
            for path, of in sorted(self._measures.items())
        ]
        totals = (sum(column) for column in list(zip(*rows, strict=True))[1:-1])
        rows_and_sum = [*rows, ("all", *totals, f"{sum(self._seconds.values()):.1f}")]
        terminalreporter.section("notebooks")
        terminalreporter.write_line(markup.columns(_HEADERS, rows_and_sum))
