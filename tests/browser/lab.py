"""JupyterLab and a browser to look at it with, both on throw-away folders.

JupyterLab saves what it shows by itself, so it is always given a copy of the notebooks.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import BrowserContext, Page, sync_playwright

ROOT = Path(__file__).parents[2]
OVERLAP = 40  # pixels between two pictures, so that no line is cut in both
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

PLACES = [
    "IPYTHONDIR",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
]
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # A picture of a whole notebook needs all of its cells on the page, and nothing below them.
    "notebook-extension/tracker": {"windowingMode": "none", "scrollPastEnd": False},
}

# The flags by which Chromium runs as root, without a graphics card, and calls nobody.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# The kernel itself, not the toolbar's mark, which turns idle before the kernel takes cells.
KERNEL_IS_IDLE = """() => {
    const s = window.jupyterapp?.shell?.currentWidget?.sessionContext;
    return !!s && s.isReady && s.session?.kernel?.status === 'idle';
}"""


def chromium() -> str | None:
    """The path of the browser: what KMSKIT_CHROMIUM names, or else Debian's Chromium."""
    return shutil.which(os.environ.get("KMSKIT_CHROMIUM", "chromium"))


def copy_of(notebook: Path, folder: Path) -> str:
    """Copy the notebook and what lies beside it, and `data/`, to `folder`; gives the notebook's path in there."""
    shutil.copytree(notebook.resolve().parent, folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    if (data := ROOT / "data").is_dir():
        shutil.copytree(data, folder / "data")
    return f"notebooks/{notebook.name}"


def notebook_of(folder: Path, name: str, *cells: str) -> str:
    """Write a notebook of these code cells below a served folder; gives its path in there."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, folder / f"{name}.ipynb")
    return f"{name}.ipynb"


@contextmanager
def serving(folder: Path, scratch: Path) -> Iterator[str]:
    """Run JupyterLab on `folder`, its own files below `scratch`; gives its URL, in which `{}` stands for a path."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    environment = {**os.environ, **{place: str(scratch / place) for place in PLACES}}
    for name, values in SETTINGS.items():
        path = scratch / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    log = scratch / "jupyterlab.log"
    with log.open("w") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/api/status?token={token}", server, log)
            yield f"http://127.0.0.1:{port}/{{}}?reset&token={token}"
        finally:
            server.terminate()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


@contextmanager
def browsing(scratch: Path, *, width: int = 1100, height: int = 2000) -> Iterator[BrowserContext]:
    """Run Chromium on a fresh profile below `scratch`, in a tall window."""
    if (executable := chromium()) is None:
        raise RuntimeError("Chromium is missing; `make setup` says how to install it")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            scratch / "profile",
            executable_path=executable,
            args=FLAGS,
            viewport={"width": width, "height": height},
        )
        try:
            yield context
        finally:
            context.close()


def complaints(page: Page) -> list[str]:
    """What the page's scripts complain about from now on: errors nobody caught, and the console's."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found


def open_notebook(page: Page, url: str, path: str) -> None:
    """Open the notebook at `path` of the served folder, its kernel started."""
    page.goto(url.format(f"lab/tree/{path}"))
    page.wait_for_function(KERNEL_IS_IDLE, timeout=60_000)
    page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")


def run_all(page: Page, *, timeout: float = 60) -> bool:
    """Run every cell, wait for the last, and tell whether all went well."""
    # Playwright would wait for this promise without a time limit, so it is not handed the promise.
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells').then(ok => { window.ranWell = ok }) }")
    page.wait_for_function("() => window.ranWell !== undefined", timeout=1000 * timeout)
    return bool(page.evaluate("() => window.ranWell"))


def show_theme(page: Page, theme: str) -> None:
    """Change to the theme `light` or `dark`."""
    page.evaluate("theme => { jupyterapp.commands.execute('apputils:change-theme', {theme}) }", THEMES[theme])
    page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=THEMES[theme])
    page.wait_for_function("() => !document.getElementById('jupyterlab-splash')")  # It covers the page meanwhile.


def take_pictures(page: Page, path: Path) -> list[Path]:
    """Write the whole notebook to PNG files, one for each window full of it: `path`, then `path` with -2, -3, ..."""
    notebook = page.locator(".jp-NotebookPanel:visible")
    scroller = notebook.locator(".jp-WindowedPanel-outer")
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures: list[Path] = []
    at_the_end = False
    while not at_the_end:
        top = len(pictures) * (scroller.evaluate("element => element.clientHeight") - OVERLAP)
        scroller.evaluate("(element, top) => { element.scrollTop = top }", top)
        pictures.append(path.with_stem(f"{path.stem}-{len(pictures) + 1}") if pictures else path)
        notebook.screenshot(path=pictures[-1])
        at_the_end = scroller.evaluate("e => e.scrollTop + e.clientHeight >= e.scrollHeight - 1")
    return pictures
