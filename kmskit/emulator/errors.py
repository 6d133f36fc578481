"""The one error that an action raises, and the documented refusals as functions: status, code and message of each.

Messages are protocol data and stay near the service's wording. None repeats a plaintext, a secret or a signature; only
names of parameters, key ids, states and ARNs stand in them.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ServiceError", "forbidden", "invalid", "missing", "not_found", "rejected", "unsupported"]


class ServiceError(Exception):
    """An answer that is not 200.

    Attributes:
        status: of HTTP.
        code: the service's name of the error.
        message: what it says.
        detail: the gateway's AccessDeniedDetail, if it is a refusal by a policy.
    """

    def __init__(self, status: int, code: str, message: str, *, detail: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail


def missing(parameter: str) -> ServiceError:
    return ServiceError(400, "MissingParameter", f'The parameter "{parameter}" is needed but not provided.')


def invalid(parameter: str, why: str = "") -> ServiceError:
    """`why` is the emulator's own and never holds the value."""
    message = f"The specified parameter {parameter} is not valid."
    return ServiceError(400, "InvalidParameter", f"{message} {why}" if why else message)


def unsupported(why: str = "") -> ServiceError:
    message = "This action is not supported."
    return ServiceError(400, "UnsupportedOperation", f"{message} {why}" if why else message)


def rejected(state: str) -> ServiceError:
    """A key whose state refuses its use."""
    return ServiceError(409, f"Rejected.{state}", f"The request was rejected because the key state is {state}.")


def not_found(what: str) -> ServiceError:
    """`what` is Key, KeyVersion, Alias or Resource."""
    spoken = {"Key": "Key", "KeyVersion": "KeyVersion", "Alias": "Alias"}.get(what)
    message = "Resource not found." if spoken is None else f"The specified {spoken} is not found."
    return ServiceError(404, f"Forbidden.{what}NotFound", message)


def forbidden(resource: str, detail: Mapping[str, str] | None = None) -> ServiceError:
    return ServiceError(
        403,
        "Forbidden.NoPermission",
        f"This operation for {resource} is forbidden by permission system.",
        detail=detail,
    )
