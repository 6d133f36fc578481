"""Who signs the requests: the vendor's credential objects, from an option, the environment or the vendor's chain.

The chain is that of alibabacloud-credentials: access key and STS token from the environment, OIDC role, the CLI's and
the SDK's profile files, the RAM role of an ECS instance, a credentials URI. Roles and tokens are renewed by it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from alibabacloud_credentials.client import Client
from alibabacloud_credentials.provider import StaticAKCredentialsProvider, StaticSTSCredentialsProvider

from kmskit.errors import ConfigurationError

__all__ = ["CredentialOption", "resolve"]

CredentialOption: TypeAlias = Any
"""None for the chain; `(id, secret)` or `(id, secret, token)`; a mapping with `access_key_id`, `access_key_secret` and
`security_token`, also under the environment's names; a function that returns one of these each time it is asked; or an
object of alibabacloud-credentials: a Client or a provider."""

_NAMES = ("access_key_id", "access_key_secret", "security_token")
_PREFIX = "ALIBABA_CLOUD_"


def resolve(option: CredentialOption = None) -> Any:
    """The vendor's credential object.

    Raises:
        TypeError: none of the forms above.
        ConfigurationError: an id or secret is missing.
    """
    if option is None:
        return _from_environment()
    if hasattr(option, "get_credential"):  # The vendor's Client, or something that stands for one.
        return option
    if hasattr(option, "get_credentials"):  # One of the vendor's providers.
        return Client(provider=option)
    if callable(option):
        return Client(provider=_Asked(option))
    return Client(provider=_static(option))


def _from_environment() -> Any:
    """The vendor reads the environment when its module is imported, which would hide what is set afterwards."""
    found = {name: os.environ.get(_PREFIX + name.upper()) for name in _NAMES}
    if found["access_key_id"] and found["access_key_secret"]:
        return Client(provider=_static(found))
    return Client()


def _static(option: Any) -> Any:
    identity, secret, token = _parts(option)
    if not (identity and secret):
        raise ConfigurationError("credential: an access key has an id and a secret", hint="one of them is empty")
    if token:
        return StaticSTSCredentialsProvider(access_key_id=identity, access_key_secret=secret, security_token=token)
    return StaticAKCredentialsProvider(access_key_id=identity, access_key_secret=secret)


def _parts(option: Any) -> tuple[str, str, str]:
    if isinstance(option, Mapping):
        values = [option.get(name) or option.get(_PREFIX + name.upper()) or "" for name in _NAMES]
    elif isinstance(option, Sequence) and not isinstance(option, str | bytes) and len(option) in (2, 3):
        values = [*option, ""][:3]
        values[2] = values[2] or ""
    else:
        values = [option]
    if len(values) != 3 or not all(isinstance(value, str) for value in values):
        # Nothing of it is repeated: it may well be the secret.
        raise TypeError(
            "credential: (id, secret) or (id, secret, token) expected, a mapping of these, a function that returns "
            "them, or a credential object of alibabacloud-credentials"
        )
    return values[0], values[1], values[2]


class _Asked:
    """A provider that asks a function of the user's, so that tokens can be renewed."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask

    def get_credentials(self) -> Any:
        answer = self._ask()
        provider = answer if hasattr(answer, "get_credentials") else _static(answer)
        return provider.get_credentials()

    async def get_credentials_async(self) -> Any:
        return self.get_credentials()

    def get_provider_name(self) -> str:
        return "kmskit"
