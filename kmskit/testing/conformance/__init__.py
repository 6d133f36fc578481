"""The suite that every backend runs.

    class TestMyBackend(BackendConformance):
        @pytest.fixture(scope="class")
        @classmethod
        def kms(cls):
            with kmskit.connect("mine:...") as kms:
                yield kms

It skips what `kms.supports(spec, operation)` declares as not there, and nothing else; what is declared so must raise
UnsupportedError. Sizes come from `Support.max_bytes`. The clock is set only where the fixture `advance` can set it.
"""

from __future__ import annotations

from kmskit.testing.conformance.base import Advance, KeyPool
from kmskit.testing.conformance.batches import BatchConformance
from kmskit.testing.conformance.encryption import EncryptionConformance
from kmskit.testing.conformance.lifecycle import LifecycleConformance
from kmskit.testing.conformance.naming import NamingConformance
from kmskit.testing.conformance.secrecy import SecrecyConformance
from kmskit.testing.conformance.sharing import SharingConformance
from kmskit.testing.conformance.signatures import SignatureConformance
from kmskit.testing.conformance.support import SupportConformance

__all__ = ["Advance", "BackendConformance", "KeyPool"]


class BackendConformance(
    SupportConformance,
    EncryptionConformance,
    BatchConformance,
    SignatureConformance,
    LifecycleConformance,
    NamingConformance,
    SharingConformance,
    SecrecyConformance,
):
    """All that a backend must do. Override the fixture `kms`; see `Conformance` for what else may be overridden."""
