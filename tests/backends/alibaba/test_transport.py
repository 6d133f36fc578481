"""Which server is trusted, what a connection that fails means, and that nothing of a request is told."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

import kmskit
from kmskit import ConfigurationError, KmsError, ServiceUnavailableError
from kmskit.testing import leaks
from tests.backends.alibaba.conftest import CREDENTIAL, Connected
from tests.backends.alibaba.metadata import KEY, describe
from tests.backends.alibaba.server import Authority, Reply, error, serve


def answers(action: str, parameters: dict[str, str]) -> Reply:
    return describe(action) or Reply({"CiphertextBlob": "AAAA", "KeyId": KEY, "KeyVersionId": "v"})


def connect(address: str, ca: str) -> kmskit.Kms:
    return kmskit.connect(f"alibaba://{address}?ca={quote(ca, safe='')}", credential=CREDENTIAL)


def test_a_ca_is_a_path_or_the_text_itself(authority: Authority) -> None:
    with serve(authority.context(), answers) as server:
        for ca in (str(authority.path), authority.pem):
            with connect(server.address, ca) as kms:
                assert kms.key(KEY).encrypt(b"x") == b"AAAA"


def test_another_ca_is_refused_also_where_this_one_was_accepted(authority: Authority, tmp_path: Path) -> None:
    """The SDK's own sessions accept for a host what was once accepted there."""
    other = Authority(tmp_path, "other CA")
    with serve(authority.context(), answers) as server, connect(server.address, authority.pem) as right:
        assert right.key(KEY).id == KEY
        before = len(server.seen)
        with connect(server.address, other.pem) as wrong, pytest.raises(ConfigurationError, match="certificate") as e:
            wrong.key(KEY)
        assert "ca=" in (e.value.hint or "")
        assert wrong.calls == 1  # Not tried again: a certificate does not get better.
        public = kmskit.connect(f"alibaba://{server.address}", credential=CREDENTIAL)
        with public, pytest.raises(ConfigurationError, match="certificate"):
            public.key(KEY)
        assert len(server.seen) == before
        assert right.key(KEY).id == KEY


def test_an_expired_certificate_and_one_of_another_host_are_refused(authority: Authority) -> None:
    for context, reason in (
        (authority.context(age=timedelta(days=1)), "expired"),
        (authority.context(host="elsewhere.example.com"), "127.0.0.1"),
    ):
        with serve(context, answers) as server, connect(server.address, authority.pem) as kms:
            with pytest.raises(ConfigurationError, match=reason):
                kms.key(KEY)
            assert not server.seen


def test_a_ca_that_cannot_be_read_is_told_when_connecting(tmp_path: Path) -> None:
    nothing, text = tmp_path / "nothing.pem", tmp_path / "text.pem"
    text.write_text("no certificate")
    broken = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----"
    for ca in (str(nothing), str(text), str(tmp_path), broken):
        with pytest.raises(ConfigurationError) as refused:
            connect("127.0.0.1:1", ca)
        assert str(tmp_path) not in str(refused.value)


# Failures on the way


def test_a_port_that_is_closed_is_a_service_that_is_away(authority: Authority) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with connect(f"127.0.0.1:{closed.getsockname()[1]}", authority.pem) as kms:
            with pytest.raises(ServiceUnavailableError, match="takes no connections") as away:
                kms.create_key()
            assert away.value.retryable
            assert kms.calls == 4  # Nothing was sent, so even CreateKey is tried again.


def test_a_name_that_is_not_known_is_a_service_that_is_away(authority: Authority) -> None:
    with connect("kms.invalid", authority.pem) as kms, pytest.raises(ServiceUnavailableError, match="name"):
        kms.key(KEY)


def test_an_instance_that_is_not_reachable_says_that_it_is_inside_its_vpc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KMSKIT_CLOUD", "real")
    monkeypatch.setattr(socket, "getaddrinfo", _unknown)
    uri = "alibaba://cn-hangzhou?instance=kst-hzz1"
    with kmskit.connect(uri, credential=CREDENTIAL) as kms, pytest.raises(ServiceUnavailableError) as away:
        kms._backend.mac(KEY, b"x", kmskit.algorithms.ALGORITHMS["HMAC_SHA_256"])
    assert "VPC" in (away.value.hint or "")


def _unknown(*arguments: object, **options: object) -> object:
    raise socket.gaierror(socket.EAI_NONAME, "not known")


def test_a_slow_server_is_left_after_the_time_that_was_given(authority: Authority) -> None:
    def slow(action: str, parameters: dict[str, str]) -> Reply:
        return describe(action) or Reply(wait=1.0)

    with serve(authority.context(), slow) as server:
        uri = f"alibaba://{server.address}?ca={authority.path}"
        with kmskit.connect(uri, credential=CREDENTIAL, timeout=(2, 0.2)) as kms:
            assert "timeout=2,0.2" in kms.uri
            with pytest.raises(ServiceUnavailableError, match="in time"):
                kms.key(KEY).encrypt(b"x")


