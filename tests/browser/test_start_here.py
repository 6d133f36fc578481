"""The first notebook, as a newcomer runs it: in JupyterLab, with Run All."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import lab

pytestmark = pytest.mark.browser


def test_the_first_notebook_runs_without_an_error(page: Page, jupyterlab: str, artifacts: Path) -> None:
    lab.open_notebook(page, jupyterlab, "notebooks/00-start-here.ipynb")
    assert lab.run_all(page)

    for kind in ("error", "stderr"):
        expect(page.locator(f'[data-mime-type="application/vnd.jupyter.{kind}"]')).to_have_count(0)
    for theme in lab.THEMES:
        lab.show_theme(page, theme)
        lab.take_pictures(page, artifacts / f"start-here-{theme}.png")
