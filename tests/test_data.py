"""The course's data set: made again from its seeds, and such that the lessons' exercises are fair."""

from __future__ import annotations

import csv
import runpy
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

DATA = Path(__file__).parents[1] / "data"
NOT_MADE = {"make.py", "README.md", ".gitattributes"}


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_generator_makes_every_file_again_byte_for_byte() -> None:
    made = runpy.run_path(str(DATA / "make.py"))["files"]()
    stored = {
        path.relative_to(DATA).as_posix(): path.read_bytes()
        for path in DATA.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    # Tables recorded by others may lie here too; these files and folders are the data set's own.
    own = {name: stored[name] for name in stored if name in made or name.startswith("releases/")}
    assert own == made
    assert set(stored) >= NOT_MADE


@pytest.mark.parametrize("card", sorted({row["card"] for row in rows("orders.csv")}))
def test_card_numbers_pass_the_luhn_check(card: str) -> None:
    digits = [int(digit) for digit in reversed(card)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    assert (sum(digits[::2]) + sum(doubled)) % 10 == 0


def test_orders_are_numbered_by_date_over_one_year_and_four_tenants() -> None:
    orders = rows("orders.csv")
    assert [row["order"] for row in orders] == [str(number) for number in range(1001, 1201)]
    assert [row["date"] for row in orders] == sorted(row["date"] for row in orders)
    assert {row["date"][:4] for row in orders} == {"2025"}
    assert set(Counter(row["tenant"] for row in orders)) == {"acme", "borealis", "corvus", "dorado"}


def test_neither_the_date_nor_the_customer_tells_a_row_from_every_other_tenants() -> None:
    """So that a context made of one of these does not stop a swap."""
    for column in ("date", "customer"):
        tenants = defaultdict(set)
        for row in rows("orders.csv"):
            tenants[row[column]].add(row["tenant"])
        assert max(map(len, tenants.values())) > 1


def test_there_are_orders_on_the_first_of_june_itself() -> None:
    """So that "before June" and "up to the first of June" differ."""
    assert "2025-06-01" in {row["date"] for row in rows("orders.csv")}


def test_exactly_one_release_is_forged_and_not_the_one_that_looks_so() -> None:
    publisher = load_pem_public_key((DATA / "releases" / "publisher.pem").read_bytes())
    assert isinstance(publisher, ec.EllipticCurvePublicKey)
    forged = []
    for note in sorted((DATA / "releases").glob("*.txt")):
        try:
            publisher.verify(note.with_suffix(".sig").read_bytes(), note.read_bytes(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            forged.append(note.stem)
    assert forged == ["2.1.1"]
    assert "URGENT" in (DATA / "releases" / "2.2.1.txt").read_text()


def test_two_rows_of_the_archive_share_a_nonce_and_hold_different_cards_of_one_length() -> None:
    archive = rows("archive.csv")
    shared = [nonce for nonce, count in Counter(row["nonce"] for row in archive).items() if count > 1]
    pair = [row["order"] for row in archive if row["nonce"] == shared[0]]
    cards = {row["order"]: row["card"] for row in rows("orders.csv")}
    assert len(shared) == 1
    assert len({cards[order] for order in pair}) == len(pair) == 2
    assert {len(cards[order]) for order in pair} == {16}
