"""The command line, `kmskit`. It needs the `cli` extra: click and rich.

`program` has the global options and the exit codes, `session` opens the URI, `output` writes to terminals and pipes,
`files` reads and writes files. Each group of commands is a module of its own.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names, and exit with its status."""
    try:
        from kmskit.cli.commands import kmskit
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("click", "rich"):
            raise
        sys.exit(f'error: the command line needs the package {error.name}\nhint: pip install "kmskit[cli]"')
    kmskit()
