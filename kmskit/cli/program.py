"""The classes of kmskit's commands: which options they share, and how every error becomes a message and a status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import click

from kmskit.cli import output
from kmskit.cli.session import Session
from kmskit.errors import KmsError

__all__ = ["Choice", "Command", "Group", "Program"]

_FAILED, _MISUSED = 1, 2


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Put a shared option into the session. The one that stands last in the command line holds."""
    session = context.ensure_object(Session)
    if value not in (None, False) and parameter.name:  # An empty URI is one that was asked for, and is refused.
        setattr(session, parameter.name, value)


def _shared_options() -> list[click.Parameter]:
    """The options that may stand before a command and behind it."""
    shared: dict[str, Any] = {"expose_value": False, "callback": _keep}
    return [
        click.Option(["--uri"], help="The backend; else KMSKIT_URI, else software:", metavar="URI", **shared),
        click.Option(["--json"], help="Write JSON, for programs.", is_flag=True, **shared),
        click.Option(
            ["--passphrase-file"],
            help="The passphrase of a software: store is the first line of FILE; else KMSKIT_PASSPHRASE.",
            metavar="FILE",
            **shared,
        ),
        click.Option(
            ["--pin-file"],
            help="The PIN of a pkcs11: token is the first line of FILE; else pin-source=, else KMSKIT_PKCS11_PIN.",
            metavar="FILE",
            **shared,
        ),
    ]


class Choice(click.Choice[str]):
    """One of several names, in upper or lower case, told in upper case as kmskit writes them."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__([str(name) for name in names])

    def normalize_choice(self, choice: Any, ctx: click.Context | None) -> str:
        return super().normalize_choice(choice, ctx).upper()


class Command(click.Command):
    """A command that takes the shared options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared_options()


class Group(click.Group):
    """A group whose commands, and which itself, take the shared options."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared_options()


class Program(Group):
    """The outermost group: the one place where errors end, as a message on stderr and an exit status."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        run: Callable[..., Any] = super().main
        if not kwargs.get("standalone_mode", True):
            return run(*args, **kwargs)
        kwargs |= {"prog_name": "kmskit", "standalone_mode": False}
        sys.exit(_status(lambda: run(*args, **kwargs)))


def _status(run: Callable[[], object]) -> int:
    """Run a command; report what it raises. ValueError is how kmskit refuses an argument."""
    if sys.stdout is None:  # As Python has it when the descriptor is closed.
        output.report("stdout is closed")
        return _FAILED
    for stream in (sys.stdout, sys.stderr):
        # An alias that the terminal's encoding lacks is no reason to fail.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    status = _FAILED
    try:
        result = run()
        sys.stdout.flush()  # Here, where a full disk can still be reported.
        status = result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = _MISUSED
    except click.UsageError as error:
        output.report_usage(error)
        status = _MISUSED
    except ValueError as error:
        output.report(error)
        status = _MISUSED
    except BrokenPipeError:
        pass  # Whoever reads has read enough.
    except MemoryError:
        output.report("not enough memory; Ed25519 keys read a file whole")
    except click.Abort:
        output.report("aborted")
    except click.ClickException as error:
        output.report(error.format_message())
    except KmsError as error:
        output.report_error(error)
    except OSError as error:
        output.report(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error)
    _let_go_of_stdout()
    return status


def _let_go_of_stdout() -> None:
    """Drop what could not be written, or Python would try it once more at exit and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
