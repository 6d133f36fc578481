"""Sockets: TLS with own CAs, hostile bytes, slow clients, clients that leave, many at once."""

from __future__ import annotations

import asyncio
import gc
import http.client
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from kmskit import ConfigurationError, ServiceUnavailableError, emulator
from kmskit.emulator import Cloud
from kmskit.emulator.operations import OPERATIONS

from .calls import Caller, b64
from .signing import Line, acs3


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


def address(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.rpartition(":")
    return host, int(port)


def tls(cloud: Cloud) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=cloud.ca_path)
    return context.wrap_socket(socket.create_connection(address(cloud.endpoint), 10), server_hostname="127.0.0.1")


def lives(cloud: Cloud) -> bool:
    with closing(Line(cloud)) as line:
        return line.send(acs3(cloud.ram.root, line.host, "DescribeRegions", {}))[0] == 200


def test_each_gateway_has_a_ca_of_its_own(cloud: Cloud) -> None:
    gateways = [cloud, *cloud.instances.values()]
    for gateway in gateways:
        for other in gateways:
            context = ssl.create_default_context(cafile=other.ca_path)
            context.verify_flags |= ssl.VERIFY_X509_STRICT
            connection = http.client.HTTPSConnection(gateway.endpoint, context=context, timeout=10)
            with closing(connection):
                if other is gateway:
                    connection.connect()
                else:
                    with pytest.raises(ssl.SSLCertVerificationError):
                        connection.connect()


def test_a_ca_is_constrained_to_this_computer(cloud: Cloud) -> None:
    for path in (cloud.ca_path, *(each.ca_path for each in cloud.instances.values())):
        certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        assert constraints.critical
        permitted = {str(each.value) for each in constraints.value.permitted_subtrees or []}
        assert permitted == {"127.0.0.1/32", "::1/128", "localhost"}


def test_openssl_agrees_on_the_certificates(cloud: Cloud, tmp_path: Path) -> None:
    leaf = tmp_path / "leaf.pem"
    for gateway in (cloud, *cloud.instances.values()):
        leaf.write_text(ssl.get_server_certificate(address(gateway.endpoint)))
        done = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-verify_ip", "127.0.0.1", "-CAfile", gateway.ca_path, leaf],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        wrong = ["openssl", "verify", "-verify_hostname", "kms.cn-hangzhou.aliyuncs.com", "-CAfile", gateway.ca_path]
        assert subprocess.run([*wrong, leaf], capture_output=True, check=False).returncode != 0


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=400))
def test_any_bytes_at_the_socket(cloud: Cloud, data: bytes) -> None:
    with closing(tls(cloud)) as line, suppress(ConnectionError, ssl.SSLError):
        line.sendall(data + b"\r\n\r\n")
        line.settimeout(0.02)
        with suppress(TimeoutError):
            line.recv(4096)
    with closing(socket.create_connection(address(cloud.endpoint), 10)) as plain, suppress(OSError):
        plain.sendall(data)


def test_the_server_lives_after_all_that(cloud: Cloud) -> None:
    assert lives(cloud)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /?" + b"a=1&" * 300_000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nx: " + b"y" * (1 << 20) + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"x: y\r\n" * 200_000 + b"\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n" + b"z" * 3_000_000,
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + b"ffff\r\n" + b"z" * 0xFFFF + b"\r\n",
    ],
    ids=["line", "header", "headers", "body", "chunks"],
)
def test_what_is_too_large_is_cut_off(cloud: Cloud, head: bytes) -> None:
    with closing(tls(cloud)) as line, suppress(ConnectionError, ssl.SSLError):
        line.sendall(head)
        line.settimeout(5)
        with suppress(TimeoutError):
            line.recv(4096)
    assert lives(cloud)


def everything(line: ssl.SSLSocket) -> bytes:
    read = []
    line.settimeout(20)
    with suppress(ConnectionError, ssl.SSLError):
        while data := line.recv(65_536):
            read.append(data)
    return b"".join(read)


def test_an_answer_comes_in_one_piece(cloud: Cloud) -> None:
    with closing(tls(cloud)) as line:
        for _ in range(3):
            line.sendall(b"POST /?Action=x HTTP/1.1\r\nhost: x\r\n\r\n")
            head, _, body = line.recv(65_536).partition(b"\r\n\r\n")  # One TLS record at most.
            assert head.startswith(b"HTTP/1.1 400 ")
            assert b"content-length: %d" % len(body) in head
            assert body.endswith(b"}")


