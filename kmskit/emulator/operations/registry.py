"""The one table of actions that are built: what each is called, where it is served and how much is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from kmskit.emulator.operations.call import Call

__all__ = ["OPERATIONS", "Answer", "Evidence", "Operation", "Product", "operation"]

Answer: TypeAlias = dict[str, Any]
Evidence: TypeAlias = Literal["documented", "SDK source", "inferred", "emulator-defined"]
Product: TypeAlias = Literal["Kms", "Sts"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One action.

    Attributes:
        run: answers a call, or raises ServiceError.
        data_plane: whether an instance's own gateway serves it too.
        dry_run: whether it knows the parameter DryRun.
        slow: whether it writes, or computes for long, and so runs beside the server's loop.
        evidence: where what it does is known from. What is emulator-defined beside that, `note` names.
        partly: what is missing; empty if it is all there.
        quota: calls a second of one user on the shared gateway.
    """

    name: str
    run: Callable[[Call], Answer]
    product: Product
    data_plane: bool
    dry_run: bool
    slow: bool
    evidence: Evidence
    partly: str
    note: str
    quota: int


OPERATIONS: dict[str, Operation] = {}

_Run = Callable[["Call"], Answer]


def operation(
    name: str,
    *,
    evidence: Evidence = "documented",
    data_plane: bool = False,
    dry_run: bool = False,
    writes: bool = False,
    slow: bool = False,
    partly: str = "",
    note: str = "",
    quota: int | None = None,
    product: Product = "Kms",
) -> Callable[[_Run], _Run]:
    """Enter a function into the table under the action's name."""

    def enter(run: _Run) -> _Run:
        if writes:
            OPERATIONS[name] = _entry(_locked(run))
        else:
            OPERATIONS[name] = _entry(run)
        return run

    def _entry(run: _Run) -> Operation:
        calls = quota if quota is not None else 30 if writes else 50
        return Operation(name, run, product, data_plane, dry_run, writes or slow, evidence, partly, note, calls)

    return enter


def _locked(run: _Run) -> _Run:
    """What an action has looked up stays so until it has written."""

    def call(call: Call) -> Answer:
        with call.state.lock:
            return run(call)

    return call
