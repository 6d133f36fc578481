"""From a URI to keys: connecting, listing, closing, showing."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kmskit
from kmskit.kms import BACKENDS
from kmskit.testing import hostile

MEMORY = "software:?memory=1"


def test_the_environment_names_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KMSKIT_URI", f"software://{tmp_path}/keys.db")
    with kmskit.connect() as kms:
        assert kms.uri == f"software://{tmp_path}/keys.db"
    assert (tmp_path / "keys.db").exists()


def test_without_it_the_default_is_a_store_in_the_users_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for uri in (None, "software:"):
        with kmskit.connect(uri) as kms:
            key = kms.key("orders") if uri else kms.create_key("orders")
            assert kms.uri == f"software://{tmp_path}/kmskit/keys.db"
            with kmskit.open_key(key.uri).kms as again:
                assert again.key("orders") == key
    assert (tmp_path / "kmskit").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("uri", ["vault://x", "software2:", "http://example.com"])
def test_an_unknown_scheme_lists_the_known_ones(uri: str) -> None:
    with pytest.raises(kmskit.ConfigurationError) as refused:
        kmskit.connect(uri)
    assert all(scheme in (refused.value.hint or "") for scheme in BACKENDS)


@pytest.mark.parametrize(
    "uri",
    [
        "keys.db",
        "software://keys.db",
        "software:keys.db",
        "software:///keys.db?keyfile=/x",
        "software:///keys.db?key-file=relative",
        "software:?memory=0",
        "software:?memory=1&key-file=/x",
        "software:///keys.db?memory=1",
    ],
)
def test_a_uri_that_cannot_be_meant_is_refused(uri: str) -> None:
    with pytest.raises(kmskit.ConfigurationError) as refused:
        kmskit.connect(uri)
    assert refused.value.hint


def test_unknown_options_and_wrong_types_are_type_errors(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="pin"):
        kmskit.connect(MEMORY, pin="1234")
    wrong: Any
    for wrong in (7, b"software:", tmp_path):
        with pytest.raises(TypeError, match="uri"):
            kmskit.connect(wrong)
    for wrong in (7, b"bytes"):
        with pytest.raises(TypeError, match="passphrase"):
            kmskit.connect(f"software://{tmp_path}/keys.db", passphrase=wrong)


def test_a_backend_whose_package_is_missing_says_what_to_install() -> None:
    code = """
import sys
sys.modules["absent"] = None
import kmskit, kmskit.kms
kmskit.kms.BACKENDS["pkcs11"] = "absent.backend:Backend"
try:
    kmskit.connect("pkcs11:token=x")
