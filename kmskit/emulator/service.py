"""From a request to an answer: signature, action, fault, quota, work, trail.

`begin` is quick and tells whether the work is; `Exchange.finish` does the work, on the server's loop or beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kmskit.emulator.account import Account
from kmskit.emulator.actions import ACTIONS
from kmskit.emulator.clock import timestamp
from kmskit.emulator.errors import ServiceError, unsupported
from kmskit.emulator.faults import Fault, Faults
from kmskit.emulator.operations import OPERATIONS, Call, Operation
from kmskit.emulator.ram.decision import Principal
from kmskit.emulator.trail import Event, Trail
from kmskit.emulator.wire import answer
from kmskit.emulator.wire.nonces import Nonces
from kmskit.emulator.wire.request import Request
from kmskit.emulator.wire.verify import Signed, verify
from kmskit.errors import KmsError

__all__ = ["Exchange", "Reply", "Service"]

_VERSIONS = {"Kms": "2016-01-20", "Sts": "2015-04-01"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = field(repr=False)
    request_id: str
    media_type: str
    retry_after: int | None = None


@dataclass(slots=True)
class Exchange:
    """One call on its way. `error` is set where it was refused before its work began."""

    service: Service
    request_id: str
    gateway: str
    source: str
    action: str = ""
    principal: Principal | None = None
    operation: Operation | None = None
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    fault: Fault | None = None
    error: ServiceError | None = None
    keys: list[str] = field(default_factory=list)
    form: answer.Format = "JSON"

    @property
    def slow(self) -> bool:
        return self.error is None and self.operation is not None and self.operation.slow

    def finish(self) -> Reply:
        """Do the work. Never raises: what nobody expected is an InternalFailure, and the log tells only its type."""
        error = self.error
        fields: Mapping[str, Any] = {}
        if error is None:
            try:
                fields = self._run()
            except ServiceError as refusal:
                error = refusal
            except KmsError as failure:  # The state's file is locked, full or gone.
                _log.error("%s failed: %s", self.action, failure)
                error = ServiceError(503, "ServiceUnavailableTemporary", "The service is temporarily unavailable.")
            except Exception as failure:  # noqa: BLE001  # A client must get an answer, and the server must live.
                error = _unexpected(self.action, failure)
        self._record(error)
        media_type = answer.media_type(self.form)
        if error is None:
            body = answer.write(fields, self.request_id, self.form, "KMS")
            return Reply(200, body, self.request_id, media_type)
        told = answer.error_fields(error, self.request_id, self.service.host(self.gateway))
        body = answer.write(told, self.request_id, self.form, "Error")
        return Reply(error.status, body, self.request_id, media_type, self.fault.retry_after if self.fault else None)

    def _run(self) -> Mapping[str, Any]:
        if self.operation is None or self.principal is None:
            raise ServiceError(500, "InternalFailure", "Internal Failure.")
        call = Call(
            self.service.account,
            self.principal,
            self.action,
            self.parameters,
            self.gateway,
            self.source,
            self.keys,
        )
        if self.operation.dry_run and call.boolean("DryRun", False):
            call.dry_run = True
            return _tried(self.operation, call)
        return self.operation.run(call)

    def _record(self, error: ServiceError | None) -> None:
        detail = {} if error is None or error.detail is None else error.detail
        reason = ""
        if detail:
            policy = detail.get("PolicyName", "")
            reason = f"{policy}, statement {detail['PolicyStatement']}" if policy else "no statement allows it"
        self.service.trail.add(
            Event(
                timestamp(self.service.account.clock.now()),
                self.request_id,
                self.action,
                self.principal.name if self.principal else "",
                self.principal.access_key_id if self.principal else "",
                self.source,
                self.gateway or "shared",
                tuple(self.keys),
                error.status if error else 200,
                error.code if error else "",
                reason,
            )
        )


class Service:
    """What all gateways share.

    Attributes:
        trail, faults: as `Cloud` shows them.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.trail = Trail()
        self.faults = Faults()
        self._nonces = Nonces()

    def host(self, gateway: str) -> str:
        """The name that the real gateway would have."""
        if gateway:
            return f"{gateway}.cryptoservice.kms.aliyuncs.com"
        return f"kms.{self.account.region}.aliyuncs.com"

    def begin(self, request: Request | ServiceError, gateway: str, source: str) -> Exchange:
        """Never raises, no more than `Exchange.finish` does.

        Args:
            request: or why there is none.
            gateway: an instance's id; empty for the shared one.
        """
        exchange = Exchange(self, answer.new_request_id(), gateway, source)
        try:
            if isinstance(request, ServiceError):
                raise request
            self._admit(exchange, request)
        except ServiceError as error:
            exchange.error = error
        except Exception as failure:  # noqa: BLE001  # As in `Exchange.finish`; uvicorn would log a whole traceback.
            exchange.error = _unexpected("a request", failure)
        return exchange

    def _admit(self, exchange: Exchange, request: Request) -> None:
        if request.method not in ("GET", "POST"):
            raise ServiceError(403, "UnsupportedHTTPMethod", "The HTTP method is not supported.")
        if request.path != "/":
            raise _no_such_api()
        if request.parameters.get("Format", "").upper() == "XML" and "authorization" not in request.headers:
            exchange.form = "XML"
        ram = self.account.ram
        signed = verify(request, ram.credential, self._nonces, self.account.clock.watch())
        principal = ram.principal(signed.credential.id)
        if principal is None:  # A user that was deleted just now.
            raise ServiceError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        exchange.principal = principal
        exchange.parameters = request.parameters
        self._choose(exchange, signed)

    def _choose(self, exchange: Exchange, signed: Signed) -> None:
        if signed.action not in ACTIONS:
            raise _no_such_api()
        exchange.action = signed.action
        operation = OPERATIONS.get(signed.action)
        product = operation.product if operation else "Kms"
        if signed.version != _VERSIONS[product] or (signed.product or product).casefold() != product.casefold():
            raise _no_such_api()
        if operation is None:
            raise ServiceError(
                501, "Emulator.NotImplemented", f"The emulator does not have {signed.action}; the service does."
            )
        if exchange.gateway and not operation.data_plane:
            raise unsupported("An instance's own gateway serves cryptographic calls only.")
        exchange.fault = self.faults.strike(signed.action)
        if exchange.fault is not None and exchange.fault.status is not None:
            raise ServiceError(exchange.fault.status, exchange.fault.code, "A fault that was put in.")
        if not exchange.gateway and exchange.principal is not None:
            self.account.quotas.count(exchange.principal.arn, operation.quota)
        exchange.operation = operation

    def as_product(
        self, product: str, action: str, parameters: Mapping[str, str], *, role: str = ""
    ) -> Mapping[str, Any]:
        """A call that a cloud product makes within the cloud, such as ECS for a disk's data key. It leaves its mark in
        the trail, as the others do.

        Args:
            product: such as `ecs.aliyuncs.com`.
            role: the role in which it uses keys of the account; a key policy that names the role speaks of this call.

        Raises:
            ServiceError: as a client is answered.
        """
        account = self.account.id
        principal = Principal(
            kind="Service",
            account=account,
            name=product,
            arn=f"acs:ram::{account}:service/{product}",
            names=(self.account.ram.role_arn(role),) if role else (),
        )
        exchange = Exchange(
            self, answer.new_request_id(), "", product, action, principal, OPERATIONS[action], parameters
        )
        try:
            fields = exchange._run()
        except ServiceError as error:
            exchange._record(error)
            raise
        exchange._record(None)
        return fields


def _unexpected(what: str, failure: Exception) -> ServiceError:
    _log.error("%s failed: %s", what, type(failure).__name__)
    return ServiceError(500, "InternalFailure", "Internal Failure.")


def _no_such_api() -> ServiceError:
    return ServiceError(404, "InvalidApi.NotFound", "Specified api is not found, please check your url and method.")


def _tried(operation: Operation, call: Call) -> Mapping[str, Any]:
    """A dry run always fails, in one of three ways. Their HTTP status is emulator-defined."""
    try:
        return operation.run(call)
    except ServiceError as error:
        if error.code == "DryRunOperationError":
            raise
        refused = error.code == "Forbidden.NoPermission"
        found = ServiceError(
            403 if refused else 400,
            "AccessDeniedError" if refused else "ValidationError",
            f"{error.code}: {error.message}",
            detail=error.detail,
        )
    raise found
