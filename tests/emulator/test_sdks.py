"""The vendor's other clients: the old SDK, the asynchronous one, and tokens in each scheme."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alibabacloud_kms20160120 import models

from kmskit.emulator import Cloud
from tests.emulator.calls import Caller
from tests.emulator.conftest import MODES

aliyunsdkcore = pytest.importorskip("aliyunsdkcore")


@pytest.fixture
def old(cloud: Cloud) -> Callable[..., dict[str, Any]]:
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkcore.request import RpcRequest

    host = cloud.endpoint

    def call(action: str, secret: str | None = None, **parameters: str) -> dict[str, Any]:
        root = cloud.ram.root
        client = AcsClient(root.access_key_id, secret or root.access_key_secret, cloud.region, verify=cloud.ca_path)
        request = RpcRequest("Kms", "2016-01-20", action)
        request.set_protocol_type("https")
        request.set_method("POST")
        request.set_endpoint(host)
        for name, value in parameters.items():
            request.add_query_param(name, value)
        answer: dict[str, Any] = json.loads(client.do_action_with_exception(request))
        return answer

    return call


# It carries a urllib3 of 2018, which asks Python for things that are on their way out, and leaves sockets open.
OLD = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@OLD
def test_the_old_sdk_encrypts_and_decrypts(old: Callable[..., dict[str, Any]]) -> None:
    key = old("CreateKey")["KeyMetadata"]["KeyId"]
    context = '{"a": "é *~+/"}'
    blob = old("Encrypt", KeyId=key, Plaintext="aGk=", EncryptionContext=context)["CiphertextBlob"]
    assert old("Decrypt", CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == "aGk="


@OLD
def test_the_old_sdk_understands_refusals(old: Callable[..., dict[str, Any]]) -> None:
    from aliyunsdkcore.acs_exception.exceptions import ServerException

    for action, secret, parameters, status, code in (
        ("DescribeKey", None, {"KeyId": "none"}, 404, "Forbidden.KeyNotFound"),
        # It compares the string to sign in the message with its own, and finds that only the secret can be wrong.
        ("DescribeKey", "wrong", {"KeyId": "none"}, 400, "InvalidAccessKeySecret"),
        ("Encrypt", "wrong", {"KeyId": "none", "Plaintext": "aGk="}, 400, "SignatureDoesNotMatch"),
    ):
        with pytest.raises(ServerException) as error:
            old(action, secret, **parameters)
        assert (error.value.get_http_status(), error.value.get_error_code()) == (status, code)
        assert error.value.get_request_id()


@pytest.mark.parametrize("mode", MODES)
def test_tokens_work_in_each_scheme(sdk: Callable[..., Any], cloud: Cloud, mode: str) -> None:
    if not cloud.ram.document("token-test"):
        cloud.ram.create_policy("token-test", cloud.ram.document("AliyunKMSFullAccess") or "")
        cloud.ram.create_role("token-test", policies=["token-test"])
    session = cloud.ram.session("token-test")
    made = sdk(session, mode=mode).create_key(models.CreateKeyRequest()).body
    assert made.key_metadata.key_state == "Enabled"
    assert cloud.trail[-1].user == "token-test/session"


@pytest.mark.parametrize("mode", MODES)
def test_the_asynchronous_client(sdk: Callable[..., Any], cloud: Cloud, mode: str) -> None:
    key = Caller(cloud).key()["KeyId"]

    async def work() -> list[str]:
        client = sdk(mode=mode)
        made = await asyncio.gather(
            *(client.encrypt_async(models.EncryptRequest(key_id=key, plaintext=str(number))) for number in range(8))
        )
        opened = await asyncio.gather(
            *(client.decrypt_async(models.DecryptRequest(ciphertext_blob=each.body.ciphertext_blob)) for each in made)
        )
        return [each.body.plaintext for each in opened]

    with ThreadPoolExecutor(1) as pool:  # A thread of its own: the browser tests leave a loop running in this one.
        opened = pool.submit(lambda: asyncio.run(work())).result(60)
    assert opened == [str(number) for number in range(8)]


def test_forms_that_the_sdk_sends_in_the_body(sdk: Callable[..., Any], cloud: Cloud) -> None:
    key = Caller(cloud).key()["KeyId"]
    made = sdk().generate_data_key(models.GenerateDataKeyRequest(key_id=key, recipient=None)).body
    assert made.plaintext


@pytest.mark.parametrize("mode", MODES)
def test_errors_carry_the_link_and_the_request(sdk: Callable[..., Any], mode: str) -> None:
    from Tea.exceptions import TeaException

    with pytest.raises(TeaException) as error:
        sdk(mode=mode).describe_key(models.DescribeKeyRequest(key_id="none"))
    assert error.value.code == "Forbidden.KeyNotFound"
    assert error.value.data["Recommend"].startswith("https://api.aliyun.com/troubleshoot?q=Forbidden.KeyNotFound")
    assert error.value.data["HostId"] == "kms.cn-hangzhou.aliyuncs.com"
