"""`pkcs11:` URIs, as RFC 7512 has them."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmskit import ConfigurationError
from kmskit.backends.pkcs11 import location, places
from kmskit.backends.pkcs11.inventory import new_key_id, pack_id, parse_id
from kmskit.backends.pkcs11.location import Location, of_key
from kmskit.uri import Uri, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("modules") / "with space % ü.so"
    path.touch()
    return str(path)


@given(label=TEXT, serial=TEXT)
def test_what_a_uri_wants_of_a_token_is_read_as_it_was_written(module: str, label: str, serial: str) -> None:
    uri = Uri("pkcs11", attributes={"token": label, "serial": serial}, query={"module-path": module})
    found = Location.parse(parse(str(uri)))
    assert found.wanted == (("token", label), ("serial", serial))
    assert found.module == os.path.realpath(module)
    assert found.names_a_token()


@given(now=st.integers(0, 2**41), version=st.integers(0, 2**32 - 1), position=st.integers(0, 2**16 - 1))
def test_a_keys_id_survives_its_uri(module: str, now: int, version: int, position: int) -> None:
    key_id = new_key_id(now / 1000)
    raw = pack_id(key_id, version, position).decode(errors="surrogateescape")
    uri = Uri("pkcs11", attributes={"token": "t", "id": raw, "type": "secret-key"}, query={"module-path": module})
    rest, found = of_key(parse(str(uri)))
    assert found == key_id
    assert rest.attributes == {"token": "t"}


@given(raw=st.binary(max_size=30))
def test_an_id_of_another_program_is_refused_or_taken_for_ours(module: str, raw: bytes) -> None:
    uri = Uri("pkcs11", attributes={"id": raw.decode(errors="surrogateescape") or "x"}, query={"module-path": module})
    ours = parse_id(raw) is not None
    with nullcontext() if ours else pytest.raises(ConfigurationError):
        assert len(of_key(parse(str(uri)))[1]) == 36


def test_an_id_comes_before_a_label() -> None:
    key_id = new_key_id(0)
    raw = pack_id(key_id, 0, 0).decode(errors="surrogateescape")
    assert of_key(Uri("pkcs11", attributes={"id": raw, "object": "label"}))[1] == key_id
    assert of_key(Uri("pkcs11", attributes={"object": "label"}))[1] == "label"


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("file:/run/pin", "/run/pin"),
        ("file:///run/pin", "/run/pin"),
        ("file://localhost/run/pin", "/run/pin"),
        ("file:/run/my%20pin%25", "/run/my pin%"),
    ],
)
def test_a_pin_source_is_a_file(module: str, source: str, path: str) -> None:
    uri = Uri("pkcs11", query={"module-path": module, "pin-source": source})
    assert Location.parse(parse(str(uri))).pin_source == Path(path)


@pytest.mark.parametrize("source", ["/run/pin", "file:", "file:pin", "file://host/pin", "|cat pin", "env:PIN"])
def test_another_pin_source_is_refused(module: str, source: str) -> None:
    with pytest.raises(ConfigurationError, match="pin-source"):
        Location.parse(Uri("pkcs11", query={"module-path": module, "pin-source": source}))


def test_the_one_module_that_is_installed_needs_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(*names: str) -> None:
        for name in names:
            path = tmp_path / "usr/lib/softhsm" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    monkeypatch.setattr(location, "find_modules", lambda: places.find_modules(str(tmp_path)))
    with pytest.raises(ConfigurationError, match=r"no PKCS#11 module was found; looked for libsofthsm2\.so") as missing:
        Location.parse(Uri("pkcs11"))
    assert "apt-get install softhsm2" in (missing.value.hint or "")
    install("libsofthsm2.so", "libsoftokn3.so", "p11-kit-proxy.so")  # The other two hold nothing by themselves.
    assert Location.parse(Uri("pkcs11")).module.endswith("libsofthsm2.so")
    install("opensc-pkcs11.so")
    with pytest.raises(ConfigurationError, match=r"several .*libsofthsm2\.so"):
        Location.parse(Uri("pkcs11"))
