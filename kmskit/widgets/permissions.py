"""`Permissions`: who may do what with a key, which statement decides it, and how that changes with the policies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ipywidgets import GridBox

from kmskit import markup
from kmskit.notebook.access_matrix import AccessMatrix
from kmskit.notebook.openapi import ask
from kmskit.widgets import controls
from kmskit.widgets.answer import Answer
from kmskit.widgets.tile import Tile

if TYPE_CHECKING:
    from kmskit.emulator import Cloud, Decision, Identity

__all__ = ["Permissions"]

_ACTIONS = ("Encrypt", "Decrypt", "DescribeKey", "ScheduleKeyDeletion")
_SIGNS = {"allow": "✓", "deny": "✕", "none": "–"}


class Permissions(Tile):
    """The matrix user x action of a key on an emulator, to be changed by its policies.

    Decisions come from the emulator's rules; attaching and detaching stands for RAM's console, and the key policy is
    set by the service's own call, as the account's root.

    Args:
        cloud: the emulator.
        who: name of the row -> identity or name of a user; or the users' names.
        key: id of a key in an instance.
        actions: such as `Decrypt`.
        policies: names of policies to attach, besides the system's.
    """

    def __init__(
        self,
        cloud: Cloud,
        who: Mapping[str, Identity | str] | Sequence[str],
        key: str,
        actions: Sequence[str] = _ACTIONS,
        *,
        policies: Sequence[str] = (),
    ) -> None:
        from kmskit.emulator.ram.system import SYSTEM_POLICIES  # An extra of its own, which other widgets do without.

        super().__init__()
        self.cloud, self.key, self._who, self._actions = cloud, key, who, list(actions)
        self.matrix = AccessMatrix(cloud.ram, who, actions, key)
        self.chosen = (self.matrix.rows[0], self._actions[0])
        cells = [(row, action) for row in self.matrix.rows for action in self._actions]
        self.cells = {cell: controls.button("", partial(self.choose, *cell), "cell") for cell in cells}
        self.user = controls.choice("User or role", [name for name in self.matrix.rows if name != "root"])
        self.policy = controls.choice("Policy", list(dict.fromkeys([*policies, *SYSTEM_POLICIES])), wide=True)
        self.attach = controls.button("Attach", lambda: self._change(cloud.ram.attach), "primary")
        self.detach = controls.button("Detach", lambda: self._change(cloud.ram.detach))
        self.document = controls.long_text("Key policy", rows=8)
        self.set = controls.button("Set key policy", self._set, "primary", "SetKeyPolicy, as the account's root")
        self.restore = controls.button("As it was", self._restore, tip="Set the key policy that was there at first")
        self.ruling = Answer("What decides it")
        self._key_policy = self._first_policy = ""
        self._build()
        self.work(self._read_policy, self._begin, "Asking for the key policy")

    def _build(self) -> None:
        heads = [controls.say("who", "head"), *(controls.say(action, "head") for action in self._actions)]
        rows = self.matrix.rows
        lines = [[controls.say(row, "head"), *(self.cells[row, action] for action in self._actions)] for row in rows]
        grid = GridBox([*heads, *(part for line in lines for part in line)])
        grid.add_class("kms-matrix")
        grid.layout.grid_template_columns = f"minmax(70px, max-content) repeat({len(self._actions)}, minmax(90px, 1fr))"
        head = controls.say(controls.heading("Who may do what", "choose a cell: which statement decides it?"))
        change = controls.row(self.user, self.policy, self.attach, self.detach)
        policy = controls.stack(self.document, controls.row(self.set, self.restore))
        self.show(head, grid, self.ruling, controls.section("Change it", change, policy))

    def choose(self, row: str, action: str) -> None:
        """Show what decides a cell."""
        self.chosen = (row, action)
        for cell, button in self.cells.items():
            (button.add_class if cell == self.chosen else button.remove_class)("kms-chosen")
        decision = self._explain(row, action)
        kind = "good" if decision.allowed else "bad" if decision.explicit else "plain"
        verdict, _, why = str(decision).partition(" ")
        text = json.dumps(self._statement(decision), indent=2, ensure_ascii=False) if decision.policy else ""
        line = f"<b>{markup.escape(row)}</b> · {markup.escape(action)} {markup.badge(verdict.strip(':'), kind)}"
        below = f"<pre>{_lines(text)}</pre>" if text else ""
        self.ruling.tell(markup.Html(f"{line} {markup.escape(why)}{below}"))

    def _explain(self, row: str, action: str) -> Decision:
        who = self._who[row] if isinstance(self._who, Mapping) else row
        return self.cloud.ram.explain(who, action, self.key)

    def _statement(self, decision: Decision) -> object:
        """The text of the deciding statement, as far as a policy has it that can be looked up."""
        text = self._key_policy if decision.kind == "KeyPolicy" else self.cloud.ram.document(decision.policy)
        statements = json.loads(text)["Statement"] if text else []
        named = [one for one in statements if one.get("Sid") == decision.statement]
        numbered = [one for number, one in enumerate(statements, 1) if f"{number}" == decision.statement]
        return (named or numbered or [{"Sid": decision.statement}])[0]

    def _begin(self, policy: str) -> None:
        self._first_policy = self.document.value = json.dumps(json.loads(policy), indent=2)
        self._decide(policy)

    def _decide(self, policy: str) -> None:
        """Draw all cells as they are decided now."""
        self._key_policy = policy
        self.matrix = AccessMatrix(self.cloud.ram, self._who, self._actions, self.key)
        for cell, button in self.cells.items():
            decision = self.matrix.rulings[cell]
            kind = "allow" if decision.allowed else "deny" if decision.explicit else "none"
            by = decision.policy or ("account root" if decision.allowed else "")
            button.description = markup.printable(f"{_SIGNS[kind]} {by}")
            button.tooltip = markup.printable(f"{cell[0]}, {cell[1]}: {decision}")
            for other in _SIGNS:
                (button.add_class if other == kind else button.remove_class)(f"kms-{other}")
        self.choose(*self.chosen)

    def _read_policy(self) -> str:
        return str(ask(self.cloud, self.cloud.ram.root, "GetKeyPolicy", KeyId=self.key)["Policy"])

    def _change(self, change: Any) -> None:
        user, policy = self.user.value, self.policy.value
        before = self._told_cells()

        def done(_: object) -> None:
            self._decide(self._key_policy)
            self._tell_changes(before)

        self.work(lambda: change(user, policy), done, None)

    def _set(self) -> None:
        text, before = self.document.value, self._told_cells()

        def call() -> str:
            _check_json(text)
            ask(self.cloud, self.cloud.ram.root, "SetKeyPolicy", KeyId=self.key, Policy=text)
            return self._read_policy()

        def done(policy: str) -> None:
            self._decide(policy)
            self._tell_changes(before)

        self.work(call, done, "Setting the key policy")

    def _restore(self) -> None:
        self.document.value = self._first_policy
        self._set()

    def _told_cells(self) -> dict[tuple[str, str], bool]:
        return {cell: ruling.allowed for cell, ruling in self.matrix.rulings.items()}

    def _tell_changes(self, before: Mapping[tuple[str, str], bool]) -> None:
        now = self._told_cells()
        changed = [(*cell, allowed) for cell, allowed in now.items() if allowed != before[cell]]
        new = [f"{row} may {'now' if allowed else 'no longer'} {action}" for row, action, allowed in changed]
        self.say(f"{'; '.join(new)}." if new else "Nobody may do more or less than before.")

    def still(self) -> dict[str, str]:
        """The matrix as it is decided now."""
        self.rest()
        return {"image/svg+xml": self.matrix._repr_svg_()}

    def __repr__(self) -> str:
        self.rest()
        return repr(self.matrix)


def _check_json(text: str) -> None:
    """The service would only say that the policy is wrong, not where."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"key policy: no JSON, {error.msg} in line {error.lineno}, column {error.colno}"
    else:
        return
    raise ValueError(problem)


def _lines(text: str) -> markup.Html:
    return markup.Html("\n".join(markup.escape(line) for line in text.split("\n")))
