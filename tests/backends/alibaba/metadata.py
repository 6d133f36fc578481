"""A key as the service describes it."""

from __future__ import annotations

from typing import Any

from tests.backends.alibaba.server import Reply

__all__ = ["KEY", "describe"]

KEY = "key-hzz62f1cb66fa42qo7zcb"
VERSION = "86a9efd9-3d16-4894-bd4f-1fc43f3f2abf"


def describe(action: str, **more: Any) -> Reply | None:
    """The answers that describe the key; None for any other action."""
    metadata = {
        "KeyId": KEY,
        "KeySpec": "Aliyun_AES_256",
        "KeyUsage": "ENCRYPT/DECRYPT",
        "KeyState": "Enabled",
        "CreationDate": "2026-03-01T08:00:00Z",
        "PrimaryKeyVersion": VERSION,
        "Origin": "Aliyun_KMS",
        "ProtectionLevel": "SOFTWARE",
        "Description": "",
    }
    answers: dict[str, dict[str, Any]] = {
        "DescribeKey": {"KeyMetadata": metadata | more},
        "ListKeyVersions": {"KeyVersions": {"KeyVersion": [{"KeyVersionId": VERSION}]}, "TotalCount": 1},
        "ListAliasesByKeyId": {"Aliases": {"Alias": []}, "TotalCount": 0},
        "ListResourceTags": {"Tags": {"Tag": []}},
    }
    return Reply(answers[action]) if action in answers else None
