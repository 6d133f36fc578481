"""KMS instances, as far as the documents tell of them. ProductType and the plans' figures are emulator-defined."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from kmskit.emulator.clock import timestamp
from kmskit.emulator.errors import ServiceError, invalid
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.documents import read_filters
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.state import Instance

_YEAR = 365 * 86_400
_FILTERS = ("KmsInstanceId", "KmsInstanceName", "ProductType", "Status")
_KEY_QUOTA, _SECRET_QUOTA, _VPC_QUOTA = 1000, 1000, 5


def _found(call: Call) -> Instance:
    named = call.text("KmsInstanceId", most=128)
    call.authorize(f"kmsInstance/{named}")
    instance = call.state.get(Instance, named)
    if instance is None:
        raise ServiceError(403, "Forbidden.DKMSInstanceNotFound", "The specified DKMS Instance is not found.")
    return instance


def _keys_in(call: Call, instance: Instance) -> int:
    return sum(key.instance == instance.id for key in call.account.all_keys())


@operation("ListKmsInstances", evidence="SDK source")
def list_kms_instances(call: Call) -> Answer:
    call.authorize("kmsInstance")
    filters = read_filters(call, _FILTERS)
    instances = [instance for instance in call.state.all(Instance) if _matches(instance, filters)]
    shown, pages = call.page(len(instances))
    listed = [
        {"KmsInstanceId": instance.id, "KmsInstanceArn": call.arn(f"kmsInstance/{instance.id}")}
        for instance in instances[shown]
    ]
    return {"KmsInstances": {"KmsInstance": listed}, **pages}


def _matches(instance: Instance, filters: dict[str, set[str]]) -> bool:
    facts = {
        "KmsInstanceId": instance.id,
        "KmsInstanceName": instance.name,
        "ProductType": instance.model,
        "Status": "Connected",
    }
    return all(facts[name] in wanted for name, wanted in filters.items())


@operation(
    "GetKmsInstance",
    evidence="SDK source",
    note="with the CA of the instance's own gateway; ProductType and the plan's figures are emulator-defined",
)
def get_kms_instance(call: Call) -> Answer:
    instance = _found(call)
    bound: list[Any] = json.loads(instance.bound) if instance.bound else []
    return {
        "KmsInstance": {
            "InstanceId": instance.id,
            "InstanceName": instance.name,
            "ProductType": instance.model,
            "ProductVersion": "3",
            "Status": "Connected",
            "SaleStatus": "Normal",
            "ChargeType": "PREPAY",
            "Spec": 1000,
            "KeyNum": _KEY_QUOTA,
            "SecretNum": str(_SECRET_QUOTA),
            "Log": 0,
            "LogStorage": 0,
            "CreateTime": timestamp(instance.created),
            "StartDate": timestamp(instance.created),
            "EndDate": timestamp(instance.created + _YEAR),
            "CaCertificateChainPem": call.account.instance_ca(instance.id),
            "VpcId": instance.vpc,
            "VpcNum": _VPC_QUOTA,
            **_where(instance),
            "BindVpcs": {"BindVpc": bound},
            "DeletionProtection": instance.protected,
            "DeletionProtectionDescription": instance.protection_note,
        }
    }


def _where(instance: Instance) -> dict[str, list[str]]:
    """Left out while there is nothing to tell: these are lists to newer SDKs and text to older ones, which fail on a
    list, even on an empty one."""
    named = {"VswitchIds": list(instance.vswitches), "ZoneIds": list(instance.zones)}
    return {name: values for name, values in named.items() if values}


@operation("GetDefaultKmsInstance", evidence="SDK source", note="the first one that was made")
def get_default_kms_instance(call: Call) -> Answer:
    call.authorize("kmsInstance")
    instances = call.state.all(Instance)
    return {"DefaultKmsInstanceId": instances[0].id if instances else ""}


@operation("ConnectKmsInstance", writes=True, evidence="SDK source", note="an instance here is always connected")
def connect_kms_instance(call: Call) -> Answer:
    call.text("KMProvider")
    instance = _found(call)
    call.state.put(
        replace(
            instance,
            vpc=call.text("VpcId"),
            vswitches=tuple(call.text("VSwitchIds").split(",")),
            zones=tuple(call.text("ZoneIds").split(",")),
        )
    )
    return {}


@operation("UpdateKmsInstanceBindVpc", writes=True, evidence="SDK source")
def update_kms_instance_bind_vpc(call: Call) -> Answer:
    text = call.text("BindVpcs", most=8192)
    names = {"RegionId", "VSwitchId", "VpcId", "VpcOwnerId"}
    try:
        bound = json.loads(text)
    except (ValueError, RecursionError):
        bound = None
    if not isinstance(bound, list) or not all(isinstance(each, dict) and each.keys() <= names for each in bound):
        raise invalid("BindVpcs", f"A list of objects with {', '.join(sorted(names))} is expected.")
    call.state.put(replace(_found(call), bound=json.dumps(bound)))
    return {}


@operation("GetKmsInstanceQuotaInfos", evidence="emulator-defined")
def get_kms_instance_quota_infos(call: Call) -> Answer:
    instance = _found(call)
    wanted = call.optional("ResourceType")
    infos = [{"ResourceType": "key", "ResourceQuota": _KEY_QUOTA, "UsedQuantity": _keys_in(call, instance)}]
    return {
        "KmsInstanceId": instance.id,
        "KmsInstanceQuotaInfos": [info for info in infos if wanted in ("", info["ResourceType"])],
    }
