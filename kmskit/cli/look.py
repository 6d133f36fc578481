"""`kmskit capabilities` and `kmskit doctor`: what there is."""

from __future__ import annotations

import click

from kmskit import CapabilityTable
from kmskit import doctor as examination
from kmskit.cli import output
from kmskit.cli.program import Command
from kmskit.cli.session import Session
from kmskit.types import OPERATIONS, KeySpec

__all__ = ["capabilities", "doctor"]


@click.command(cls=Command)
@click.pass_obj
def capabilities(session: Session) -> None:
    """Tell what each key spec offers here."""
    with session.open() as kms:
        offered = kms.capabilities()
    specs = list(dict.fromkeys(spec for spec, _ in offered))
    if session.json:
        output.write_json({spec: _row(offered, spec) for spec in specs})
        return
    rows = ((spec, *("yes" if offered[spec, operation] else "-" for operation in OPERATIONS)) for spec in specs)
    output.table(("spec", *OPERATIONS), rows, (8, *map(len, OPERATIONS)))


def _row(offered: CapabilityTable, spec: KeySpec) -> dict[str, object]:
    cells = {operation: offered[spec, operation] for operation in OPERATIONS}
    return {
        operation: {"supported": bool(cell), "reason": cell.reason, "max_bytes": cell.max_bytes}
        for operation, cell in cells.items()
    }


@click.command(cls=Command)
@click.argument("examined", metavar="[URI]", required=False)
@click.pass_obj
def doctor(session: Session, examined: str | None) -> int:
    """Tell what is installed and found, and cures.

    The exit status is 1 if URI (else --uri, KMSKIT_URI or software:) cannot be used. Nothing is made to find out.
    """
    findings = examination.examine(session.uri if examined is None else examined, connect=session.connect)
    if session.json:
        output.json_array({"topic": f.topic, "state": f.state, "text": f.text, "cure": f.cure} for f in findings)
    else:
        width = max(len(finding.topic) for finding in findings)
        for finding in findings:
            output.finding(finding, width)
    return 0 if findings.usable else 1
