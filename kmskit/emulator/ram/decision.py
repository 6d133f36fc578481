"""How a call is decided, and which statement decided it.

1. A Deny in any policy that speaks of the call wins: session policy, identity policies, key policy.
2. A session policy must allow, besides what follows.
3. An Allow in an identity policy or in the key policy is enough. The account's root needs neither.
4. Otherwise the call is refused implicitly.

In a key policy an Allow for a whole account (`acs:ram::ID:*` or `:root`) leaves the decision to the identity policies
of that account, so the default key policy opens nothing by itself; an Allow for a named user or role permits by itself.
That reading is the emulator's: with the other one every user could do everything with every instance key. And no key
policy takes GetKeyPolicy or SetKeyPolicy from the root, or a key could be lost for good.

Source: Alibaba Cloud RAM, "Policy evaluation"; KMS, "Access control".
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kmskit.emulator.ram.document import Statement, parse_document
from kmskit.emulator.state.records import Key
from kmskit.markup import badge, card, printable

__all__ = ["Decision", "Principal", "decide"]

_Kind = Literal["AccountLevelIdentityBasedPolicy", "SessionPolicy", "KeyPolicy"]
_KEPT_BY_ROOT = ("kms:GetKeyPolicy", "kms:SetKeyPolicy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls.

    Attributes:
        kind: as AccessDeniedDetail names it; `Root` for the account itself, `Service` for a cloud product.
        names: the ARNs by which a key policy may call this principal.
        policies: names of the identity policies.
        session_policy: JSON, or empty.
    """

    kind: Literal["Root", "SubUser", "AssumedRoleUser", "Service"]
    account: str
    name: str
    arn: str
    names: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    session_policy: str = field(default="", repr=False)
    access_key_id: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Decision:
    """
    Attributes:
        policy: the name of the policy that decided; empty if none spoke of the call.
        statement: the deciding statement's Sid, or its number.
        kind: which kind of policy that is.
    """

    allowed: bool
    action: str
    resource: str
    policy: str = ""
    statement: str = ""
    kind: _Kind | None = None

    @property
    def explicit(self) -> bool:
        """Whether a statement says so, rather than none saying otherwise."""
        return bool(self.policy)

    def __bool__(self) -> bool:
        return self.allowed

    def __str__(self) -> str:
        verdict = "allowed" if self.allowed else "denied"
        if not self.policy:
            return f"{verdict}: {'the account root' if self.allowed else 'no statement allows it'}"
        return f"{verdict} by {self.policy}, statement {self.statement}"

    def __repr__(self) -> str:
        return f"<Decision {printable(self)}>"

    def _repr_html_(self) -> str:
        mark = badge("allowed", "good") if self.allowed else badge("denied", "bad")
        told = {"policy": self.policy or None, "statement": self.statement or None}
        return card(self.action, told, mark=mark, kind="good" if self.allowed else "bad")

    def detail(self, principal: Principal) -> dict[str, str]:
        """The gateway's AccessDeniedDetail. The diagnostic message holds what the other fields say."""
        facts = {
            "AuthAction": self.action,
            "AuthPrincipalType": principal.kind,
            "AuthPrincipalOwnerId": principal.account,
            "AuthPrincipalDisplayName": principal.name,
            "NoPermissionType": "ExplicitDeny" if self.explicit else "ImplicitDeny",
            "PolicyType": self.kind or "AccountLevelIdentityBasedPolicy",
        }
        if self.policy:
            facts |= {"PolicyName": self.policy, "PolicyStatement": self.statement}
        return facts | {"EncodedDiagnosticMessage": b64encode(json.dumps(facts).encode()).decode()}


def decide(
    principal: Principal,
    action: str,
    resource: str,
    *,
    document: Callable[[str], str | None],
    context: Mapping[str, str],
    key: Key | None = None,
) -> Decision:
    """
    Args:
        document: the text of the policy with this name.
        key: the key that `resource` is, if its key policy takes part.
    """
    allowed: Decision | None = None
    policies: list[tuple[_Kind, str, str]] = []
    if principal.kind != "Root":
        for name in principal.policies:
            text = document(name)
            if text is not None:
                policies.append(("AccountLevelIdentityBasedPolicy", name, text))
    for kind, name, text in policies:
        for statement in parse_document(text).statements:
            if statement.speaks_of(action, resource, context):
                verdict = _verdict(statement, kind, name, action, resource)
                if not verdict.allowed:
                    return verdict
                allowed = allowed or verdict
    if key is not None and key.policy and not (principal.kind == "Root" and action in _KEPT_BY_ROOT):
        for statement in parse_document(key.policy, with_principals=True).statements:
            named, whole_account = _is_about(statement, principal)
            if (named or whole_account) and statement.speaks_of(action, resource, context):
                verdict = _verdict(statement, "KeyPolicy", "the key policy", action, resource)
                if not verdict.allowed:
                    return verdict
                if named:
                    allowed = allowed or verdict
    if principal.kind in ("Root", "Service"):
        allowed = allowed or Decision(True, action, resource)
    if principal.session_policy:
        within = False
        for statement in parse_document(principal.session_policy).statements:
            if statement.speaks_of(action, resource, context):
                verdict = _verdict(statement, "SessionPolicy", "the session policy", action, resource)
                if not verdict.allowed:
                    return verdict
                within = True
        if not within:
            return Decision(False, action, resource, kind="SessionPolicy")
    return allowed or Decision(False, action, resource)


def _is_about(statement: Statement, principal: Principal) -> tuple[bool, bool]:
    """Whether it names the principal itself, and whether it names its whole account."""
    account = f"acs:ram::{principal.account}"
    return (
        any(name in statement.principals for name in principal.names),
        any(name in statement.principals for name in (f"{account}:*", f"{account}:root", "*")),
    )


def _verdict(statement: Statement, kind: _Kind, name: str, action: str, resource: str) -> Decision:
    return Decision(statement.effect == "Allow", action, resource, name, statement.sid or str(statement.number), kind)
