"""Which gateways an `alibaba:` URI names.

    alibaba://REGION                                  the region's shared gateway, for everything
    alibaba://REGION?instance=kst-…&ca=/path.pem      management there, cryptography over the instance's own gateway
    alibaba://HOST[:PORT]?ca=…                        one gateway of either kind, for everything
    alibaba://REGION?instance=kst-…&endpoint=H:P&ca=/shared.pem&instance-endpoint=H:P&instance-ca=/instance.pem

The shared gateway has a certificate of a public CA, an instance's gateway one of the instance's private CA. So in the
second form `ca=` belongs to the instance. Where `endpoint=` is given `ca=` belongs to that, and to the instance's
gateway too unless `instance-ca=` says otherwise. A CA is the path of a PEM file or the PEM text itself.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

from kmskit.errors import ConfigurationError
from kmskit.uri import Uri

__all__ = [
    "Endpoint",
    "Endpoints",
    "in_a_vpc",
    "is_loopback",
    "is_real",
    "parse_timeout",
    "require_permission",
]

_DEFAULT_TIMEOUTS = (5.0, 10.0)
"""Seconds until a connection stands, and until an answer has come."""

_KNOWN = ("instance", "endpoint", "ca", "instance-endpoint", "instance-ca", "timeout")
_REGION = re.compile(r"[a-z]{2}-[a-z0-9-]{2,40}")
_INSTANCE = re.compile(r"kst-[0-9a-z]{3,60}")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z]([0-9A-Za-z.-]*[0-9A-Za-z])?)(:[0-9]{1,5})?")
_PEM = "-----BEGIN CERTIFICATE-----"
_CLOUD = ".aliyuncs.com"
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1")
_MAX_CA_BYTES = 1 << 20
_LONGEST_TIMEOUT = 3600.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One gateway.

    Attributes:
        address: `host` or `host:port`, as it stands in the request's Host header.
        ca: the certificates to trust, in PEM; None for the public CAs.
    """

    address: str
    ca: str | None = None

    @property
    def host(self) -> str:
        """Without the port, and without the brackets of an IPv6 address."""
        host = self.address.rpartition("]")[0].lstrip("[") or self.address.partition(":")[0]
        return host.lower()

    @property
    def port(self) -> int:
        _, colon, port = self.address.rpartition("]")[2].partition(":")
        return int(port) if colon else 443


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What a URI names.

    Attributes:
        uri: the URI itself, with the paths in it made absolute, so that it holds in another process.
        region: None where the URI names a host.
        instance: the KMS instance in which keys are created; None for none.
        shared: the gateway for management.
        dedicated: the gateway for cryptography; the same as `shared` where there is only one.
        timeouts: seconds to connect, and to read.
    """

    uri: Uri
    region: str | None
    instance: str | None
    shared: Endpoint
    dedicated: Endpoint
    timeouts: tuple[float, float]

    @classmethod
    def parse(cls, uri: Uri) -> Endpoints:
        """ConfigurationError if the URI names no gateway or a CA that cannot be read."""
        uri.only(_KNOWN)
        query = uri.query
        place = uri.authority or ""
        if uri.path.strip("/") or not place:
            raise ConfigurationError(
                "this alibaba: URI names no region or host",
                hint="write alibaba://cn-hangzhou or alibaba://host:port?ca=…",
            )
        uri = replace(uri, path="", query={name: _absolute(name, value) for name, value in query.items()})
        timeouts = parse_timeout(query["timeout"]) if "timeout" in query else _DEFAULT_TIMEOUTS
        instance = query.get("instance")
        if instance is not None and not _INSTANCE.fullmatch(instance):
            raise ConfigurationError("instance= is not the id of a KMS instance", hint="it looks like kst-hzz6…")
        if "." in place or ":" in place or place == "localhost":
            return cls._of_host(uri, place, instance, timeouts)
        if not _REGION.fullmatch(place):
            raise ConfigurationError(
                "the URI's authority is neither a region nor a host", hint="a region looks like cn-hangzhou"
            )
        return cls._of_region(uri, place, instance, timeouts)

    @classmethod
    def _of_host(cls, uri: Uri, place: str, instance: str | None, timeouts: tuple[float, float]) -> Endpoints:
        if {"endpoint", "instance-endpoint", "instance-ca"} & uri.query.keys():
            raise ConfigurationError(
                "this URI names its host already, and so has no endpoint=, instance-endpoint= or instance-ca=",
                hint="write alibaba://REGION?… for two gateways",
            )
        only = Endpoint(_address(place), _read_ca("ca", uri.query.get("ca")))
        return cls(uri, None, instance, only, only, timeouts)

    @classmethod
    def _of_region(cls, uri: Uri, region: str, instance: str | None, timeouts: tuple[float, float]) -> Endpoints:
        query = uri.query
        if instance is None and {"instance-endpoint", "instance-ca"} & query.keys():
            raise ConfigurationError("instance-endpoint= and instance-ca= need instance=", hint="add instance=kst-…")
        ca = _read_ca("ca", query.get("ca"))
        of_shared = ca if "endpoint" in query or instance is None else None
        shared = Endpoint(_address(query.get("endpoint", f"kms.{region}{_CLOUD}")), of_shared)
        if instance is None:
            return cls(uri, region, None, shared, shared, timeouts)
        of_instance = _read_ca("instance-ca", query["instance-ca"]) if "instance-ca" in query else ca
        address = query.get("instance-endpoint", f"{instance}.cryptoservice.kms{_CLOUD}")
        return cls(uri, region, instance, shared, Endpoint(_address(address), of_instance), timeouts)


def parse_timeout(text: str) -> tuple[float, float]:
    """`timeout=SECONDS` or `timeout=CONNECT,READ`."""
    try:
        parts = [float(part) for part in text.split(",")]
    except ValueError:
        parts = []
    if len(parts) not in (1, 2) or not all(0.001 <= part <= _LONGEST_TIMEOUT for part in parts):
        raise ConfigurationError("timeout= is a number of seconds, or two: CONNECT,READ", hint="timeout=5,10 is usual")
    return parts[0], parts[-1]


def is_loopback(host: str) -> bool:
    return _LOOPBACK.fullmatch(host) is not None


def is_real(endpoint: Endpoint) -> bool:
    """Whether a gateway is one of the cloud itself, and no emulator."""
    return f".{endpoint.host.rstrip('.')}".endswith(_CLOUD)


def in_a_vpc(host: str) -> bool:
    """Whether a host of the cloud is reachable from inside a VPC only."""
    return host.endswith(f".cryptoservice.kms{_CLOUD}") or (host.startswith("kms-vpc.") and host.endswith(_CLOUD))


def require_permission(*endpoints: Endpoint) -> None:
    """Refuse the real service unless the environment says KMSKIT_CLOUD=real.

    Keys there cost money and are deleted a week later at the earliest, and credentials lie about in many environments.
    """
    if os.environ.get("KMSKIT_CLOUD") == "real":
        return
    if any(map(is_real, endpoints)):
        raise ConfigurationError(
            "this URI names the real service, whose keys cost money, and KMSKIT_CLOUD is not set to `real`",
            hint="set KMSKIT_CLOUD=real, or try it offline with kmskit.emulator.start()",
        )


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None or (match[3] and not 0 < int(match[3][1:]) < 65536):
        raise ConfigurationError("a gateway is written as host or host:port", hint="such as kms.example.com:8443")
    return text


def _absolute(name: str, value: str) -> str:
    return os.path.abspath(value) if name in ("ca", "instance-ca") and _PEM not in value else value


def _read_ca(name: str, value: str | None) -> str | None:
    """The PEM text that a CA option names or is."""
    if value is None:
        return None
    if _PEM in value:
        return value
    try:
        with open(value, encoding="ascii") as file:
            text = file.read(_MAX_CA_BYTES)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not PEM"
    else:
        if _PEM in text:
            return text
        problem = "holds no certificate in PEM"
    raise ConfigurationError(
        f"the file that {name}= names {problem}",
        hint="it is the path of a PEM file, such as the PrivateKmsCA_kst-….pem of the instance's page in the console",
    )
