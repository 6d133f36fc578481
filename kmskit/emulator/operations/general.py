"""The account and its regions."""

from __future__ import annotations

from kmskit.emulator.errors import ServiceError
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.registry import Answer, operation

_REGIONS = ("cn-hangzhou", "cn-shanghai", "cn-beijing", "cn-shenzhen", "ap-southeast-1", "eu-central-1", "us-west-1")


@operation("DescribeRegions")
def describe_regions(call: Call) -> Answer:
    """Everyone may."""
    regions = dict.fromkeys((call.account.region, *_REGIONS))
    return {"Regions": {"Region": [{"RegionId": region} for region in regions]}}


@operation("DescribeAccountKmsStatus")
def describe_account_kms_status(call: Call) -> Answer:
    call.authorize("*")
    return {"AccountStatus": "Enabled"}


@operation("OpenKmsService", evidence="documented", note="it is open already")
def open_kms_service(call: Call) -> Answer:
    call.authorize("*")
    raise ServiceError(400, "Forbidden.Opened", "The KMS service is open already.")