@pytest.mark.parametrize("raw", [b"", b"<html>502</html>", b"[1, 2]", b'"text"', b"null", b"\xff\xfe"])
@pytest.mark.parametrize("status", [200, 502])
def test_an_answer_of_someone_else_is_a_service_that_is_away(
    connected: Callable[..., Connected], raw: bytes, status: int
) -> None:
    kms, _ = connected(lambda action, parameters: Reply(raw=raw, status=status))
    with pytest.raises(ServiceUnavailableError):
        kms.key(KEY)


def test_a_redirection_is_not_followed(connected: Callable[..., Connected]) -> None:
    kms, server = connected(
        lambda action, parameters: Reply(status=307, headers={"Location": "https://elsewhere.example.com/"})
    )
    with pytest.raises(ServiceUnavailableError):
        kms.key(KEY)
    assert set(server.actions) == {"DescribeKey"}


# Secrecy


@pytest.mark.parametrize(
    "reply",
    [
        Reply(drop=True),
        Reply(raw=b"<html>", status=502),
        Reply(raw=b"", status=200),
        error("InternalFailure", 500),
        error("Forbidden.NoPermission", 403),
        error("Rejected.Disabled", 409),
        error("SignatureDoesNotMatch", message="{echo}"),
        error("InvalidParameter", message="The value {echo} is not valid."),
        error("Some.Unknown", 418, message="{quoted}"),
        Reply({"CiphertextBlob": 7}),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body.get('Code', '') or reply.drop}",
)
def test_no_error_and_no_log_line_holds_what_was_sent(
    connected: Callable[..., Connected], caplog: pytest.LogCaptureFixture, reply: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the server repeats it, and where the environment asks the SDK to write requests down."""
    monkeypatch.setenv("DEBUG", "sdk")
    plaintext = secrets.token_urlsafe(30).encode()

    def answer(action: str, parameters: dict[str, str]) -> Reply:
        sent = parameters.get("Plaintext", "")
        body = {
            name: str(value).format(echo=sent, quoted=quote(sent)) if name == "Message" else value
            for name, value in reply.body.items()
        }
        return describe(action) or Reply(body, reply.status, raw=reply.raw, drop=reply.drop)

    kms, server = connected(answer)
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(KmsError) as failed:
            kms.key(KEY).encrypt(plaintext)
        kms.key(KEY)
    error = failed.value
    assert error.__cause__ is None
    assert error.__context__ is None
    logs = [f"{record.getMessage()} {vars(record)!r}" for record in caplog.records]
    assert any(f"127.0.0.1:{server.address.rpartition(':')[2]}" in line for line in logs), "nothing was logged at all"
    leaks.assert_clean([error, *logs], plaintext, b64encode(plaintext), CREDENTIAL[1].encode())
    assert not any("Signature=" in line for line in logs)


def test_logs_of_others_stay_as_they_are(caplog: pytest.LogCaptureFixture, connected: Callable[..., Connected]) -> None:
    connected(answers)
    logger = logging.getLogger("urllib3.connectionpool")
    with caplog.at_level(logging.DEBUG):
        logger.debug('%s://%s:%s "%s %s"', "https", "other.example.com", 443, "GET", "/path?query=1")
        logger.debug("no arguments")
    assert "/path?query=1" in caplog.text


def test_the_clients_of_others_are_not_touched(connected: Callable[..., Connected]) -> None:
    """A program that uses the SDK itself has its own sessions, and a closed Kms leaves none behind."""
    from darabonba.core import DaraCore

    before = set(DaraCore._sessions)
    kms, _ = connected(answers)
    kms.key(KEY)
    (mine,) = set(DaraCore._sessions) - before
    assert not mine.endswith("pool=40")
    kms.close()
    kms.close()
    with pytest.raises(ConfigurationError, match="closed"):
        kms.key(KEY)
    assert set(DaraCore._sessions) == before


# Proxies


def test_loopback_is_never_reached_through_a_proxy(
    connected: Callable[..., Connected], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    kms, _ = connected(answers)
    assert kms.key(KEY).id == KEY


def test_a_proxy_is_used_unless_no_proxy_says_otherwise(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:a-proxy-password@127.0.0.1:9")
    with connect("kms.example.com", authority.pem) as kms, pytest.raises(ServiceUnavailableError) as away:
        kms.key(KEY)
    assert "proxy" in str(away.value)
    leaks.assert_clean(away.value, b"a-proxy-password")
    monkeypatch.setenv("NO_PROXY", "kms.invalid")
    with connect("kms.invalid", authority.pem) as kms, pytest.raises(ServiceUnavailableError, match="name"):
        kms.key(KEY)


def test_a_child_process_makes_its_own_connections(connected: Callable[..., Connected]) -> None:
    kms, _ = connected(answers)
    key = kms.key(KEY)
    key.encrypt(b"x")
    key.encrypt_many([b"x"] * 10).values()
    child = os.fork()
    if child == 0:
        try:
            done = key.encrypt(b"x") == b"AAAA" and len(key.encrypt_many([b"x"] * 10).values()) == 10
        finally:
            os._exit(0 if done else 1)
    for _ in range(20):
        key.encrypt(b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
