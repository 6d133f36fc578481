"""An emulator of Alibaba Cloud KMS that the vendor's own SDKs talk to unmodified. It protects nothing real.

    with kmskit.emulator.start() as cloud:
        app = cloud.ram.create_user("app", policies=["AliyunKMSCryptoUserAccess"])
        kms = cloud.connect(app, instance="software")

`server` and `gateway` bring bytes, `wire` verifies signatures, `service` leads a request to one of `operations` and
back, `ram` decides who may do it, `state` remembers. `kmskit emulator --actions` lists what is done, and on what
evidence.
"""

from kmskit.emulator.actions import ACTIONS, Action
from kmskit.emulator.clock import Clock
from kmskit.emulator.cloud import Cloud, KmsInstance, start
from kmskit.emulator.ecs import Disk, Ecs
from kmskit.emulator.faults import Faults
from kmskit.emulator.quotas import Quotas
from kmskit.emulator.ram.decision import Decision
from kmskit.emulator.ram.directory import Identity, Ram
from kmskit.emulator.trail import Event, Trail

__all__ = [
    "ACTIONS",
    "Action",
    "Clock",
    "Cloud",
    "Decision",
    "Disk",
    "Ecs",
    "Event",
    "Faults",
    "Identity",
    "KmsInstance",
    "Quotas",
    "Ram",
    "Trail",
    "start",
]
