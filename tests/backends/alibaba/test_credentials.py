"""Who signs: an option, the environment, or the vendor's chain; and that no secret is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from alibabacloud_credentials.client import Client
from alibabacloud_credentials.models import Config
from alibabacloud_credentials.provider import StaticSTSCredentialsProvider

import kmskit
from kmskit import AuthenticationError, ConfigurationError
from kmskit.backends.alibaba.credentials import resolve
from kmskit.testing import leaks
from tests.backends.alibaba.conftest import Connected
from tests.backends.alibaba.server import Reply, error

ID, SECRET, TOKEN = "LTAIexample", "example-secret-example", "example-token-example"
OF_THE_VENDOR = Config(type="access_key", access_key_id=ID, access_key_secret=SECRET)


@pytest.mark.parametrize(
    ("option", "token"),
    [
        ((ID, SECRET), None),
        ([ID, SECRET, None], None),
        ((ID, SECRET, TOKEN), TOKEN),
        ({"access_key_id": ID, "access_key_secret": SECRET}, None),
        ({"ALIBABA_CLOUD_ACCESS_KEY_ID": ID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET}, None),
        ({"access_key_id": ID, "access_key_secret": SECRET, "security_token": TOKEN}, TOKEN),
        (lambda: (ID, SECRET, TOKEN), TOKEN),
        (Client(OF_THE_VENDOR), None),
        (StaticSTSCredentialsProvider(access_key_id=ID, access_key_secret=SECRET, security_token=TOKEN), TOKEN),
    ],
)
def test_each_form_of_the_option_signs(option: Any, token: str | None) -> None:
    found = resolve(option).get_credential()
    assert (found.access_key_id, found.access_key_secret, found.security_token) == (ID, SECRET, token)


@pytest.mark.parametrize("option", [SECRET, SECRET.encode(), 7, (SECRET,), (ID, 7), (ID, SECRET, TOKEN, "more")])
def test_anything_else_is_a_type_error_that_repeats_nothing(option: Any) -> None:
    with pytest.raises(TypeError, match="credential") as refused:
        resolve(option)
    leaks.assert_clean(refused.value, SECRET.encode())


@pytest.mark.parametrize("option", [("", SECRET), (ID, ""), {}])
def test_half_an_access_key_is_refused(option: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the vendor's package would fill the gap from the environment."""
    with pytest.raises(ConfigurationError, match="credential"):
        resolve(option)


def test_the_environment_is_read_when_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor's package reads it when it is imported, and so misses what a program sets."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", ID)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET)
    assert resolve().get_credential().security_token is None
    monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", TOKEN)
    assert resolve().get_credential().security_token == TOKEN


def test_no_credentials_are_told_as_such(
    connected: Callable[..., Connected], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    kms, server = connected(lambda action, parameters: Reply())
    with kmskit.connect(kms.uri) as nobody, pytest.raises(ConfigurationError, match="no credentials") as refused:
        nobody.key("orders")
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in (refused.value.hint or "")
    assert not server.seen


def test_a_function_is_asked_again_so_that_tokens_can_be_renewed(connected: Callable[..., Connected]) -> None:
    asked: list[int] = []

    def ask() -> tuple[str, str, str]:
        asked.append(1)
        return ID, SECRET, f"{TOKEN}-{len(asked)}"

    kms, _ = connected(lambda action, parameters: error("Forbidden.KeyNotFound", 404))
    with kmskit.connect(kms.uri, credential=ask) as mine:
        for _ in range(2):
            with pytest.raises(kmskit.KeyNotFoundError):
                mine.key("orders")
    assert len(asked) == 2


def test_a_refused_access_key_is_not_shown(connected: Callable[..., Connected]) -> None:
    kms, server = connected(lambda action, parameters: error("InvalidAccessKeyId.NotFound", 404))
    with kmskit.connect(kms.uri, credential=(ID, SECRET, TOKEN)) as mine:
        with pytest.raises(AuthenticationError) as refused:
            mine.key("orders")
        leaks.assert_clean([refused.value, repr(mine), mine.uri], SECRET.encode(), TOKEN.encode())
    assert len(server.seen) == 1
