"""The system policies that KMS and STS have, as RAM's reference lists them, and what a default key policy says."""

from __future__ import annotations

import json
from collections.abc import Sequence

__all__ = ["SYSTEM_POLICIES", "default_key_policy"]


def _policy(*statements: tuple[Sequence[str], Sequence[str]]) -> str:
    allowed = [
        {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)} for actions, resources in statements
    ]
    return json.dumps({"Version": "1", "Statement": allowed})


def _kms(*names: str) -> list[str]:
    return [f"kms:{name}" for name in names]


_TAGS = ("TagResource", "UntagResource", "ListResourceTags", "TagResources", "UntagResources", "ListTagResources")

SYSTEM_POLICIES: dict[str, str] = {
    "AdministratorAccess": _policy((["*"], ["*"])),
    "AliyunKMSFullAccess": _policy((["kms:*"], ["*"])),
    # Its second version, which added the two calls for MACs.
    "AliyunKMSCryptoUserAccess": _policy(
        (
            _kms(
                "Encrypt",
                "Decrypt",
                "GenerateDataKey",
                "GenerateDataKeyWithoutPlaintext",
                "AsymmetricEncrypt",
                "AsymmetricDecrypt",
                "AsymmetricSign",
                "AsymmetricVerify",
                "GetPublicKey",
                "GenerateMac",
                "VerifyMac",
            ),
            ["*"],
        )
    ),
    "AliyunKMSReadOnlyAccess": _policy(
        (
            _kms(
                "List*",
                "Describe*",
                "GetPublicKey",
                "GetUploadBackupDataInfo",
                "GetKmsInstanceSharedAccounts",
                "GetKmsInstanceQuotaInfos",
                "GetCheckAssociateResourceTaskResults",
                "GetKeyPolicy",
                "GetKeyDefaultPolicy",
                "GetSecretPolicy",
                "GetSecretDefaultPolicy",
                "GetKmsInstance",
                "GetDefaultKmsInstance",
            ),
            ["*"],
        )
    ),
    "AliyunKMSCryptoAdminAccess": _policy(
        (["kms:*"], ["acs:kms:*:*:key", "acs:kms:*:*:key/*", "acs:kms:*:*:alias", "acs:kms:*:*:alias/*"]),
        (_kms(*_TAGS), ["*"]),
    ),
    "AliyunKMSSecretUserAccess": _policy(
        (_kms("GetSecretValue", "DescribeSecret", "ListSecretVersionIds"), ["*"]),
    ),
    "AliyunKMSSecretAdminAccess": _policy(
        (["kms:*"], ["acs:kms:*:*:secret", "acs:kms:*:*:secret/*"]),
        (_kms("GetRandomPassword", *_TAGS), ["*"]),
    ),
    "AliyunSTSAssumeRoleAccess": _policy((["sts:AssumeRole"], ["*"])),
}


def default_key_policy(account: str) -> str:
    """What GetKeyPolicy tells of a key whose policy was never set."""
    statement = {
        "Sid": "kms default key policy",
        "Effect": "Allow",
        "Principal": {"RAM": [f"acs:ram::{account}:*"]},
        "Action": ["kms:*"],
        "Resource": ["*"],
    }
    return json.dumps({"Version": "1", "Statement": [statement]})
