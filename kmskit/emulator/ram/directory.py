"""Users, access keys, roles, policies and sessions: what one makes in RAM's web console."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kmskit.emulator.clock import Clock
from kmskit.emulator.ram.decision import Decision, Principal, decide
from kmskit.emulator.ram.document import parse_document
from kmskit.emulator.ram.system import SYSTEM_POLICIES
from kmskit.emulator.state import AccessKey, Alias, Credentials, Key, Policy, Role, State, User
from kmskit.emulator.wire.verify import Credential
from kmskit.errors import AlreadyExistsError, ConfigurationError, KeyNotFoundError
from kmskit.markup import printable, volatile_text

__all__ = ["Identity", "Ram"]

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A user with an access key, or a session: what a client needs to sign its requests.

    Attributes:
        name: the user's, or `role/session`.
        access_key_secret: no repr shows it, nor the token.
        security_token: of a session; None for a user.
    """

    name: str
    arn: str
    access_key_id: str
    access_key_secret: str
    security_token: str | None = None

    def __repr__(self) -> str:
        return f"<Identity {printable(self.name)} {volatile_text(self.access_key_id)}>"


class Ram:
    """The account's users and what they may do. Its methods stand for the web console: no policy limits who calls them.

    Attributes:
        account: the account's id.
        root: the account itself, which may do everything.
    """

    def __init__(self, state: State, clock: Clock, account: str, region: str) -> None:
        self._state = state
        self._clock = clock
        self._region = region
        self.account = account
        roots = [key for key in state.all(AccessKey) if not key.user]
        root = roots[0] if roots else self._new_access_key("")
        self.root = Identity("root", f"acs:ram::{account}:root", root.id, root.secret)

    # Users

    def create_user(
        self,
        name: str,
        *,
        policies: Iterable[str] = (),
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
    ) -> Identity:
        """A user with one access key.

        Args:
            policies: names of system policies, or of custom ones made by `create_policy`.
            access_key_id: with `access_key_secret`, a fixed pair instead of a random one.
        """
        wanted = tuple(policies)
        with self._state.lock:
            self._check_new(User, name)
            self._check_policies(wanted)
            self._state.put(User(id=name, number=_number(), policies=wanted))
            key = self._new_access_key(name, access_key_id, access_key_secret)
        return self._identity(key)

    def user(self, name: str) -> Identity:
        """The user with its first active access key."""
        self._existing(User, name)
        for key in self._state.all(AccessKey):
            if key.user == name and key.active:
                return self._identity(key)
        raise ConfigurationError(
            f"the user {name!r} has no active access key", hint="cloud.ram.create_access_key(name)"
        )

    def users(self) -> list[str]:
        return [user.id for user in self._state.all(User)]

    def delete_user(self, name: str) -> None:
        """With its access keys."""
        with self._state.change() as change:
            change.drop(self._existing(User, name))
            for key in self._state.all(AccessKey):
                if key.user == name:
                    change.drop(key)

    def create_access_key(self, name: str) -> Identity:
        """One more access key, as when one is to be replaced by another."""
        self._existing(User, name)
        return self._identity(self._new_access_key(name))

    def set_access_key(self, access_key_id: str, *, active: bool) -> None:
        """Disable an access key, or enable it again."""
        self._state.put(replace(self._existing(AccessKey, access_key_id), active=active))

    def delete_access_key(self, access_key_id: str) -> None:
        with self._state.change() as change:
            change.drop(self._existing(AccessKey, access_key_id))

    # Policies

    def create_policy(self, name: str, document: str | Mapping[str, Any]) -> str:
        """A custom policy, or the new text of one. Returns its name.

        Raises:
            ValueError: it is not a policy document.
        """
        if name in SYSTEM_POLICIES:
            raise AlreadyExistsError(f"{name!r} is a system policy", hint="choose another name")
        _check_name(name)
        text = document if isinstance(document, str) else json.dumps(document)
        parse_document(text)
        self._state.put(Policy(id=name, document=text))
        return name

    def document(self, name: str) -> str | None:
        """A policy's text; None if there is no such policy."""
        if name in SYSTEM_POLICIES:
            return SYSTEM_POLICIES[name]
        policy = self._state.get(Policy, name)
        return None if policy is None else policy.document

    def attach(self, name: str, *policies: str) -> None:
        """Grant policies to a user or role."""
        self._check_policies(policies)
        with self._state.lock:
            holder = self._holder(name)
            self._state.put(replace(holder, policies=tuple(dict.fromkeys(holder.policies + policies))))

    def detach(self, name: str, *policies: str) -> None:
        with self._state.lock:
            holder = self._holder(name)
            self._state.put(replace(holder, policies=tuple(each for each in holder.policies if each not in policies)))

    # Roles and sessions

    def create_role(
        self,
        name: str,
        *,
        policies: Iterable[str] = (),
        trust: str | Mapping[str, Any] | None = None,
        service: str | None = None,
        max_seconds: int = 3600,
    ) -> str:
        """A role. Returns its ARN.

        Args:
            trust: who may assume it; if left out, every user of the account whose policies allow it.
            service: instead, the cloud product that may, such as `ecs.aliyuncs.com`.
        """
        wanted = tuple(policies)
        principal = {"Service": [service]} if service else {"RAM": [f"acs:ram::{self.account}:root"]}
        default = {
            "Version": "1",
            "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}],
        }
        text = trust if isinstance(trust, str) else json.dumps(trust or default)
        parse_document(text, with_principals=True)
        with self._state.lock:
            self._check_new(Role, name)
            self._check_policies(wanted)
            role = Role(id=name, number=_number(), trust=text, policies=wanted, max_seconds=max_seconds)
            self._state.put(role)
        return self.role_arn(name)

    def role_arn(self, name: str) -> str:
        return f"acs:ram::{self.account}:role/{name}"

    def open_session(self, role: Role, session: str, seconds: float, policy: str = "") -> Credentials:
        """Temporary credentials. Whoever calls this has decided that the caller may have them."""
        credentials = Credentials(
            id=f"STS.{_random(24)}",
            role=role.id,
            session=session,
            expires=self._clock.now() + seconds,
            secret=_random(44),
            token=f"CAIS{secrets.token_urlsafe(96)}",
            policy=policy,
        )
        with self._state.change() as change:
            change.put(credentials)
            for old in self._state.all(Credentials):
                if old.expires < self._clock.now():
                    change.drop(old)
        return credentials

    def session(self, role: str, session: str = "session", *, seconds: float = 3600, policy: str = "") -> Identity:
        """Credentials of a role without asking whether someone may assume it, as a console shows them. Through the
        service it is `AssumeRole`."""
        found = self.open_session(self._existing(Role, role), session, seconds, policy)
        return Identity(
            f"{role}/{session}", self._session_arn(found), found.id, found.secret, security_token=found.token
        )

    def _session_arn(self, credentials: Credentials) -> str:
        return f"acs:ram::{self.account}:assumed-role/{credentials.role}/{credentials.session}"

    # Asked by the gateway

    def credential(self, access_key_id: str) -> Credential | None:
        key = self._state.get(AccessKey, access_key_id)
        if key is not None:
            return Credential(key.id, key.secret, key.active)
        session = self._state.get(Credentials, access_key_id)
        if session is None:
            return None
        return Credential(session.id, session.secret, token=session.token, expired=session.expires <= self._clock.now())

    def principal(self, access_key_id: str) -> Principal | None:
        """Who signs with this access key."""
        session = self._state.get(Credentials, access_key_id)
        if session is not None:
            return self._session_principal(session)
        key = self._state.get(AccessKey, access_key_id)
        if key is None:
            return None
        if not key.user:
            return Principal(
                kind="Root", account=self.account, name="root", arn=self.root.arn, access_key_id=access_key_id
            )
        user = self._state.get(User, key.user)
        arn = f"acs:ram::{self.account}:user/{key.user}"
        return (
            None
            if user is None
            else Principal(
                kind="SubUser",
                account=self.account,
                name=user.id,
                arn=arn,
                names=(arn,),
                policies=user.policies,
                access_key_id=access_key_id,
            )
        )

    def _session_principal(self, session: Credentials) -> Principal | None:
        role = self._state.get(Role, session.role)
        arn = self._session_arn(session)
        return (
            None
            if role is None
            else Principal(
                kind="AssumedRoleUser",
                account=self.account,
                name=f"{session.role}/{session.session}",
                arn=arn,
                names=(self.role_arn(session.role), arn),
                policies=role.policies,
                session_policy=session.policy,
                access_key_id=session.id,
            )
        )

    def decide(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        context: Mapping[str, str] | None = None,
        key: Key | None = None,
    ) -> Decision:
        return decide(principal, action, resource, document=self.document, context=context or {}, key=key)

    def explain(
        self,
        who: Identity | str,
        action: str,
        on: str = "*",
        *,
        context: Mapping[str, str] | None = None,
    ) -> Decision:
        """What a call would be decided, and by which statement, without making it.

        Args:
            who: an identity, or a user's name.
            action: such as `kms:Decrypt`; `kms:` may be left out.
            on: a key id, an alias, or a whole ARN.
        """
        identity = self.user(who) if isinstance(who, str) else who
        principal = self.principal(identity.access_key_id)
        if principal is None:
            raise ConfigurationError("this identity has no access key any more")
        alias = self._state.get(Alias, on if on.startswith("alias/") else f"alias/{on}")
        key = self._state.get(Key, on if alias is None else alias.key)
        arn = on if key is None else f"acs:kms:{self._region}:{self.account}:key/{key.id}"
        return self.decide(principal, action if ":" in action else f"kms:{action}", arn, context=context, key=key)

    # Helpers

    def _new_access_key(self, user: str, key_id: str | None = None, secret: str | None = None) -> AccessKey:
        key = AccessKey(id=key_id or f"LTAI5t{_random(18)}", user=user, secret=secret or _random(30))
        with self._state.lock:
            if self._state.get(AccessKey, key.id) is not None:
                raise AlreadyExistsError("there is an access key with this id already")
            self._state.put(key)
        return key

    def _identity(self, key: AccessKey) -> Identity:
        return Identity(key.user, f"acs:ram::{self.account}:user/{key.user}", key.id, key.secret)

    def _holder(self, name: str) -> Any:
        return self._state.get(User, name) or self._existing(Role, name)

    def _existing(self, kind: type[Any], name: str) -> Any:
        found = self._state.get(kind, name)
        if found is None:
            raise KeyNotFoundError(f"there is no {kind.__name__.lower()} {name!r}")
        return found

    def _check_new(self, kind: type[User | Role], name: str) -> None:
        _check_name(name)
        if self._state.get(kind, name) is not None:
            raise AlreadyExistsError(f"there is a {kind.__name__.lower()} {name!r} already")

    def _check_policies(self, names: Iterable[str]) -> None:
        for name in names:
            if self.document(name) is None:
                raise KeyNotFoundError(
                    f"there is no policy {name!r}",
                    hint=f"system policies: {', '.join(SYSTEM_POLICIES)}; cloud.ram.create_policy makes others",
                )


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("name: 1 to 64 letters, digits and . _ @ - expected")


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _number() -> str:
    return str(20_000_000_000_000_000 + secrets.randbelow(9 * 10**16))