except kmskit.MissingDependencyError as error:
    print(error, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert 'pip install "kmskit[pkcs11]"' in done.stdout


ENTRY_POINTS = """[kmskit.backends]
mine = kmskit.backends.software.backend:SoftwareBackend
software = nowhere:Backend
"""


def test_an_installed_package_may_add_a_scheme_and_not_replace_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "others-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    with kmskit.connect("mine:?memory=1") as kms:
        assert kms.create_key().encrypt(b"x")
    with kmskit.connect(MEMORY) as kms:
        assert kms.create_key().encrypt(b"x")
    with pytest.raises(kmskit.ConfigurationError) as refused:
        kmskit.connect("others:")
    assert "mine" in (refused.value.hint or "")


def test_a_closed_kms_refuses_and_shows_itself(tmp_path: Path) -> None:
    for uri in (MEMORY, f"software://{tmp_path}/keys.db"):
        with kmskit.connect(uri) as kms:
            key = kms.create_key("orders")
            ciphertext = key.encrypt(b"x")
        kms.close()
        for refused in (
            lambda kms=kms: kms.create_key(),
            lambda kms=kms: kms.key("orders"),
            lambda kms=kms: next(kms.keys()),
            lambda key=key: key.encrypt(b"x"),
            lambda key=key, ciphertext=ciphertext: key.decrypt(ciphertext),
            lambda key=key: key.rotate(),
            lambda kms=kms: kms.purge(),
        ):
            with pytest.raises(kmskit.ConfigurationError, match="closed"):
                refused()
        assert "orders" in repr(key)
        assert "ConfigurationError" in kms._repr_html_()


def test_a_listing_that_fails_on_the_way_names_backend_and_operation() -> None:
    with kmskit.connect(MEMORY) as kms:
        kms.create_key()
        listing = kms.keys()
    with pytest.raises(kmskit.ConfigurationError) as refused:
        next(listing)
    assert (refused.value.backend, refused.value.operation) == ("software", "list")


def test_no_key_is_opened_by_the_uri_of_a_backend(tmp_path: Path) -> None:
    with kmskit.connect(f"software://{tmp_path}/keys.db") as kms:
        key = kms.create_key()
        with pytest.raises(kmskit.ConfigurationError, match="not a key"):
            kmskit.open_key(kms.uri)
        kms.create_key()
        with pytest.raises(kmskit.KeyNotFoundError):
            kmskit.open_key(key.uri.replace(key.id, "00000000-0000-4000-8000-000000000000"))


def test_a_kms_pickles_as_its_uri_and_opens_on_first_use(tmp_path: Path) -> None:
    with kmskit.connect(f"software://{tmp_path}/keys.db?key-file={tmp_path}/a%20key") as kms:
        kms.create_key("orders")
        data = pickle.dumps(kms)
        twin = pickle.loads(data)
        assert twin.uri == kms.uri
        assert "_backend" not in vars(twin)
        assert twin.key("orders") == kms.key("orders")
        assert pickle.loads(data) is twin  # One Kms a URI in a process, while it is in use.
        twin.close()


def test_a_kms_has_no_other_attributes() -> None:
    with kmskit.connect(MEMORY) as kms:
        with pytest.raises(AttributeError, match="no attribute 'create'"):
            _ = kms.create  # type: ignore[attr-defined]
        with pytest.raises(AttributeError, match="no attribute 'material'"):
            _ = kms.create_key().material  # type: ignore[attr-defined]


def test_the_text_shows_no_query_and_marks_the_path(tmp_path: Path) -> None:
    with kmskit.connect(f"software://{tmp_path}/keys.db?key-file={tmp_path}/secret-place") as kms:
        assert repr(kms) == f"<Kms software ⟨software://{tmp_path}/keys.db?…⟩>"
        assert "secret-place" not in kms._repr_html_()


def test_the_html_is_a_table_of_the_first_keys() -> None:
    with kmskit.connect(MEMORY) as kms:
        assert "none yet" in kms._repr_html_()
        kms.create_key("orders", tags={"team": "payments"}).disable()
        for text in ("orders", "AES_256", "DISABLED", "team", "payments"):
            assert text in kms._repr_html_()
        for number in range(19):
            kms.create_key(f"key {number}")
        assert "goes through all" not in kms._repr_html_()
        kms.create_key("the one too many")
        html = kms._repr_html_()
        assert "goes through all" in html
        assert "too many" not in html


def test_no_key_takes_over_the_table() -> None:
    with kmskit.connect(MEMORY) as kms:
        for text in hostile.STRINGS:
            kms.create_key(text, description=text, tags={text: text})
        hostile.assert_safe(kms)
        for text in hostile.STRINGS:
            hostile.assert_safe(kms.key(text))


def test_a_name_that_cannot_be_stored_is_not_found() -> None:
    with kmskit.connect(MEMORY) as kms, pytest.raises(kmskit.KeyNotFoundError) as refused:
        kms.key("\udcff")
    assert refused.value.__context__ is None


def test_a_key_tells_where_its_material_is_from_and_whether_it_may_leave() -> None:
    with kmskit.connect(MEMORY) as kms:
        made, brought = kms.create_key(), kms.import_key(None, bytes(32), "AES_256", exportable=True)
        assert (made.origin, made.exportable) == ("GENERATED", False)
        assert (brought.origin, brought.exportable) == ("IMPORTED", True)
