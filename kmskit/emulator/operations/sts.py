"""STS, API version 2015-04-01, on the shared gateway: AssumeRole and GetCallerIdentity."""

from __future__ import annotations

import re

from kmskit.emulator.clock import timestamp
from kmskit.emulator.errors import ServiceError
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.ram.document import PolicyError, parse_document
from kmskit.emulator.state import Role, User

_ROLE = re.compile(r"acs:ram::([0-9]+):role/([A-Za-z0-9._@-]{1,64})")
_SESSION = re.compile(r"[A-Za-z0-9.@_-]{2,64}")
_MAX_POLICY = 2048


def _invalid(parameter: str, why: str) -> ServiceError:
    return ServiceError(400, f"InvalidParameter.{parameter}", why)


@operation("AssumeRole", product="Sts", writes=True, quota=100)
def assume_role(call: Call) -> Answer:
    arn = _ROLE.fullmatch(call.text("RoleArn", most=512))
    if arn is None:
        raise _invalid("RoleArn", "The parameter RoleArn is wrongly formed.")
    session = call.text("RoleSessionName")
    if not _SESSION.fullmatch(session):
        raise _invalid("RoleSessionName", "The parameter RoleSessionName is wrongly formed.")
    policy = _session_policy(call)
    role = call.state.get(Role, arn[2]) if arn[1] == call.account.id else None
    _authorize(call, arn[0], role)
    if role is None:
        raise ServiceError(404, "EntityNotExist.Role", "The specified Role not exists .")
    seconds = call.parameters.get("DurationSeconds") or str(min(3600, role.max_seconds))
    if not seconds.isascii() or not seconds.isdigit() or not 900 <= int(seconds[:9]) <= role.max_seconds:
        raise _invalid("DurationSeconds", f"900 to {role.max_seconds} seconds are allowed.")
    credentials = call.account.ram.open_session(role, session, int(seconds), policy)
    return {
        "Credentials": {
            "AccessKeyId": credentials.id,
            "AccessKeySecret": credentials.secret,
            "SecurityToken": credentials.token,
            "Expiration": timestamp(credentials.expires),
        },
        "AssumedRoleUser": {
            "Arn": f"acs:ram::{call.account.id}:assumed-role/{role.id}/{session}",
            "AssumedRoleId": f"{role.number}:{session}",
        },
    }


def _session_policy(call: Call) -> str:
    policy = call.optional("Policy")
    if len(policy) > _MAX_POLICY:
        raise _invalid("PolicySize", f"The policy has more than {_MAX_POLICY} characters.")
    if policy:
        try:
            parse_document(policy)
        except PolicyError as error:
            problem = str(error)
        else:
            return policy
        raise _invalid("PolicyGrammar", f"The parameter Policy has not passed grammar check: {problem}.")
    return ""


def _authorize(call: Call, arn: str, role: Role | None) -> None:
    """The caller's policies must allow it, and the role must trust the caller."""
    principal = call.principal
    if principal.kind == "Root":
        raise ServiceError(403, "NoPermission", "Roles may not be assumed by root accounts.")
    context = call.context()
    decision = call.account.ram.decide(principal, "sts:AssumeRole", arn, context=context)
    if decision and role is not None:
        trusted = False
        account = f"acs:ram::{call.account.id}:root"
        for statement in parse_document(role.trust, with_principals=True).statements:
            named = any(name in statement.principals for name in (*principal.names, account))
            if named and statement.speaks_of("sts:AssumeRole", arn, context):
                if statement.effect == "Deny":
                    trusted = False
                    break
                trusted = True
        if trusted:
            return
    elif decision:
        return
    raise ServiceError(
        403,
        "NoPermission",
        "You are not authorized to do this action. You should be authorized by RAM.",
        detail=decision.detail(principal),
    )


@operation("GetCallerIdentity", product="Sts", quota=100)
def get_caller_identity(call: Call) -> Answer:
    """Everyone may."""
    principal = call.principal
    answer = {"AccountId": call.account.id, "Arn": principal.arn}
    if principal.kind == "Root":
        return answer | {"IdentityType": "Account", "PrincipalId": call.account.id, "UserId": call.account.id}
    if principal.kind == "SubUser":
        user = call.state.get(User, principal.name)
        number = "" if user is None else user.number
        return answer | {"IdentityType": "RAMUser", "PrincipalId": number, "UserId": number}
    role, _, session = principal.name.partition("/")
    found = call.state.get(Role, role)
    number = "" if found is None else found.number
    return answer | {
        "IdentityType": "AssumedRoleUser",
        "PrincipalId": f"{number}:{session}",
        "RoleId": number,
    }
