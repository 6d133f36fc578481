"""Message authentication codes."""

from __future__ import annotations

from base64 import b64encode

from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.specs import MAC
from kmskit.emulator.state import Key

_QPS = 1000
_NOTE = "which spec has which algorithms is emulator-defined"


def _key_for_mac(call: Call) -> tuple[Key, str, bytes]:
    for name in ("KeyId", "Algorithm"):
        call.text(name)
    message = call.binary("Message")
    key = call.usable_key(MAC)
    return key, call.algorithm(key), message


@operation("GenerateMac", evidence="SDK source", data_plane=True, dry_run=True, quota=_QPS, note=_NOTE)
def generate_mac(call: Call) -> Answer:
    key, algorithm, message = _key_for_mac(call)
    call.ready()
    tag = call.account.keyring.mac(call.primary(key), algorithm, message)
    return {"KeyId": key.id, "Algorithm": algorithm, "Mac": b64encode(tag).decode()}


@operation("VerifyMac", evidence="SDK source", data_plane=True, dry_run=True, quota=_QPS, note=_NOTE)
def verify_mac(call: Call) -> Answer:
    """A MAC that does not fit is an answer, Value false, and no error."""
    tag = call.binary("Mac")
    key, algorithm, message = _key_for_mac(call)
    call.ready()
    value = call.account.keyring.verify_mac(call.primary(key), algorithm, message, tag)
    return {"KeyId": key.id, "Algorithm": algorithm, "Value": value}