def test_an_answer_leaves_nothing_to_the_garbage_collector(cloud: Cloud) -> None:
    def alive() -> int:
        return sum(type(thing).__name__ in ("_Whole", "RequestResponseCycle") for thing in gc.get_objects())

    with closing(Line(cloud)) as line:
        gc.collect()
        gc.disable()
        try:
            before = alive()
            for _ in range(20):
                assert line.send(acs3(cloud.ram.root, line.host, "DescribeRegions", {}))[0] == 200
            assert alive() <= before + 2  # Those of the last answer, which the connection keeps.
        finally:
            gc.enable()


def test_head_and_expect_are_answered_as_http_has_it(cloud: Cloud) -> None:
    with closing(tls(cloud)) as line:
        line.sendall(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert line.recv(65_536).startswith(b"HTTP/1.1 403 ")
        line.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n")
        assert line.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(b"x")
        assert line.recv(65_536).startswith(b"HTTP/1.1 400 ")
        line.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert everything(line).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("pause", [0.0, 0.2])
def test_nothing_behind_a_wish_for_another_protocol_is_taken_for_a_request(cloud: Cloud, pause: float) -> None:
    """The parser ends such a request at its head, so its body would be read as the next one."""
    inner = b"POST /?Action=y HTTP/1.1\r\nhost: x\r\n\r\n"
    wish = b"host: x\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: %d\r\n\r\n" % len(inner)
    with closing(tls(cloud)) as line:
        line.sendall(b"POST /?Action=x HTTP/1.1\r\n" + wish)
        time.sleep(pause)
        with suppress(ConnectionError, ssl.SSLError):
            line.sendall(inner)
        answers = everything(line)
    assert answers.count(b"HTTP/1.1 ") == answers.count(b"connection: close") == 1


def test_too_large_a_body_is_answered_once(cloud: Cloud) -> None:
    with closing(tls(cloud)) as line:
        line.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n")
        time.sleep(0.2)  # So that the head is a chunk of its own.
        with suppress(ConnectionError, ssl.SSLError):
            line.sendall(b"z" * 3_000_000)
        answers = everything(line)
    # None at all is what a client sees whose bytes were still on the way when the gateway hung up.
    assert [line[9:12] for line in answers.splitlines() if line.startswith(b"HTTP/1.1 ")] in ([b"413"], [])
    assert lives(cloud)


def test_requests_sent_ahead_are_all_answered(cloud: Cloud) -> None:
    """Together they are larger than what one request may be."""
    one = b"GET /?Action=x&Long=" + b"y" * 2000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"

    async def exchange() -> bytes:
        # Not an SSLSocket, in which one thread must not write while another reads.
        context = ssl.create_default_context(cafile=cloud.ca_path)
        reader, writer = await asyncio.open_connection(*address(cloud.endpoint), ssl=context)
        with closing(writer):
            writer.write(one * 599 + one.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
            return await asyncio.wait_for(reader.read(), 60)

    with ThreadPoolExecutor(1) as pool:  # A thread without an event loop, which this one has after tests in a browser.
        answers = pool.submit(lambda: asyncio.run(exchange())).result()
    assert answers.count(b"HTTP/1.1 4") == 600


def test_64_kilobytes_of_url_are_taken(cloud: Cloud) -> None:
    with closing(Line(cloud)) as line:
        status, answer = line.send(acs3(cloud.ram.root, line.host, "DescribeRegions", {"Long": "x" * 65_536}))
    assert status == 200, answer


def test_clients_that_leave_or_dawdle_hold_up_nobody(cloud: Cloud) -> None:
    dawdling = [tls(cloud) for _ in range(20)]
    for line in dawdling:
        line.sendall(b"POST /?KeyId=")
    for _ in range(20):
        with closing(tls(cloud)) as leaving:
            leaving.sendall(b"POST /?Action=CreateKey HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
    assert lives(cloud)
    for line in dawdling:
        line.close()


def hammer(cloud: Cloud, seconds: float) -> int:
    """64 clients, each of which must get its own answers, and all of them; how many there were."""
    key = Caller(cloud).key()["KeyId"]
    barrier = threading.Barrier(64)

    def work(number: int) -> int:
        turns = 0
        with closing(Line(cloud)) as line:
            barrier.wait(60)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                text = b64(f"{number}-{turns}".encode())
                sealed = line.send(acs3(cloud.ram.root, line.host, "Encrypt", {"KeyId": key, "Plaintext": text}))[1]
                blob = {"CiphertextBlob": sealed["CiphertextBlob"]}
                opened = line.send(acs3(cloud.ram.root, line.host, "Decrypt", blob))[1]
                assert (opened["Plaintext"], opened["KeyId"]) == (text, key)
                turns += 1
        return turns

    with ThreadPoolExecutor(64) as pool:
        return min(pool.map(work, range(64)))


def test_64_clients_at_once_get_their_own_answers(cloud: Cloud) -> None:
    assert hammer(cloud, 10) > 0


@pytest.mark.soak
def test_64_clients_for_a_minute(cloud: Cloud) -> None:
    assert hammer(cloud, 60) > 0


def test_no_value_reaches_a_log(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    caller = Caller(cloud)
    key = caller.key()["KeyId"]
    caplog.set_level(logging.DEBUG)
    logging.getLogger("uvicorn.access").propagate = True  # As it is until uvicorn is set up.
    plaintext = b64(b"4111-1111-1111-1111")
    with closing(Line(cloud)) as line:
        request = acs3(cloud.ram.root, line.host, "Encrypt", {"KeyId": key, "Plaintext": plaintext})
        blob = line.send(request)[1]["CiphertextBlob"]
        line.send(request)
        request.headers["Authorization"] += "0"
        line.send(request)
        line.send(acs3(cloud.ram.root, line.host, "Decrypt", {"CiphertextBlob": blob}))
    seen = caplog.text + repr(list(cloud.trail)) + repr(cloud) + repr(cloud.env()) + str(cloud.env())
    assert "/?" not in seen  # No URL at all, in which a plaintext could stand in any encoding.
    for secret in (plaintext.rstrip("="), "4111-1111", cloud.ram.root.access_key_secret, blob[:40]):
        assert secret not in seen


def test_what_nobody_expected_is_an_internal_failure_that_tells_nothing(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(call: object) -> NoReturn:
        raise RuntimeError("4111-1111")

    monkeypatch.setitem(OPERATIONS, "DescribeRegions", replace(OPERATIONS["DescribeRegions"], run=fail))
    with closing(Line(cloud)) as line:
        status, answer = line.send(acs3(cloud.ram.root, line.host, "DescribeRegions", {}))
    assert (status, answer["Code"]) == (500, "InternalFailure")
    assert "4111" not in caplog.text + str(answer)
    assert "DescribeRegions failed: RuntimeError" in caplog.text
    assert cloud.trail[-1].code == "InternalFailure"


def test_neither_does_what_goes_wrong_before_the_work_begins(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*request: object) -> NoReturn:
        raise RuntimeError("4111-1111")

    with monkeypatch.context() as patch, closing(Line(cloud)) as line:
        patch.setattr("kmskit.emulator.service.verify", fail)
        status, answer = line.send(acs3(cloud.ram.root, line.host, "DescribeRegions", {}))
    assert (status, answer["Code"]) == (500, "InternalFailure")
    assert answer["RequestId"] == cloud.trail[-1].request_id
    assert "4111" not in caplog.text + str(answer)
    assert "RuntimeError" in caplog.text


def test_a_state_that_cannot_be_written_is_unavailable_and_unchanged(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Caller(cloud)("ListKeys")["TotalCount"]

    def full(connection: object, change: object) -> NoReturn:
        raise ServiceUnavailableError("the disk is full")

    with monkeypatch.context() as patch, closing(Line(cloud)) as line:
        patch.setattr("kmskit.emulator.state.store._write", full)
        status, answer = line.send(acs3(cloud.ram.root, line.host, "CreateKey", {}))
    assert (status, answer["Code"]) == (503, "ServiceUnavailableTemporary")
    assert Caller(cloud)("ListKeys")["TotalCount"] == before


def test_a_port_that_is_taken_is_told_of(cloud: Cloud) -> None:
    port = address(cloud.endpoint)[1]
    with pytest.raises(ConfigurationError, match="cannot listen on"):
        emulator.start(port=port)
    assert lives(cloud)


def test_stopping_is_quick_and_leaves_nothing(tmp_path: Path) -> None:
    before = threading.active_count()
    cloud = emulator.start()
    assert lives(cloud)
    folder = Path(cloud.ca_path).parent
    idle = tls(cloud)
    cloud.stop()
    cloud.stop()
    assert not folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address(cloud.endpoint), 1)
    idle.close()
    assert threading.active_count() <= before


def test_a_program_that_forgets_to_stop_ends() -> None:
    code = "from kmskit import emulator; cloud = emulator.start(); print(cloud.ca_path)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not os.path.exists(done.stdout.strip())
    assert done.stderr == ""
