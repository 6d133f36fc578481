"""Seeds: fixed ids and materials, so that answers can be known beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kmskit import ConfigurationError, emulator
from kmskit.emulator.blob import associated_data, seal_blob
from kmskit.emulator.keyring import Keyring
from kmskit.emulator.state import Key, KeyVersion

from .calls import Caller, b64

VERSION = "86a9efd9-3d16-4894-bd4f-1fc43f3f2abf"
BLOB = "ODZhOWVmZDktM2QxNi00ODk0LWJkNGYtMWZjNDNmM2YyYWJmAAECAwQFBgcICQoLFEWAaKei+nzpc67y064pUBrYiZ1OuO6YWSo+q65Vw+E="
SEED: dict[str, Any] = {
    "instances": {"software": "kst-hzz62aaaaaaaaaaaaaaaa", "hardware": "kst-hzz62bbbbbbbbbbbbbbbb"},
    "policies": {
        "only-orders": {
            "Version": "1",
            "Statement": [{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "acs:kms:*:*:key/known"}],
        }
    },
    "users": [
        {
            "name": "app",
            "policies": ["only-orders"],
            "access_key_id": "LTAIexample",
            "access_key_secret": "example-secret",
        }
    ],
    "roles": [{"name": "reader", "policies": ["AliyunKMSReadOnlyAccess"]}],
    "keys": [
        {"id": "known", "aliases": ["orders"], "version": VERSION, "material": b64(bytes(range(32)))},
        {"aliases": ["fresh"], "spec": "EC_P256", "instance": "hardware", "tags": {"team": "a"}},
    ],
    "default_key": "main",
}


def test_the_published_layout_of_a_blob() -> None:
    """The vector of the facts page: key 00…1f, IV 00…0b, two pairs of context."""
    aad = associated_data('{"b":"2","a":"1"}')
    assert aad is not None
    assert aad.hex() == "8e85be58c1c372ac29fe7bfa80d8ddcbd04a4032c7b51c1c026d67c55b1ab23f"
    version = KeyVersion(id=VERSION, key="k", created=0, material=b64(bytes(range(32))))
    key = Key(id="k", number=1, spec="Aliyun_AES_256", usage="ENCRYPT/DECRYPT", state="Enabled", created=0)
    cipher = Keyring().cipher(key, version)
    assert seal_blob(VERSION, cipher, "SGVsbG8gd29ybGQ=", aad, bytes(range(12))) == BLOB


@pytest.mark.parametrize("as_file", [False, True])
def test_a_seed_gives_known_answers(tmp_path: Path, as_file: bool) -> None:
    path = tmp_path / "seed.json"
    path.write_text(json.dumps(SEED))
    with emulator.start(seed=path if as_file else SEED) as cloud:
        call = Caller(cloud)
        app = cloud.ram.user("app")
        assert (app.access_key_id, app.access_key_secret) == ("LTAIexample", "example-secret")
        opened = call("Decrypt", app, CiphertextBlob=BLOB, EncryptionContext={"a": "1", "b": "2"})
        assert opened == {"Plaintext": "SGVsbG8gd29ybGQ=", "KeyId": "known", "KeyVersionId": VERSION}
        assert cloud.instances["software"].id == SEED["instances"]["software"]
        fresh = call("DescribeKey", KeyId="alias/fresh")["KeyMetadata"]
        assert (fresh["DKMSInstanceId"], fresh["ProtectionLevel"]) == (SEED["instances"]["hardware"], "HSM")
        assert call("DescribeKey", KeyId="alias/main")


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    with emulator.start(seed=SEED, data_dir=tmp_path / "cloud") as cloud:
        call = Caller(cloud)
        call("DisableKey", KeyId="known")
        before = call("ListKeys")
    with emulator.start(seed=SEED, data_dir=tmp_path / "cloud") as cloud:
        call = Caller(cloud)
        assert call("ListKeys") == before
        assert call("DescribeKey", KeyId="known")["KeyMetadata"]["KeyState"] == "Disabled"


@pytest.mark.parametrize(
    "seed",
    [
        {"nonsense": 1},
        {"users": [{}]},
        {"users": [{"name": "a/b"}]},
        {"users": [{"name": "a", "policies": ["none"]}]},
        {"users": "x"},
        {"keys": [{"spec": "none"}]},
        {"keys": [{"usage": "none"}]},
        {"keys": [{"material": "aGk="}]},
        {"keys": [{"material": "%secret%"}]},
        {"keys": [{"version": "short"}]},
        {"keys": [{"instance": "software"}]},
        {"instances": {"other": "x"}},
        {"policies": {"p": {}}},
        {"default_key": "a b"},
    ],
)
def test_a_seed_that_does_not_fit_is_told_of(seed: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="the seed") as error:
        emulator.start(seed=seed)
    assert "%secret%" not in str(error.value)


def test_a_file_that_is_no_seed(tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    for text in ("", "[]", "{", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(ConfigurationError, match="the seed"):
            emulator.start(seed=path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        emulator.start(seed=tmp_path / "none")
