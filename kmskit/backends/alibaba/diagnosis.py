"""What stands between this machine and the service, looked at in the order of the vendor's guide.

Credentials, clock, names, connections, certificates, identity, and whether a key would encrypt: a dry run, which makes
and encrypts nothing. The first fault ends it, because what comes after would only repeat it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Literal, NamedTuple, TypeAlias

from alibabacloud_credentials.exceptions import CredentialException
from requests.utils import get_environ_proxies

from kmskit.backends.alibaba import keyinfo, wire
from kmskit.backends.alibaba.credentials import CredentialOption, resolve
from kmskit.backends.alibaba.endpoints import Endpoint, Endpoints, in_a_vpc, is_loopback, is_real, require_permission
from kmskit.backends.alibaba.gateway import Gateway
from kmskit.backends.alibaba.transport import trust
from kmskit.errors import KmsError, UnsupportedError
from kmskit.names import is_key_id, strip_alias_prefix
from kmskit.types import KeyFilter, KeyState
from kmskit.uri import Uri

__all__ = ["Step", "diagnose"]

_CLOCK_CODES = ("InvalidTimeStamp.Expired", "InvalidTimeStamp.Format", "IllegalTimestamp")
_MOST_SECONDS_OFF = 15 * 60
_VPC = "it is reachable only inside its VPC: run this on a machine there, or name the shared gateway"
_State: TypeAlias = Literal["ok", "missing", "problem"]


class Step(NamedTuple):
    """One thing that was looked at; `cure` is empty if the state is `ok`."""

    name: str
    state: _State
    text: str
    cure: str = ""


def diagnose(uri: Uri, credential: CredentialOption = None) -> Iterator[Step]:
    """Look at what an `alibaba:` URI names; a key's URI has the key tried.

    Args:
        credential: as for `kmskit.connect`.
    """
    key = uri.query.get("key")
    try:
        endpoints = Endpoints.parse(uri.with_query(key=None))
        require_permission(endpoints.shared, endpoints.dedicated)
        found = resolve(credential)
    except KmsError as error:
        yield Step("", "problem", str(error), error.hint or "correct it")
        return
    with suppress(_Fault):
        yield from _credentials(found)
        manage = Gateway(endpoints.shared, found, endpoints.timeouts, endpoints.region)
        crypto = manage
        if endpoints.dedicated != endpoints.shared:
            crypto = Gateway(endpoints.dedicated, found, endpoints.timeouts, endpoints.region)
        try:
            problem, date = _probe(manage)
            yield from _clock(problem, date)
            for endpoint in dict.fromkeys((endpoints.shared, endpoints.dedicated)):
                yield from _reached(endpoint, endpoints.timeouts[0])
            yield from _identity(manage, endpoints, found, problem)
            yield from _dry_run(manage, crypto, endpoints, key)
        finally:
            manage.close()
            crypto.close()


class _Fault(Exception):
    """The first fault was told."""


def _stop(name: str, text: str, cure: str) -> Iterator[Step]:
    yield Step(name, "problem", text, cure)
    raise _Fault


def _credentials(credential: Any) -> Iterator[Step]:
    try:
        found = credential.get_credential()
    except CredentialException:
        found = None
    if found is None:
        cure = "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or make a profile of the CLI"
        yield from _stop("credentials", "none in the environment or elsewhere in the vendor's chain", cure)
    kind = "a temporary access key with its token" if found.security_token else "an access key"
    yield Step("credentials", "ok", f"{kind}, from {found.provider_name or 'the option'}")


def _probe(gateway: Gateway) -> tuple[KmsError | None, str]:
    """The outcome of a request that every identity may make, and the server's date."""
    try:
        _, headers = gateway.answer("DescribeRegions", {})
    except KmsError as error:
        return error, ""
    return None, headers.get("date", "")


def _clock(problem: KmsError | None, date: str) -> Iterator[Step]:
    cure = "set this machine's clock, best by NTP"
    if problem is not None and problem.code in _CLOCK_CODES:
        yield from _stop("clock", "more than 15 minutes off the service's", cure)
    with suppress(TypeError, ValueError):
        off = parsedate_to_datetime(date).timestamp() - time()
        text = f"{abs(off):.0f} seconds off the service's"
        if abs(off) > _MOST_SECONDS_OFF:
            yield from _stop("clock", text, cure)
        yield Step("clock", "ok", text)
        return
    if problem is None or problem.code is not None:
        yield Step("clock", "ok", "the service takes the time of a request")


