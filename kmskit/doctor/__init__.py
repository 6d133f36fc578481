"""What is installed, what was found, and whether a URI can be used: `examine()` looks, and changes nothing.

    from kmskit import doctor
    doctor.examine()                       # a table in Jupyter; `kmskit doctor` on the command line
    doctor.examine("software:///abs/keys.db").usable

A check is a function that yields findings. A new backend adds one to `CHECKS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from kmskit.backends.pkcs11.places import find_modules
from kmskit.doctor import credentials, installed, store, token
from kmskit.doctor.finding import Check, Finding, Findings, State, Subject
from kmskit.doctor.installed import EXTRAS, LEAST_CRYPTOGRAPHY
from kmskit.kms import Kms, connect

__all__ = [
    "CHECKS",
    "EXTRAS",
    "LEAST_CRYPTOGRAPHY",
    "Check",
    "Finding",
    "Findings",
    "State",
    "Subject",
    "examine",
    "find_modules",
]


def examine(uri: str | None = None, *, connect: Callable[[str], Kms] = connect) -> Findings:
    """Look at this machine, and whether `uri` can be used here. Nothing is made or changed to find out.

    A key store that is there is opened and closed again; one that is not is not made. PKCS#11 modules are looked for
    and not loaded, but for that of a `pkcs11:` URI: its token is logged in to once, unless its flags show that a PIN
    was wrong. Only an `alibaba:` URI has something sent: the service is asked who calls, and whether a key would
    encrypt. Environment variables are told by name, never by value.

    Args:
        uri: as for `kmskit.connect`; if left out, KMSKIT_URI, else `software:`.
        connect: what opens the URI; one of your own may know a passphrase.
    """
    subject = Subject(uri if uri is not None else os.environ.get("KMSKIT_URI") or "software:", connect)
    return Findings(finding for check in CHECKS for finding in check(subject))


CHECKS: tuple[Check, ...] = (
    installed.python,
    installed.cryptography,
    installed.extras,
    installed.jupyter,
    installed.modules,
    installed.softhsm,
    credentials.environment,
    credentials.alibaba_credentials,
    store.key_store,
    token.token,
    store.opens,
    store.disk,
)
"""In the order in which their findings are shown."""
