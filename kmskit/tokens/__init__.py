"""PKCS#11 modules, slots and tokens, looked at from outside: no PIN is needed, and nothing is changed.

    from kmskit import tokens
    tokens.modules()                                  # what is installed; each of these is a table in Jupyter
    tokens.tokens("/usr/lib/softhsm/libsofthsm2.so")
    tokens.mechanisms("pkcs11:token=demo?module-path=/usr/lib/softhsm/libsofthsm2.so")

`where` is a `pkcs11:` URI or the path of a module's library. To look into a module is to load it: its code then runs in
this process. `modules` alone loads nothing, unless it is asked to.
"""

from kmskit.tokens.info import (
    USES,
    MechanismInfo,
    Mechanisms,
    ModuleInfo,
    Modules,
    SlotInfo,
    Slots,
    TokenInfo,
    Tokens,
)
from kmskit.tokens.look import mechanisms, modules, places, slots, tokens

__all__ = [
    "USES",
    "MechanismInfo",
    "Mechanisms",
    "ModuleInfo",
    "Modules",
    "SlotInfo",
    "Slots",
    "TokenInfo",
    "Tokens",
    "mechanisms",
    "modules",
    "places",
    "slots",
    "tokens",
]
