"""Key policies. Only keys of instances have one, and its only name is `default`."""

from __future__ import annotations

from dataclasses import replace

from kmskit.emulator.errors import ServiceError
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.documents import key_policy
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.ram.system import default_key_policy
from kmskit.emulator.state import Instance, Key


def _key(call: Call) -> Key:
    key = call.key(alias=False)
    if call.optional("PolicyName", "default") != "default":
        raise ServiceError(404, "Forbidden.ResourceNotFound", "Policy not found.")
    if not key.instance:
        raise ServiceError(400, "Forbidden.KeyPolicyUnSupported", "The specified key does not support key policy.")
    return key


@operation("GetKeyPolicy")
def get_key_policy(call: Call) -> Answer:
    return {"Policy": _key(call).policy or default_key_policy(call.account.id)}


@operation("SetKeyPolicy", writes=True, note="how an Allow for a whole account counts is emulator-defined")
def set_key_policy(call: Call) -> Answer:
    text = call.text("Policy")
    key = _key(call)
    policy = key_policy(call, text, call.state.get(Instance, key.instance))
    call.state.put(replace(key, policy=policy))
    return {}
