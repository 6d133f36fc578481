"""The matrix of the lesson on which backend to take."""

from __future__ import annotations

from itertools import product
from xml.etree import ElementTree

import pytest

import kmskit
from kmskit.notebook.decision import Decision, Job, Place
from kmskit.testing import hostile

SVG = "{http://www.w3.org/2000/svg}"
AES, SM4 = ("AES_256", "encrypt"), ("SM4", "encrypt")
EVERYTHING = {AES: True, SM4: True}
NO_SM4 = {AES: True, SM4: False}


def test_a_place_is_paid_for_its_days_and_its_busiest_minute() -> None:
    place = Place(EVERYTHING, usd_a_day=4.5, usd_rate=0.5)
    assert [place.bill(calls) for calls in (0, 1, 60, 61, 1000)] == [4.5, 5.0, 5.0, 5.5, 13.0]


def test_the_cheapest_place_that_does_the_job_is_chosen_and_the_first_of_equals() -> None:
    places = {"dear": Place(EVERYTHING, usd_a_day=3), "one": Place(EVERYTHING), "other": Place(EVERYTHING)}
    decision = Decision({"job": Job([AES])}, places)
    assert decision.best == {"job": "one"}
    assert not any(cell.fault for cell in decision.cells.values())


@pytest.mark.parametrize(
    ("job", "place", "fault", "reason"),
    [
        (Job([AES, SM4]), Place(NO_SM4), "capability", "no SM4 encrypt"),
        (Job([AES], demands=["no copy"]), Place(NO_SM4, exposes={"no copy": "a copy opens"}), "trust", "a copy opens"),
        (Job([AES], milliseconds=5), Place(NO_SM4, 13), "latency", "13 ms, not 5"),
        (Job([SM4], 1, 5, ["no copy"]), Place(NO_SM4, 13, exposes={"no copy": "x"}), "capability", "no SM4 encrypt"),
        (Job([AES], 1, 5, ["no copy"]), Place(NO_SM4, 13, exposes={"no copy": "x"}), "trust", "x"),
        (Job([AES], milliseconds=13, demands=["other"]), Place(NO_SM4, 13, exposes={"no copy": "x"}), "", "does it"),
    ],
)
def test_what_rules_a_place_out_is_told_in_order(job: Job, place: Place, fault: str, reason: str) -> None:
    cell = Decision({"job": job}, {"there": place}).cells["job", "there"]
    assert (cell.fault, cell.reason) == (fault, reason)


def test_no_price_makes_up_for_what_a_place_cannot_do() -> None:
    places = {"free": Place(NO_SM4), "dear": Place(EVERYTHING, usd_a_day=1e6)}
    assert Decision({"ledger": Job([SM4])}, places).best == {"ledger": "dear"}
    assert Decision({"ledger": Job([SM4])}, {"free": Place(NO_SM4)}).best == {"ledger": None}


def test_it_reads_the_table_of_a_backend() -> None:
    with kmskit.connect("software:?memory=1") as kms:
        place = Place(kms.capabilities())
    jobs = {"sign": Job([("EC_P256", "sign")]), "encrypt with it": Job([("EC_P256", "encrypt")])}
    assert Decision(jobs, {"here": place}).best == {"sign": "here", "encrypt with it": None}


def test_the_text_marks_the_choice_and_gives_each_reason() -> None:
    places = {"a": Place(NO_SM4), "b": Place(EVERYTHING, usd_a_day=2), "c": Place(EVERYTHING, usd_a_day=3)}
    assert repr(Decision({"ledger": Job([SM4])}, places)).splitlines()[1].split("  ") == [
        "ledger",
        "- no SM4 encrypt",
        "-> 2.00 a day",
        "yes 3.00 a day",
    ]


def test_everything_lies_on_the_panel_and_the_choice_has_a_frame() -> None:
    places = {f"place {n}": Place(EVERYTHING, usd_a_day=n) for n in range(4)}
    root = ElementTree.fromstring(Decision({f"job {n}": Job([AES]) for n in range(5)}, places)._repr_svg_())
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    boxes = list(root.iter(f"{SVG}rect"))
    for box in boxes:
        x, y, across, down = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + across <= width
        assert 0 <= y < y + down <= height
    assert sum(box.get("stroke") == "#2f8a4c" for box in boxes) == 5


@pytest.mark.parametrize(("text", "where"), [*product(hostile.STRINGS, ("job", "place", "reason"))])
def test_names_and_reasons_are_shown_and_never_obeyed(text: str, where: str) -> None:
    job = Job([AES], demands=["no copy"])
    place = Place(EVERYTHING, exposes={"no copy": text if where == "reason" else "x"})
    names = {"job": "job", "place": "place", where: text}
    decision = Decision({names["job"]: job}, {names["place"]: place})
    hostile.assert_safe_html(decision._repr_svg_())
    hostile.assert_safe_text(repr(decision), lines=True)
