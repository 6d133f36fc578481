"""Environment variables and credentials: names, never values."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from kmskit.doctor.files import private
from kmskit.doctor.finding import Finding, Subject

__all__ = ["alibaba_credentials", "environment"]

_OURS = ("KMSKIT_URI", "KMSKIT_PASSPHRASE", "KMSKIT_PKCS11_PIN", "KMSKIT_CLOUD")
_ACCESS_KEY = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
_OTHER_ALIBABA = (
    "ALIBABA_CLOUD_SECURITY_TOKEN",
    "ALIBABA_CLOUD_ROLE_ARN",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
    "ALIBABA_CLOUD_CREDENTIALS_URI",
    "ALIBABA_CLOUD_CREDENTIALS_FILE",
    "ALIBABA_CLOUD_ECS_METADATA",
    "ALIBABA_CLOUD_PROFILE",
)
_CREDENTIAL_FILES = (".alibabacloud/credentials.ini", ".aliyun/config.json")


def environment(subject: Subject) -> Iterator[Finding]:
    ours = _set(_OURS)
    yield Finding("environment", "ok", f"set: {', '.join(ours)}" if ours else "no variable of kmskit is set")


def alibaba_credentials(subject: Subject) -> Iterator[Finding]:
    topic, pair, others = "Alibaba Cloud", _set(_ACCESS_KEY), _set(_OTHER_ALIBABA)
    files = [path for name in _CREDENTIAL_FILES if os.path.isfile(path := os.path.expanduser(f"~/{name}"))]
    if len(pair) == 1:
        other = next(name for name in _ACCESS_KEY if name not in pair)
        yield Finding(topic, "problem", f"only one half of the access key is set: {pair[0]}", f"set {other} too")
    elif pair or others:
        yield Finding(topic, "ok", f"set: {', '.join(pair + others)}")
    elif not files:
        cure = f"set {' and '.join(_ACCESS_KEY)}, for alibaba: URIs"
        yield Finding(topic, "missing", "no credentials in the environment or in the usual files", cure)
    for path in files:
        yield from private(topic, "credentials in ", path)


def _set(names: Iterable[str]) -> list[str]:
    return [name for name in names if os.environ.get(name)]
