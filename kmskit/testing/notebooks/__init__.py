"""A pytest plugin for notebooks that are documents and tests at once: `pytest -p kmskit.testing.notebooks FOLDER`.

Every notebook is run, and each output is compared with the stored one by nbval in its strict mode. Only values that are
marked volatile may differ (`sanitize.cfg`, and `kmskit.notebook.volatile`). A *guard* looks for what would make that
comparison vacuous or the stored outputs unfit to publish (`guard`), and exercises are tried with their solutions and
with wrong answers (`exercises`; `kmskit.notebook` says how one is written). The summary tells how much was compared.

`python -m kmskit.testing.notebooks NOTEBOOK...` runs notebooks and stores their outputs (`store`).
`python -m kmskit.testing.notebooks.handout OUT PATH...` writes them as students get them (`handout`).

Kernels run in the Python that runs pytest, with PYTHONHASHSEED=0, without KMSKIT_URI, and without the user's Jupyter
and IPython settings. With `--notebook-uri URI` that is their KMSKIT_URI: a notebook that is meant for every backend
must show there what it shows in memory.
"""

from __future__ import annotations

from kmskit.errors import MissingDependencyError

_NEEDED = ("ipykernel", "jupyter_client", "nbclient", "nbformat", "nbval", "pytest")

try:
    from kmskit.testing.notebooks.plugin import pytest_addoption, pytest_collect_file, pytest_configure
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] not in _NEEDED:
        raise
    # pytest shows only the message of a plugin that cannot be imported, so the cure stands there too.
    raise MissingDependencyError(
        f"testing notebooks needs the package {error.name}: pip install pytest nbval nbclient ipykernel",
        hint="pip install pytest nbval nbclient ipykernel",
    ) from error

__all__ = ["pytest_addoption", "pytest_collect_file", "pytest_configure"]
