from __future__ import annotations

from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

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
def jupyterlab(browser: BrowserContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a JupyterLab that serves a copy of the course."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    lab.copy_of(lab.ROOT / "notebooks" / "00-start-here.ipynb", folder / "served")
    with lab.serving(folder / "served", folder) as url:
        yield url


@pytest.fixture
def artifacts() -> Path:
    """Where pictures are left for people to look at."""
    return lab.ROOT / "artifacts"
