"""A data folder: what is in it after a restart, after a kill, and what is not taken."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from Tea.exceptions import TeaException

from kmskit import ConfigurationError, emulator
from kmskit.emulator import Cloud, Identity
from tests.emulator.calls import Caller

SERVING = """
import sys
from kmskit.cli import main
sys.argv = ["kmskit", *sys.argv[1:]]
main()
"""


def ports(cloud: Cloud) -> tuple[int, tuple[int, int]]:
    first, *others = (int(each.endpoint.rpartition(":")[2]) for each in (cloud, *cloud.instances.values()))
    return first, (others[0], others[1])


def test_a_restart_keeps_everything_that_counts(tmp_path: Path) -> None:
    folder = tmp_path / "cloud"
    with emulator.start(data_dir=folder) as cloud:
        call = Caller(cloud)
        key = call.key(Tags=[{"TagKey": "a", "TagValue": "é"}], DKMSInstanceId=cloud.instances["software"].id)["KeyId"]
        call("CreateAlias", AliasName="alias/kept", KeyId=key)
        call("CreateKeyVersion", KeyId=key)
        blobs = [call("Encrypt", KeyId=key, Plaintext="aGk=")["CiphertextBlob"] for _ in range(2)]
        going = call.key()["KeyId"]
        call("ScheduleKeyDeletion", KeyId=going, PendingWindowInDays="7")
        cloud.clock.advance(days=3)
        user = cloud.ram.create_user(
            "user",
            policies=[cloud.ram.create_policy("own", emulator.ram.system.SYSTEM_POLICIES["AliyunKMSReadOnlyAccess"])],
        )
        before = (cloud.account_id, cloud.ram.root, dict(cloud.instances), Path(cloud.ca_path).read_text())
        told = call("DescribeKey", user, KeyId=key)["KeyMetadata"]
        port, others = ports(cloud)
    assert (folder / "state.db").stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    with emulator.start(data_dir=folder, port=port, instance_ports=others) as cloud:
        call = Caller(cloud)
        after = (cloud.account_id, cloud.ram.root, dict(cloud.instances), Path(cloud.ca_path).read_text())
        assert before == after
        assert call("DescribeKey", user, KeyId="alias/kept")["KeyMetadata"] == told
        assert [call("Decrypt", CiphertextBlob=blob)["Plaintext"] for blob in blobs] == ["aGk=", "aGk="]
        assert call("ListKeyVersions", KeyId=key)["TotalCount"] == 2
        cloud.clock.advance(days=4.1)
        assert call("ListKeys")["TotalCount"] == 1
        assert call.key()["KeyId"] != key


def test_what_is_no_data_folder_is_told_of(tmp_path: Path) -> None:
    with emulator.start(data_dir=tmp_path / "a", region="cn-beijing"):
        pass
    with pytest.raises(ConfigurationError, match="of the region cn-beijing"):
        emulator.start(data_dir=tmp_path / "a")
    (tmp_path / "b").mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="can be read by others"):
        emulator.start(data_dir=tmp_path / "b")
    (tmp_path / "c").mkdir(mode=0o700)
    (tmp_path / "c" / "state.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigurationError, match="damaged"):
        emulator.start(data_dir=tmp_path / "c")


def read_env(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


class Served:
    """`kmskit emulator` in a process of its own, and what a client needs to call it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        env = self.env_file = folder.parent / f"{folder.name}.env"
        env.unlink(missing_ok=True)
        command = ["emulator", "--data-dir", str(folder), "--env-file", str(env), *arguments]
        self.process = subprocess.Popen([sys.executable, "-c", SERVING, *command], stderr=subprocess.PIPE)
        end = time.monotonic() + 60
        while not env.exists():
            assert self.process.poll() is None, self.process.stderr.read() if self.process.stderr else ""
            assert time.monotonic() < end
            time.sleep(0.02)
        assert env.stat().st_mode & 0o777 == 0o600
        self.env = read_env(env)
        self.endpoint, self.ca_path = self.env["KMSKIT_SHARED_ENDPOINT"], self.env["KMSKIT_SHARED_CA"]
        self.region = self.env["KMSKIT_REGION"]
        self.instances: dict[str, object] = {}
        self.identity = Identity(
            "", "", self.env["ALIBABA_CLOUD_ACCESS_KEY_ID"], self.env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
        )

    def end(self, number: int) -> str:
        self.process.send_signal(number)
        _, told = self.process.communicate(timeout=60)
        return told.decode()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found


