"""`kmskit keys`: each command does what the library does, and says so."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

import kmskit
from kmskit.cli import output

from .conftest import Run


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# Looking


def test_keys_alone_lists_them(run: Run, kms: kmskit.Kms) -> None:
    assert run("keys").stdout == ""
    assert "no key is there" in run("keys").stderr
    orders = kms.create_key("orders", tags={"team": "shop", "cost": "7"})
    orders.add_alias("second")
    nameless = kms.create_key(spec="ED25519")
    shown = run("keys").stdout
    assert shown == run("keys", "list").stdout
    assert lines(shown) == [
        ["key", "spec", "usage", "state", "tags"],
        ["orders,", "second", "AES_256", "ENCRYPT_DECRYPT", "ENABLED", "cost=7,", "team=shop"],
        [nameless.id, "ED25519", "SIGN_VERIFY", "ENABLED"],
    ]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], ["a", "b", "c", "d"]),
        (["--spec", "hmac_256"], ["d"]),
        (["--usage", "ENCRYPT_DECRYPT"], ["a", "b", "c"]),
        (["--usage", "encrypt_decrypt", "--state", "ENABLED"], ["a", "c"]),
        (["--state", "DISABLED"], ["b"]),
        (["--tag", "team"], ["a", "b"]),
        (["--tag", "team=shop"], ["a"]),
        (["--tag", "team", "--tag", "cost=7"], ["b"]),
        (["--tag", "cost=7", "--tag", "team=shop"], []),
        (["--alias", "c"], ["c"]),
        (["--alias", "alias/c"], ["c"]),
        (["--alias", "nobody"], []),
    ],
)
def test_the_conditions_of_a_list_all_apply(
    run: Run, kms: kmskit.Kms, conditions: list[str], expected: list[str]
) -> None:
    kms.create_key("a", tags={"team": "shop"})
    kms.create_key("b", tags={"team": "bank", "cost": "7"}).disable()
    kms.create_key("c", tags={"cost": "7"})
    kms.create_key("d", "HMAC_256")
    found = json.loads(run("keys", "list", "--json", *conditions).stdout)
    assert [key["aliases"] for key in found] == [[alias] for alias in expected]
    plain = run("keys", "list", *conditions)
    assert [line[0] for line in lines(plain.stdout)[1:]] == expected
    assert ("no key is like that" in plain.stderr) == (not expected)


def test_a_long_list_is_written_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    written = ""

    def rows() -> Iterator[tuple[str, str]]:
        nonlocal written
        for number in range(2_000):
            written += capsys.readouterr().out
            assert f"key-{number - 300} " in written or number < 300
            yield (f"key-{number}", "AES_256")

    assert output.table(("key", "spec"), rows(), (0, 8))
    written += capsys.readouterr().out
    assert lines(written) == [["key", "spec"], *([f"key-{number}", "AES_256"] for number in range(2_000))]


def test_a_json_list_is_written_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    def values() -> Iterator[dict[str, int]]:
        for number in range(100):
            yield {"number": number}
            seen.append(capsys.readouterr().out)

    output.json_array(values())
    seen.append(capsys.readouterr().out)
    assert '"number": 50' in seen[51]
    assert json.loads("".join(seen)) == [{"number": number} for number in range(100)]


def test_a_key_is_shown_whole(run: Run, kms: kmskit.Kms) -> None:
    key = kms.create_key("orders", tags={"team": "shop"}, description="of the web shop")
    key.set_rotation(timedelta(days=90))
    key.rotate()
    facts = json.loads(run("keys", "show", "orders", "--json").stdout)
    assert facts == {
        "id": key.id,
        "aliases": ["orders"],
        "spec": "AES_256",
        "usage": "ENCRYPT_DECRYPT",
        "state": "ENABLED",
        "protection": "SOFTWARE",
        "created": key.created.isoformat(),
        "description": "of the web shop",
        "tags": {"team": "shop"},
        "versions": list(key.versions),
        "primary_version": key.primary_version,
        "rotation_period": 90 * 86_400,
        "next_rotation": key.next_rotation and key.next_rotation.isoformat(),
        "deletion_date": None,
        "uri": key.uri,
    }
    shown = dict(line.split("  ", 1) for line in run("keys", "show", key.id).stdout.splitlines())
    shown = {name: value.strip() for name, value in shown.items()}
    assert shown["aliases"] == "orders"
    assert shown["versions"] == "2"
    assert shown["primary version"] == key.primary_version
    assert shown["rotated every"] == "90 days, 0:00:00"
    assert shown["description"] == "of the web shop"
    assert "deletion due" not in shown


def test_the_public_half_is_pem(run: Run, kms: kmskit.Kms) -> None:
    key = kms.create_key("releases", "EC_P256")
    pem = run("keys", "public-key", "releases").stdout_bytes
    assert load_pem_public_key(pem) == key.public_key()
    assert run("keys", "public-key", "releases", "--version", key.primary_version).stdout_bytes == pem
    assert json.loads(run("keys", "public-key", "releases", "--json").stdout)["pem"].encode() == pem
    assert "no version 'x'" in run("keys", "public-key", "releases", "--version", "x", status=1).stderr
    kms.create_key("orders")
    assert "no public half" in run("keys", "public-key", "orders", status=1).stderr


# Making


def test_create_takes_what_the_library_takes(run: Run, kms: kmskit.Kms) -> None:
    options = ["--spec", "RSA_2048", "--usage", "ENCRYPT_DECRYPT", "--description", "for letters"]
    tags = ["--tag", "team=shop", "--tag", "formula=a=b", "--tag", "empty="]
    said = run("keys", "create", "letters", *options, *tags, "--exportable").stdout
    key = kms.key("letters")
    assert said == f"letters: created (RSA_2048, ENCRYPT_DECRYPT), id {key.id}\n"
    assert (key.spec, key.usage, key.description) == ("RSA_2048", "ENCRYPT_DECRYPT", "for letters")
    assert key.tags == {"team": "shop", "formula": "a=b", "empty": ""}
    assert key.export_material()
    facts = json.loads(run("keys", "create", "orders", "--json").stdout)
    assert facts["id"] == kms.key("orders").id
    assert facts["spec"] == "AES_256"
    with pytest.raises(kmskit.UnsupportedError):
        kms.key("orders").export_material()


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["orders"], 1, "the alias 'orders' is taken"),
        (["new", "--usage", "SIGN_VERIFY"], 1, "AES_256 has no usage 'SIGN_VERIFY'"),
        ([""], 2, "1 to 249 characters"),
        (["a" * 250], 2, "1 to 249 characters"),
        (["01234567-89ab-cdef-0123-456789abcdef"], 2, "the form of a key id"),
        (["new", "--spec", "DES"], 2, "'DES' is not one of 'AES_256'"),
        (["new", "--tag", "team"], 2, "NAME=VALUE expected, not 'team'"),
        (["new", "--tag", "=shop"], 2, "NAME=VALUE expected"),
        (["new", "--tag", "a=1", "--tag", "a=2"], 2, "'a' is given twice"),
        (["new", "--tag", "a=" + "b" * 257], 2, "at most 256"),
        ([], 2, "Missing argument 'ALIAS'"),
    ],
)
def test_what_create_refuses_makes_no_key(
    run: Run, kms: kmskit.Kms, arguments: list[str], status: int, reason: str
) -> None:
    kms.create_key("orders")
    refused = run("keys", "create", *arguments, status=status)
    assert f"error: {reason}" in refused.stderr or reason in refused.stderr.splitlines()[0]
    assert refused.stdout == ""
    assert len(list(kms.keys())) == 1


def private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_import_takes_bytes_pem_der_and_stdin(run: Run, kms: kmskit.Kms, tmp_path: Path) -> None:
    secret, private = os.urandom(32), ec.generate_private_key(ec.SECP256R1())
    file = tmp_path / "material"
    file.write_bytes(secret)
    run("keys", "import", "raw", str(file), "--spec", "AES_256", "--exportable", "--tag", "from=there")
    assert list(kms.key("raw").export_material().values()) == [secret]
    assert kms.key("raw").tags == {"from": "there"}
    file.write_bytes(private_pem(private))
    said = run("keys", "import", "pem", str(file), "--spec", "EC_P256").stdout
    assert said == f"pem: imported (EC_P256, SIGN_VERIFY), id {kms.key('pem').id}\n"
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    run("keys", "import", "der", "-", "--spec", "EC_P256", data=der)
    for alias in ("pem", "der"):
        assert kms.key(alias).public_key() == private.public_key()


@pytest.mark.parametrize(
    ("spec", "material", "reason"),
    [
        ("AES_256", b"x" * 31, "an AES_256 key has 32 bytes, not 31"),
        ("AES_256", b"", "an AES_256 key has 32 bytes, not 0"),
        ("AES_256", b"x" * 100_000, "more than 65,536 bytes"),
        ("EC_P256", b"nonsense", "no private key in PEM or DER could be read"),
        ("EC_P384", private_pem(ec.generate_private_key(ec.SECP256R1())), "EC_P384 expected, not EC_P256"),
        ("RSA_4096", private_pem(rsa.generate_private_key(65537, 2048)), "RSA_4096 expected, not RSA_2048"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_material_that_does_not_fit_is_refused(
    run: Run, kms: kmskit.Kms, tmp_path: Path, spec: str, material: bytes, reason: str
) -> None:
    file = tmp_path / "material"
    file.write_bytes(material)
    refused = run("keys", "import", "new", str(file), "--spec", spec, status=1)
    assert f"error: {file}: " in refused.stderr
    assert reason in refused.stderr
    assert not list(kms.keys())


def test_import_says_which_file_is_not_there(run: Run) -> None:
    refused = run("keys", "import", "new", "/nowhere/material", "--spec", "AES_256", status=1)
    assert refused.stderr == "error: /nowhere/material: No such file or directory\n"
    assert "Missing option '--spec'" in run("keys", "import", "new", "material", status=2).stderr


# Changing


def test_a_life_of_a_key(run: Run, kms: kmskit.Kms) -> None:
    key = kms.create_key("orders")

    def state() -> tuple[str, int]:
        key.refresh()
        return key.state, len(key.versions)

    assert "rotated, primary version" in run("keys", "rotate", "orders").stdout
    assert state() == ("ENABLED", 2)
    assert run("keys", "disable", "orders").stdout.startswith("orders: disabled")
    assert state() == ("DISABLED", 2)
    refused = run("keys", "rotate", "orders", status=1)
    assert refused.stderr.startswith("error: the key is DISABLED")
    assert "hint: " in refused.stderr
    assert run("keys", "enable", "orders").stdout == "orders: enabled\n"
    assert state() == ("ENABLED", 2)
    scheduled = json.loads(run("keys", "schedule-deletion", "orders", "--days", "7", "--json").stdout)
    assert state() == ("PENDING_DELETION", 2)
    assert key.deletion_date is not None
    assert scheduled["deletion_date"] == key.deletion_date.isoformat()
    assert f"{key.deletion_date:%Y-%m-%d}" in run("keys", "show", "orders").stdout
    assert "it is ENABLED" in run("keys", "cancel-deletion", "orders").stdout
    assert state() == ("ENABLED", 2)
    assert "refuses every use" in run("keys", "schedule-deletion", "orders", "--days", "366").stdout
    assert state() == ("PENDING_DELETION", 2)


@pytest.mark.parametrize("days", ["6", "367", "-1", "x", ""])
def test_a_deletion_waits_7_to_366_days(run: Run, kms: kmskit.Kms, days: str) -> None:
    kms.create_key("orders")
    run("keys", "schedule-deletion", "orders", "--days", days, status=2)
    run("keys", "schedule-deletion", "orders", status=2)
    assert kms.key("orders").state == "ENABLED"


def test_aliases_come_and_go(run: Run, kms: kmskit.Kms) -> None:
    key = kms.create_key("orders")
    kms.create_key("other")
    assert run("keys", "alias", "add", "orders", "alias/second").stdout == "orders: has the aliases orders, second\n"
    assert "is taken" in run("keys", "alias", "add", "other", "second", status=1).stderr
    run("keys", "alias", "remove", "second", "orders")
    assert run("keys", "alias", "remove", "second", "second").stdout == f"{key.id}: has the aliases (none)\n"
    assert "has no alias" in run("keys", "alias", "remove", key.id, "other", status=1).stderr
    key.refresh()
    assert key.aliases == ()


def test_tags_are_set_and_removed_one_by_one(run: Run, kms: kmskit.Kms) -> None:
    key = kms.create_key("orders", tags={"team": "shop", "cost": "7"})
    run("keys", "tag", "orders", "team=bank", "new=x", "--remove", "cost")
    key.refresh()
    assert key.tags == {"team": "bank", "new": "x"}
    assert "no tag 'cost'" in run("keys", "tag", "orders", "a=b", "--remove", "cost", status=1).stderr
    run("keys", "tag", "orders", status=2)
    key.refresh()
    assert key.tags == {"team": "bank", "new": "x"}


def test_a_description_is_changed(run: Run, kms: kmskit.Kms) -> None:
    key = kms.create_key("orders", description="old", tags={"team": "shop"})
    assert "has a new description" in run("keys", "update", "orders", "--description", "new").stdout
    key.refresh()
    assert (key.description, key.tags) == ("new", {"team": "shop"})
    assert "has no description now" in run("keys", "update", "orders", "--description", "").stdout
    key.refresh()
    assert key.description == ""
    run("keys", "update", "orders", status=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"],
        ["public-key"],
        ["rotate"],
        ["enable"],
        ["disable"],
        ["schedule-deletion", "--days", "7"],
        ["cancel-deletion"],
        ["tag", "--remove", "x"],
        ["update", "--description", "x"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_key_that_is_not_there_is_an_error(run: Run, arguments: list[str]) -> None:
    refused = run("keys", *arguments, "nobody", status=1)
    assert refused.stderr.startswith("error: there is no key with the id or alias 'nobody'\nhint: ")
    assert refused.stdout == ""


# Destroying


@pytest.fixture
def two_due(uri: str) -> list[str]:
    """Two keys whose deletion is due, and two whose is not."""
    long_ago = time.time() - 30 * 86_400
    with kmskit.connect(uri, clock=lambda: long_ago) as kms:
        due = [kms.create_key(alias) for alias in ("due-1", "due-2")]
        for key in due:
            key.schedule_deletion(7)
        kms.create_key("later").schedule_deletion(366)
        kms.create_key("used")
    return [key.id for key in due]


def aliases(kms: kmskit.Kms) -> list[str]:
    every = kms.keys()
    return [key.aliases[0] for key in every]


def test_purge_asks_and_takes_no_for_an_answer(run: Run, kms: kmskit.Kms, two_due: list[str]) -> None:
    for answer in ("n\n", "\n", ""):
        refused = run("keys", "purge", status=1, data=answer)
        assert refused.stdout == ""
        assert "due-1: AES_256, due since" in refused.stderr
        assert "later" not in refused.stderr
        assert "Destroy 2 key(s)?" in refused.stderr
        assert "error: aborted" in refused.stderr
    assert aliases(kms) == ["due-1", "due-2", "later", "used"]


def test_purge_destroys_what_is_due_and_nothing_else(run: Run, kms: kmskit.Kms, two_due: list[str]) -> None:
    done = run("keys", "purge", data="y\n")
    assert done.stdout == "".join(f"{key_id}: destroyed\n" for key_id in two_due)
    assert aliases(kms) == ["later", "used"]
    again = run("keys", "purge")
    assert again.stdout == ""
    assert again.stderr == "no key is due\n"


def test_purge_with_yes_does_not_ask(run: Run, kms: kmskit.Kms, two_due: list[str]) -> None:
    done = run("keys", "purge", "--yes", "--json")
    assert json.loads(done.stdout) == {"destroyed": two_due}
    assert aliases(kms) == ["later", "used"]
    assert json.loads(run("keys", "purge", "--json").stdout) == {"destroyed": []}


def test_purge_refuses_when_the_clock_was_set_back(run: Run, uri: str) -> None:
    with kmskit.connect(uri, clock=lambda: time.time() + 86_400) as kms:
        kms.create_key("orders")
    assert "the clock runs behind" in run("keys", "purge", "--yes", status=1).stderr


def test_a_public_key_goes_through_openssl_unchanged(run: Run, kms: kmskit.Kms) -> None:
    key = kms.create_key("releases", "ED25519")
    again = load_pem_public_key(run("keys", "public-key", "releases").stdout_bytes)
    assert again.public_bytes(Encoding.Raw, PublicFormat.Raw) == key.public_key().public_bytes(
        Encoding.Raw, PublicFormat.Raw
    )
