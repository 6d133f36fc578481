from __future__ import annotations

from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from tests import parts
from tests.browser import lab


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """Chromium, started once."""
    if lab.chromium() is None:
        parts.missing("Chromium")
    if find_library("atomic") is None:
        parts.missing("libatomic, which Playwright needs,")
    with lab.browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that JupyterLab serves: a copy of the course, and what tests write with `lab.notebook_of`."""
    folder = tmp_path_factory.mktemp("jupyterlab") / "served"
    lab.copy_of(lab.ROOT / "notebooks" / "00-start-here.ipynb", folder)
    return folder


@pytest.fixture(scope="session")
def jupyterlab(browser: BrowserContext, served: Path) -> Iterator[str]:
    """The URL of a JupyterLab that serves the folder `served`, in which `{}` stands for a path."""
    with lab.serving(served, served.parent) as url:
        yield url


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """A tab of one's own. What its scripts complain about fails the test."""
    page = browser.new_page()
    complaints = lab.complaints(page)
    yield page
    page.close()
    assert complaints == []


@pytest.fixture
def artifacts() -> Path:
    """Where pictures are left for people to look at."""
    return lab.ROOT / "artifacts"
