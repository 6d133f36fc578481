"""`ask`: a call of the service's API by its name, for what kmskit has no call for: key policies, STS.

It goes through the vendor's generic client, which signs and sends as its typed ones do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kmskit.errors import AccessDeniedError, KmsError, MissingDependencyError, ServiceUnavailableError

if TYPE_CHECKING:
    from kmskit.emulator import Cloud, Identity

__all__ = ["ask", "assume_role"]

_STS = ("AssumeRole", "GetCallerIdentity")


def ask(cloud: Cloud, who: Identity, action: str, **parameters: object) -> dict[str, Any]:
    """Call an action over the shared gateway.

    Args:
        who: whose access key signs it.
        action: such as `SetKeyPolicy`.
        **parameters: by the service's names; what is not text is sent as JSON.

    Returns:
        the answer's body.

    Raises:
        AccessDeniedError: a policy refused.
        KmsError: the service refused for another reason; `code` tells it.
        ServiceUnavailableError: no answer came.
    """
    try:
        from alibabacloud_tea_openapi.client import Client
        from alibabacloud_tea_openapi.models import Config, OpenApiRequest, Params
        from darabonba.runtime import RuntimeOptions
        from Tea.exceptions import TeaException
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"a call by its name needs the package {error.name}", hint='pip install "kmskit[alibaba]"'
        ) from error
    config = Config(
        access_key_id=who.access_key_id,
        access_key_secret=who.access_key_secret,
        security_token=who.security_token,
        endpoint=cloud.endpoint,
        ca=cloud.ca_path,
        region_id=cloud.region,
    )
    described = Params(
        action=action,
        version="2015-04-01" if action in _STS else "2016-01-20",
        protocol="HTTPS",
        pathname="/",
        method="POST",
        auth_type="AK",
        style="RPC",
        req_body_type="formData",
        body_type="json",
    )
    query = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    try:
        with _no_proxy():
            answer = Client(config).call_api(described, OpenApiRequest(query=query), RuntimeOptions())
        body: dict[str, Any] = answer["body"]
        return body
    except TeaException as error:
        problem = _problem(error.code, error.data or {}, action)
    # Raised out here, as the vendor's error holds the URL, and the URL holds the parameters.
    raise problem


def assume_role(cloud: Cloud, who: Identity, role: str, session: str, **parameters: object) -> Identity:
    """Temporary credentials of a role, by STS's AssumeRole, as `cloud.connect` takes them.

    Args:
        who: a user who may assume it.
        role: its name.
        session: what the trail shall call it.
        **parameters: `DurationSeconds`, and `Policy` to limit the session further.

    Raises:
        AccessDeniedError, KmsError: as for `ask`.
    """
    from kmskit.emulator import Identity

    answer = ask(cloud, who, "AssumeRole", RoleArn=cloud.ram.role_arn(role), RoleSessionName=session, **parameters)
    given = answer["Credentials"]
    return Identity(
        f"{role}/{session}",
        answer["AssumedRoleUser"]["Arn"],
        given["AccessKeyId"],
        given["AccessKeySecret"],
        given["SecurityToken"],
    )


@contextmanager
def _no_proxy() -> Iterator[None]:
    """The client asks the environment's proxy even for localhost, and takes no other word for it."""
    saved = {name: os.environ.pop(name) for name in ("HTTPS_PROXY", "https_proxy") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(saved)


def _problem(code: str | None, data: dict[str, Any], action: str) -> KmsError:
    if not code:
        return ServiceUnavailableError("no answer came", backend="alibaba", operation=action)
    denied = data.get("statusCode") == 403
    detail = data.get("AccessDeniedDetail") or {}
    who = detail.get("AuthPrincipalDisplayName")
    names = ("AuthAction", "PolicyType", "NoPermissionType")
    facts = ", ".join(filter(None, [who and f"user {who}", *(detail.get(name) for name in names)]))
    return (AccessDeniedError if denied else KmsError)(
        f"{'a policy refuses this' if denied else 'the service refuses this'}: {facts or action}",
        backend="alibaba",
        operation=action,
        code=code,
        request_id=data.get("RequestId"),
        hint="a RAM policy or the resource's own policy must allow it" if denied else None,
        recommend=data.get("Recommend"),
    )
