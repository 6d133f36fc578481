"""Own certificates, no proxies and no credentials but the tests' own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import kmskit
from kmskit import Kms
from tests.backends.alibaba.server import Authority, Reply, Server, serve

CREDENTIAL = ("LTAItestkeyid", "a-secret-of-the-tests")


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """What the vendor's packages read is not the user's. They read some of it once, when they are imported."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("ALIBABA_CLOUD_") or name.lower().endswith("_proxy") or name == "DEBUG":
                patch.delenv(name)
        patch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


Answer = Callable[[str, dict[str, str]], Reply]
Connected = tuple[Kms, Server]


@pytest.fixture
def connected(authority: Authority, tmp_path: Path) -> Iterator[Callable[[Answer], Connected]]:
    """A Kms on a server that gives these answers."""
    with ExitStack() as stack:

        def connect(answer: Answer) -> Connected:
            server = stack.enter_context(serve(authority.context(), answer))
            kms = kmskit.connect(f"alibaba://{server.address}?ca={authority.path}", credential=CREDENTIAL)
            return stack.enter_context(kms), server

        yield connect


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between attempts are a hundredth of what users wait; that they grow is tested by itself."""
    monkeypatch.setattr("kmskit.backends.alibaba.gateway._FIRST_PAUSE", 0.002)
