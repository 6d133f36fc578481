"""`start` and `Cloud`: an Alibaba Cloud KMS of one's own, on loopback."""

from __future__ import annotations

import os
import re
import secrets
from atexit import register, unregister
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from kmskit.emulator.account import Account
from kmskit.emulator.certificates import Authority
from kmskit.emulator.clock import Clock
from kmskit.emulator.default_keys import enable_default_key
from kmskit.emulator.ecs import Ecs
from kmskit.emulator.faults import Faults
from kmskit.emulator.folder import Folder
from kmskit.emulator.ram.directory import Identity, Ram
from kmskit.emulator.seed import plant
from kmskit.emulator.service import Service
from kmskit.emulator.state import Instance, Setting, State
from kmskit.emulator.trail import Trail
from kmskit.errors import ConfigurationError, MissingDependencyError
from kmskit.kms import Kms, connect
from kmskit.markup import card, volatile_html, volatile_text
from kmskit.uri import Uri

if TYPE_CHECKING:
    from kmskit.emulator.server import Server

__all__ = ["Cloud", "Environment", "KmsInstance", "start"]

_MODELS = ("software", "hardware")
_REGION = re.compile(r"[a-z0-9-]{2,64}")


@dataclass(frozen=True, slots=True, repr=False)
class KmsInstance:
    """A KMS instance and its own gateway.

    Attributes:
        kind: `software` or `hardware`.
        endpoint: `host:port`.
        ca_path: a PEM file with the instance's private CA.
    """

    id: str
    kind: str
    endpoint: str
    ca_path: str

    def __repr__(self) -> str:
        return f"<KmsInstance {self.kind} {volatile_text(self.id)} at {volatile_text(self.endpoint)}>"


class Environment(dict[str, str]):
    """Environment variables, whose repr shows no secret."""

    def __repr__(self) -> str:
        shown = {name: "…" if name.startswith("ALIBABA_CLOUD_") else value for name, value in self.items()}
        return f"<Environment {shown}>"

    __str__ = __repr__


