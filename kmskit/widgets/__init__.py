"""Keys by hand: what a notebook shows to be clicked.

    from kmskit.widgets import EnvelopeInspector, KeyConsole, Playground

    KeyConsole(kms)              # the keys of a Kms: list, create, rotate, disable, delete
    Playground(kms)              # encrypt, flip a byte, decrypt; sign and verify
    EnvelopeInspector(message)   # the bytes of an envelope, field by field

    NonceReuse()                 # two bitmaps under one nonce, or under two
    Lifecycle()                  # which ciphertexts open after rotate, disable, destroy
    Sequences("envelope")        # who sends what to whom: direct, envelope, server-side, HSM
    Permissions(cloud, who, key.id)   # user x action on an emulator, and the deciding statement
    ByteMap(data, fields)        # any bytes by field

Each is an ipywidget, and brings along a picture or table of itself (`tile`), which is what a notebook stores and what
GitHub shows. A refusal appears inside of the widget with its hint, never as a stack trace.
"""

from __future__ import annotations

from kmskit.errors import MissingDependencyError

try:
    import anywidget
    import ipywidgets
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        f"widgets need the package {error.name}", hint='pip install "kmskit[notebook]"'
    ) from error

from kmskit.widgets.bytemap import ByteField, ByteMap
from kmskit.widgets.envelope_inspector import EnvelopeInspector
from kmskit.widgets.key_console import KeyConsole
from kmskit.widgets.lifecycle import Lifecycle
from kmskit.widgets.nonce_reuse import NonceReuse
from kmskit.widgets.permissions import Permissions
from kmskit.widgets.playground import Playground
from kmskit.widgets.sequences import Sequences
from kmskit.widgets.tile import Tile

__all__ = [
    "ByteField",
    "ByteMap",
    "EnvelopeInspector",
    "KeyConsole",
    "Lifecycle",
    "NonceReuse",
    "Permissions",
    "Playground",
    "Sequences",
    "Tile",
]
del anywidget, ipywidgets