def test_a_killed_emulator_comes_back_with_all_that_it_has_answered(tmp_path: Path) -> None:
    folder = tmp_path / "cloud"
    port, *others = free_ports(3)
    arguments = ["--port", str(port), "--instance-ports", ",".join(map(str, others))]
    blobs: dict[str, str] = {}
    for turn in range(3):
        served = Served(folder, *arguments)
        call = Caller(served)  # type: ignore[arg-type]
        who = served.identity
        for blob in blobs.values():
            assert call("Decrypt", who, CiphertextBlob=blob)["Plaintext"] == "aGk="
        for number in range(20):
            key = call("CreateKey", who)["KeyMetadata"]["KeyId"]
            call("CreateAlias", who, AliasName=f"alias/{turn}-{number}", KeyId=key)
            blobs[key] = call("Encrypt", who, KeyId=key, Plaintext="aGk=")["CiphertextBlob"]
        served.end(signal.SIGKILL)
    served = Served(folder, *arguments)
    call = Caller(served)  # type: ignore[arg-type]
    assert call("ListKeys", served.identity)["TotalCount"] == call("ListAliases", served.identity)["TotalCount"] == 60
    for key, blob in blobs.items():
        opened = call("Decrypt", served.identity, CiphertextBlob=blob)
        assert (opened["Plaintext"], opened["KeyId"]) == ("aGk=", key)
    told = served.end(signal.SIGTERM)
    assert "it protects nothing real" in told
    assert served.process.returncode == 0
    assert who.access_key_secret not in told


def test_a_kill_in_the_midst_of_writing_takes_nothing_that_was_answered(tmp_path: Path) -> None:
    folder = tmp_path / "cloud"
    answered: dict[str, str] = {}

    def write(served: Served) -> None:
        call = Caller(served)  # type: ignore[arg-type]
        with suppress(TeaException):
            while True:
                key = call("CreateKey", served.identity)["KeyMetadata"]["KeyId"]
                answered[key] = call("Encrypt", served.identity, KeyId=key, Plaintext="aGk=")["CiphertextBlob"]

    for turn in range(1, 5):
        served = Served(folder)
        with ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(write, served)
            while len(answered) < 12 * turn:  # Not after a time, which a busy machine may need for the first of them.
                time.sleep(0.01)
            served.end(signal.SIGKILL)
    served = Served(folder)
    call = Caller(served)  # type: ignore[arg-type]
    for key, blob in answered.items():
        assert call("Decrypt", served.identity, CiphertextBlob=blob)["KeyId"] == key
    served.end(signal.SIGTERM)


def test_the_command_line_makes_a_user_and_a_seed(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text('{"keys": [{"id": "11111111-2222-3333-4444-555555555555", "aliases": ["orders"]}]}')
    served = Served(
        tmp_path / "cloud", "--seed", str(seed), "--user", "app:AliyunKMSCryptoUserAccess", "--region", "cn-beijing"
    )
    names = {
        "KMSKIT_REGION",
        *(f"KMSKIT_{kind}_{what}" for kind in ("SOFTWARE", "HARDWARE") for what in ("INSTANCE", "ENDPOINT", "CA")),
        "KMSKIT_SHARED_ENDPOINT",
        "KMSKIT_SHARED_CA",
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    }
    assert served.env.keys() == names
    call = Caller(served)  # type: ignore[arg-type]
    made = call("Encrypt", served.identity, KeyId="alias/orders", Plaintext="aGk=")
    assert made["KeyId"] == "11111111-2222-3333-4444-555555555555"
    assert "app" in call("GetCallerIdentity", served.identity)["Arn"]
    served.end(signal.SIGINT)
    assert served.process.returncode == 0
    assert not served.env_file.exists()  # Whoever waits for the file of the next one must not find this one's.
    again = Served(tmp_path / "cloud", "--user", "app:AliyunKMSReadOnlyAccess", "--region", "cn-beijing")
    assert again.identity == served.identity
    assert Caller(again)("DescribeKey", again.identity, KeyId="alias/orders")  # type: ignore[arg-type]
    again.env_file.write_text("KMSKIT_SHARED_ENDPOINT=127.0.0.1:1\n")
    again.end(signal.SIGTERM)
    assert again.env_file.exists()  # It is another's by now.
    assert os.path.exists(tmp_path / "cloud" / "state.db")


def test_a_folder_is_one_emulators_at_a_time(tmp_path: Path) -> None:
    with (
        emulator.start(data_dir=tmp_path / "cloud"),
        pytest.raises(ConfigurationError, match="another emulator's"),
    ):
        emulator.start(data_dir=tmp_path / "cloud")
    with emulator.start(data_dir=tmp_path / "cloud"):
        pass


def test_a_forked_child_that_ends_takes_nothing_along(tmp_path: Path) -> None:
    code = (
        "import os, sys; from kmskit import emulator; cloud = emulator.start()\n"
        "child = os.fork()\n"
        "if child == 0: sys.exit(0)\n"
        "os.waitpid(child, 0); print(os.path.exists(cloud.ca_path))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "True\n"
