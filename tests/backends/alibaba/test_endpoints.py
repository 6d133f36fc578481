"""The forms of an `alibaba:` URI, and that the real service is not asked by accident."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

import kmskit
from kmskit import ConfigurationError
from kmskit.backends.alibaba.endpoints import Endpoints
from kmskit.uri import parse
from tests.backends.alibaba.conftest import CREDENTIAL
from tests.backends.alibaba.server import Authority

INSTANCE = "kst-hzz62f1cb66fa42qo7zcb"


def endpoints(text: str) -> Endpoints:
    return Endpoints.parse(parse(text))


def test_a_region_is_its_shared_gateway() -> None:
    found = endpoints("alibaba://cn-hangzhou")
    assert found.shared.address == "kms.cn-hangzhou.aliyuncs.com"
    assert found.dedicated == found.shared
    assert (found.region, found.instance, found.shared.ca) == ("cn-hangzhou", None, None)


def test_an_instance_has_its_own_gateway_and_ca(authority: Authority) -> None:
    found = endpoints(f"alibaba://cn-hangzhou?instance={INSTANCE}&ca={authority.path}")
    assert (found.shared.address, found.shared.ca) == ("kms.cn-hangzhou.aliyuncs.com", None)
    assert (found.dedicated.address, found.dedicated.ca) == (
        f"{INSTANCE}.cryptoservice.kms.aliyuncs.com",
        authority.pem,
    )


def test_both_gateways_can_be_named_in_full(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    uri = (
        f"alibaba://cn-hangzhou?instance={INSTANCE}&endpoint=127.0.0.1:1&ca={authority.path}"
        f"&instance-endpoint=[::1]:2&instance-ca={quote(other.pem, safe='')}"
    )
    found = endpoints(quote(uri, safe="/:?&=%"))
    assert (found.shared.address, found.shared.ca) == ("127.0.0.1:1", authority.pem)
    assert (found.dedicated.address, found.dedicated.host, found.dedicated.port) == ("[::1]:2", "::1", 2)
    assert found.dedicated.ca == other.pem
    assert endpoints(str(found.uri)) == found


@pytest.mark.parametrize("host", ["kms.example.com", "localhost", "localhost:8443", "127.0.0.1:8443", "[::1]:8443"])
def test_a_host_is_one_gateway_for_everything(host: str, authority: Authority) -> None:
    found = endpoints(f"alibaba://{quote(host, safe=':')}?ca={authority.path}")
    assert found.shared == found.dedicated
    assert (found.shared.address, found.region, found.shared.ca) == (host, None, authority.pem)


def test_a_path_in_a_uri_holds_in_another_folder(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(authority.path.parent)
    found = endpoints(f"alibaba://localhost?ca={authority.path.name}")
    assert found.uri.query["ca"] == str(authority.path)


@pytest.mark.parametrize(
    "text",
    [
        "alibaba:",
        "alibaba://",
        "alibaba:cn-hangzhou",
        "alibaba://cn-hangzhou/path",
        "alibaba://nonsense",
        "alibaba://CN_HANGZHOU",
        "alibaba://host.example.com:0",
        "alibaba://host.example.com:99999",
        "alibaba://host.example.com:port",
        "alibaba://user@host.example.com",
        "alibaba://cn-hangzhou?instance=nonsense",
        "alibaba://cn-hangzhou?instance-endpoint=localhost:1",
        "alibaba://cn-hangzhou?endpoint=%2Fetc",
        "alibaba://cn-hangzhou?secret=x",
        "alibaba://localhost?endpoint=localhost:1",
        "alibaba://cn-hangzhou?timeout=never",
        "alibaba://cn-hangzhou?timeout=0",
        "alibaba://cn-hangzhou?timeout=1,2,3",
        "alibaba://cn-hangzhou?timeout=nan",
    ],
)
def test_what_names_no_gateway_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        endpoints(text)


# The real service


@pytest.mark.parametrize(
    "uri",
    [
        "alibaba://cn-hangzhou",
        "alibaba://kms.cn-hangzhou.aliyuncs.com",
        "alibaba://KMS.cn-hangzhou.ALIYUNCS.com.",
        "alibaba://kms-vpc.cn-hangzhou.aliyuncs.com:443",
        f"alibaba://{INSTANCE}.cryptoservice.kms.aliyuncs.com",
        f"alibaba://cn-hangzhou?instance={INSTANCE}&endpoint=localhost:1",
    ],
)
def test_the_real_service_needs_an_explicit_word(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = uri.replace("com.", "com%2E")
    for value in (None, "", "1", "true", "REAL"):
        monkeypatch.delenv("KMSKIT_CLOUD", raising=False)
        if value is not None:
            monkeypatch.setenv("KMSKIT_CLOUD", value)
        with pytest.raises(ConfigurationError) as refused:
            kmskit.connect(uri, credential=CREDENTIAL)
        if "names the real service" not in str(refused.value):
            assert uri.endswith("%2E")  # No host name that is taken at all.
        else:
            assert "KMSKIT_CLOUD=real" in (refused.value.hint or "")


def test_with_that_word_it_is_opened_and_not_yet_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KMSKIT_CLOUD", "real")
    with kmskit.connect("alibaba://cn-hangzhou", credential=CREDENTIAL) as kms:
        assert kms.calls == 0
        assert repr(kms) == "<Kms alibaba ⟨alibaba://cn-hangzhou⟩>"