def _reached(endpoint: Endpoint, patience: float) -> Iterator[Step]:
    """DNS, TCP, and the certificate, one by one, so that it can be told which of them fails."""
    address, host, port = endpoint.address, endpoint.host, endpoint.port
    if not is_loopback(host) and get_environ_proxies(f"https://{address}/").get("https"):
        yield Step("connection", "ok", f"{address}: through the proxy that the environment names")
        return
    cure = _VPC if in_a_vpc(host) else "see the region or host in the URI, and this machine's DNS"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        found = []
    if not found:
        yield from _stop("DNS", f"{host} is not known", cure)
    yield Step("DNS", "ok", f"{host} is {found[0][4][0]}")
    cure = _VPC if in_a_vpc(host) else "see the port in the URI, firewalls, and HTTPS_PROXY"
    try:
        connection = socket.create_connection((host, port), patience)
    except OSError:
        connection = None
    if connection is None:
        yield from _stop("TCP", f"{address} takes no connection", cure)
        return
    yield Step("TCP", "ok", f"{address} takes connections")
    cure = "ca= (instance-ca= for an instance's gateway) names the PEM file of this gateway's own CA"
    reason = ""
    try:
        with connection, trust(endpoint.ca).wrap_socket(connection, server_hostname=host):
            pass
    except ssl.SSLCertVerificationError as error:
        reason = f"the certificate of {address} does not verify: {error.verify_message}"
    except OSError:
        reason = f"{address} does not speak TLS"
    if reason:
        yield from _stop("CA", reason, cure)
    yield Step("CA", "ok", f"{address} has a certificate of {'the CA given' if endpoint.ca else 'a public CA'}")


def _identity(manage: Gateway, endpoints: Endpoints, credential: Any, problem: KmsError | None) -> Iterator[Step]:
    if isinstance(problem, UnsupportedError):
        yield Step("identity", "ok", "this gateway only uses keys, and tells nothing of users")
        return
    if problem is not None:
        yield from _stop("identity", str(problem), problem.hint or "see the access key")
    yield Step("identity", "ok", _caller(manage, endpoints, credential) or "the service knows the access key")


def _caller(manage: Gateway, endpoints: Endpoints, credential: Any) -> str:
    """Who signs, as STS tells it; it has an address of its own in the cloud. Empty if it does not tell."""
    sts = manage
    if is_real(endpoints.shared):
        sts = Gateway(Endpoint("sts.aliyuncs.com"), credential, endpoints.timeouts, endpoints.region)
    try:
        with suppress(KmsError):
            return str(sts.call("GetCallerIdentity", {}).get("Arn") or "")
    finally:
        if sts is not manage:
            sts.close()
    return ""


def _dry_run(manage: Gateway, crypto: Gateway, endpoints: Endpoints, key: str | None) -> Iterator[Step]:
    name = "Encrypt"
    if key is None:
        key = _any_key(manage, endpoints.instance)
    if key is None:
        yield Step(name, "missing", "no key was named, and none found to try", "add key=ID to the URI, or make a key")
        return
    key = strip_alias_prefix(key)
    parameters = {
        "KeyId": key if is_key_id(key) or key.startswith("acs:kms:") else wire.alias_name(key),
        "Plaintext": wire.base64_text(b"dry run"),
        "DryRun": "true",
    }
    problem: KmsError | None = None
    try:
        crypto.call("Encrypt", parameters)
    except KmsError as error:
        problem = None if error.code == "DryRunOperationError" else error
    if problem is not None:
        yield from _stop(name, str(problem), problem.hint or "see the key and the user's policies")
    yield Step(name, "ok", f"a dry run with the key {key} would have succeeded")


def _any_key(manage: Gateway, instance: str | None) -> str | None:
    """The first key that could encrypt, for a user who may list keys."""
    asked = keyinfo.filters(KeyFilter(state=KeyState.ENABLED), instance)
    asked += [("KeySpec", "Aliyun_AES_256"), ("CreatorType", "User")]
    with suppress(KmsError):
        answer = manage.call("ListKeys", {"Filters": wire.filters_json(asked), "PageSize": "1"})
        keys = (answer.get("Keys") or {}).get("Key") or []
        return str(keys[0]["KeyId"]) if keys else None
    return None