class Cloud:
    """A running emulator. A context manager; stops at exit in any case.

    Attributes:
        region: such as `cn-hangzhou`.
        account_id: the account's id.
        endpoint: `host:port` of the shared gateway.
        ca_path: a PEM file with the CA of the shared gateway.
        instances: `software` and `hardware`.
        ram: users, roles and policies.
        clock: the service's time, which can be advanced.
        faults: what shall go wrong.
        quotas: off until `quotas.enabled = True`.
        trail: the calls that were made.
        ecs: disks that are encrypted with default keys.
    """

    def __init__(
        self,
        region: str = "cn-hangzhou",
        data_dir: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        instance_ports: tuple[int, int] = (0, 0),
    ) -> None:
        if not _REGION.fullmatch(region):
            raise ConfigurationError("the region is not the name of one", hint="it is one such as cn-hangzhou")
        self._process = os.getpid()
        self._folder = Folder(data_dir)
        self._server: Server | None = None
        self._state: State | None = None
        try:
            self._open(region, host, (port, *instance_ports), seed)
        except BaseException:
            self.stop()
            raise
        register(self.stop)

    def _open(
        self, region: str, host: str, ports: tuple[int, ...], seed: str | os.PathLike[str] | Mapping[str, Any] | None
    ) -> None:
        state = self._state = State(None if self._folder.temporary else self._folder.path / "state.db")
        self.region = _kept(state, "region", region)
        if self.region != region:
            raise ConfigurationError(
                f"the data folder is of the region {self.region}", hint=f"start it with region={self.region!r}"
            )
        self.account_id = _kept(state, "account", str(10**15 + secrets.randbelow(9 * 10**15)))
        self.clock = Clock(
            float(_kept(state, "clock", "0")), lambda ahead: state.put(Setting(id="clock", value=repr(ahead)))
        )
        self._account = Account(state, self.clock, self.account_id, region)
        self.ram: Ram = self._account.ram
        self.quotas = self._account.quotas
        service = Service(self._account)
        self.trail: Trail = service.trail
        self.faults: Faults = service.faults
        self.ecs = Ecs(service)
        plant(self._account, seed)
        self._open_gateways(service, host, ports)

    def _open_gateways(self, service: Service, host: str, ports: tuple[int, ...]) -> None:
        try:
            from kmskit.emulator.server import Door, Server, listen
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"the emulator needs the package {error.name}", hint='pip install "kmskit[emulator]"'
            ) from error
        state = service.account.state
        models = ["", *(_instance(state, model, self.clock.now()).id for model in _MODELS)]
        doors, cas, endpoints = [], {}, {}
        for instance, port in zip(models, ports, strict=True):
            authority = _authority(state, instance, host)
            found = listen(host, port)
            doors.append(Door(found, authority.server_context(host), instance))
            endpoints[instance] = _endpoint(host, found.getsockname()[1])
            cas[instance] = self._folder.path / (f"PrivateKmsCA_{instance}.pem" if instance else "ca.pem")
            cas[instance].write_text(authority.pem)
        self.endpoint, self.ca_path = endpoints[""], str(cas[""])
        self.instances: Mapping[str, KmsInstance] = MappingProxyType(
            {
                model: KmsInstance(instance, model, endpoints[instance], str(cas[instance]))
                for model, instance in zip(_MODELS, models[1:], strict=True)
            }
        )
        service.account.instance_ca = lambda instance: cas[instance].read_text() if instance in cas else ""
        self._server = Server(service, doors)
        self._server.start()

    # Using it

    def connect(self, user: Identity | None = None, *, instance: str | None = None) -> Kms:
        """A Kms of a user, or of the account's root.

        Args:
            instance: `software`, `hardware` or an instance's id: keys are made in it, and used over its own gateway.
        """
        who = user or self.ram.root
        return connect(
            self.uri(instance), credential=(who.access_key_id, who.access_key_secret, who.security_token or "")
        )

    def uri(self, instance: str | None = None) -> str:
        """What `kmskit.connect` takes, also in another process that has `env()`."""
        query = {"endpoint": self.endpoint, "ca": self.ca_path}
        if instance is not None:
            found = self._instance(instance)
            query = {"instance": found.id, **query, "instance-endpoint": found.endpoint, "instance-ca": found.ca_path}
        return str(Uri("alibaba", self.region, query=query))

    def _instance(self, named: str) -> KmsInstance:
        for model, instance in self.instances.items():
            if named in (model, instance.id):
                return instance
        raise ConfigurationError(f"there is no instance {named!r}", hint=f"there are {' and '.join(self.instances)}")

    def enable_default_key(self, alias: str = "main") -> str:
        """Enable the region's default key under an alias, as the console does. Returns its id."""
        return enable_default_key(self._account, alias)

    def open_instance_to_shared_gateway(self, instance: str, *, public: bool) -> None:
        """Whether an instance's keys may also be used over the shared gateway; they may at first."""
        found = self._account.state.get(Instance, self._instance(instance).id)
        if found is not None:
            self._account.state.put(replace(found, public=public))

    def env(self, user: Identity | None = None) -> Environment:
        """What another process needs in its environment: where the gateways are, and a user's access key."""
        who = user or self.ram.root
        found = Environment(
            KMSKIT_REGION=self.region, KMSKIT_SHARED_ENDPOINT=self.endpoint, KMSKIT_SHARED_CA=self.ca_path
        )
        for model, instance in self.instances.items():
            found[f"KMSKIT_{model.upper()}_INSTANCE"] = instance.id
            found[f"KMSKIT_{model.upper()}_ENDPOINT"] = instance.endpoint
            found[f"KMSKIT_{model.upper()}_CA"] = instance.ca_path
        found["ALIBABA_CLOUD_ACCESS_KEY_ID"] = who.access_key_id
        found["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = who.access_key_secret
        if who.security_token:
            found["ALIBABA_CLOUD_SECURITY_TOKEN"] = who.security_token
        return found

    # Ending

    def stop(self) -> None:
        """Let calls under way end and close everything. Stopping twice is fine. Without a data_dir all is gone then."""
        unregister(self.stop)
        if os.getpid() != self._process:
            return  # A forked child has a copy of this object, and the cloud is its parent's.
        if self._server is not None:
            self._server.stop()
        if self._state is not None:
            self._state.close()
        self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Cloud {self.region} at {volatile_text(self.endpoint)}: it protects nothing real>"

    def _repr_html_(self) -> str:
        gateways = {"shared": self.endpoint, **{each.kind: each.endpoint for each in self.instances.values()}}
        rows: dict[str, object] = {f"{name} gateway": volatile_html(endpoint) for name, endpoint in gateways.items()}
        return card(f"Cloud: {self.region}", {**rows, "note": "it protects nothing real"})


def start(
    *,
    region: str = "cn-hangzhou",
    data_dir: str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    instance_ports: tuple[int, int] = (0, 0),
) -> Cloud:
    """Start an emulator in a thread of this process.

    Args:
        region: which region it pretends to be.
        data_dir: a folder that keeps keys, users and CAs, made with mode 0700; if left out, one that is deleted at the
            end.
        host: the address to listen on. Whoever can reach it can try access keys; loopback is for yourself alone.
        port: of the shared gateway; 0 finds a free one.
        seed: a JSON file, or what is in it: users, policies, keys and aliases to begin with, as `kmskit.emulator.seed`
            describes.
        instance_ports: of the gateways of the software and the hardware instance.

    Raises:
        ConfigurationError: the folder, the seed or an address cannot be used.
    """
    return Cloud(region, data_dir, host, port, seed, instance_ports)


def _kept(state: State, name: str, default: str) -> str:
    """A setting as it was at the first start."""
    found = state.get(Setting, name)
    if found is None:
        found = Setting(id=name, value=default)
        state.put(found)
    return found.value


def _instance(state: State, model: str, now: float) -> Instance:
    for instance in state.all(Instance):
        if instance.model == model:
            return instance
    made = Instance(id=f"kst-hzz{secrets.token_hex(12)}", name=model, model=model, created=now)
    state.put(made)
    return made


def _authority(state: State, instance: str, host: str) -> Authority:
    """The CA of a gateway, which stays the same as long as the address does."""
    name = f"ca {instance or 'shared'}"
    found = state.get(Setting, name)
    authority = None if found is None else Authority.load(found.value)
    if authority is None or not authority.covers(host):
        authority = Authority.create(f"kmskit emulator CA {instance or 'shared'}", host)
        state.put(Setting(id=name, value=authority.dump()))
    return authority


def _endpoint(host: str, port: int) -> str:
    """Where this computer reaches it."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"[{reached}]:{port}" if ":" in reached else f"{reached}:{port}"
