"""The emulator's figure: measured by a client that is not the limit."""

from __future__ import annotations

import pytest

from kmskit.bench import emulator as bench
from kmskit.bench import presigned
from kmskit.emulator import Cloud

pytest_plugins = ["kmskit.testing.cloud"]


def test_the_figure_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_CALLS", 5)
    (figure,) = bench.figures()
    assert figure.limit == "at most 1 ms"


def test_a_call_that_fails_is_no_figure(kms_cloud: Cloud) -> None:
    root = kms_cloud.ram.root
    good = presigned.signed(kms_cloud.endpoint, root.access_key_id, root.access_key_secret, "DescribeRegions", {})
    assert presigned.timed(kms_cloud.endpoint, kms_cloud.ca_path, [good]) > 0
    with pytest.raises(RuntimeError, match="refused"):
        presigned.timed(kms_cloud.endpoint, kms_cloud.ca_path, [good])
