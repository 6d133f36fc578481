"""Kernels of the Python that runs, in an environment that is the same for everyone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager

__all__ = ["client", "same_for_everyone"]

_FOLDERS = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
_UNSET = ("KMSKIT_URI", "PYTHONSTARTUP")
_SET = ("PYTHONHASHSEED", "TMPDIR")


@contextmanager
def same_for_everyone(uri: str | None = None) -> Iterator[Path]:
    """Set the environment that kernels are started with; yields a folder that goes when it ends.

    Args:
        uri: the kernels' KMSKIT_URI; they have none if it is left out.
    """
    before = {name: os.environ.get(name) for name in (*_FOLDERS, *_UNSET, *_SET)}
    with TemporaryDirectory(prefix="notebooks-", ignore_cleanup_errors=True) as folder:
        try:
            for name in _UNSET:
                os.environ.pop(name, None)
            # nbval kills its kernels, so they leave their temporary files: here these go with the folder.
            os.environ.update(dict.fromkeys(_FOLDERS, folder), PYTHONHASHSEED="0", TMPDIR=folder)
            if uri is not None:
                os.environ["KMSKIT_URI"] = uri
            yield Path(folder)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextmanager
def client(notebook: NotebookNode, folder: Path, timeout: float) -> Iterator[NotebookClient]:
    """A client with a kernel that runs in `folder`; `timeout` is for each cell, in seconds."""
    with TemporaryDirectory(prefix="kernel-") as sockets:
        running = NotebookClient(
            notebook,
            km=AsyncKernelManager(
                kernel_name=CURRENT_ENV_KERNEL_NAME,
                kernel_spec_manager=NbvalKernelspecManager(),
                # Sockets in a folder that is closed to other users of the machine, where TCP would be open to them.
                transport="ipc",
                ip=f"{sockets}/socket",
            ),
            timeout=timeout,
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
        )
        with running.setup_kernel(cwd=str(folder), cleanup_kc=True):
            yield running
