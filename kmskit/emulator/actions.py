"""Every action that the vendor's SDK 3.3.1 has, and STS's two: done, partly or not done, and what that rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kmskit.emulator.operations import OPERATIONS

__all__ = ["ACTIONS", "Action"]


@dataclass(frozen=True, slots=True)
class Action:
    """
    Attributes:
        evidence: documented, SDK source, inferred or emulator-defined: where it is known from; empty for what is not
            done.
        note: what is missing, or what of it is the emulator's own.
    """

    name: str
    state: Literal["done", "partly", "not done"]
    evidence: str
    note: str


_NOT_DONE = {
    "secrets that rotate": "UpdateSecretRotationPolicy RotateSecret",
    "policies of secrets": "GetSecretPolicy SetSecretPolicy",
    "application access points": (
        "CreateApplicationAccessPoint DescribeApplicationAccessPoint UpdateApplicationAccessPoint"
        " DeleteApplicationAccessPoint ListApplicationAccessPoints CreateClientKey GetClientKey ListClientKeys"
        " DeleteClientKey CreatePolicy DescribePolicy UpdatePolicy DeletePolicy ListPolicies CreateNetworkRule"
        " DescribeNetworkRule UpdateNetworkRule DeleteNetworkRule ListNetworkRules"
    ),
    "managed data keys": "GetManagedDataKey ListManagedDataKeyVersions",
    "attested enclaves": "GetChallenge",
    "instances are not given back": "ReleaseKmsInstance",
}


def _actions() -> dict[str, Action]:
    found = {
        each.name: Action(
            each.name,
            "partly" if each.partly else "done",
            each.evidence,
            "; ".join(filter(None, (each.partly and f"without {each.partly}", each.note))),
        )
        for each in OPERATIONS.values()
    }
    for subject, names in _NOT_DONE.items():
        found |= {name: Action(name, "not done", "", subject) for name in names.split()}
    return dict(sorted(found.items()))


ACTIONS: dict[str, Action] = _actions()
