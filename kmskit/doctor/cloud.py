"""An `alibaba:` URI: what stands between this machine and the service, in the order of the guide."""

from __future__ import annotations

from collections.abc import Iterator

from kmskit.doctor.finding import URI, Finding
from kmskit.uri import Uri

__all__ = ["reaches"]


def reaches(uri: Uri) -> Iterator[Finding]:
    """Step by step, up to the first fault."""
    try:
        from kmskit.backends.alibaba.diagnosis import diagnose  # On first use: it needs an extra.
    except ModuleNotFoundError as error:
        yield Finding(URI, "problem", f"{error.name} is not installed", 'pip install "kmskit[alibaba]"')
        return
    for step in diagnose(uri):
        yield Finding(f"{URI} {step.name}".strip(), step.state, step.text, step.cure)
