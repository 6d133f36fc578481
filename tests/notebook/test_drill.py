"""The drill of the capstone: what each step brings, tried on one emulator with a new incident each time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kmskit.notebook.drill import Drill

FILES = {name: f"order,amount\n1,12.50\n2,{len(name)}.25\n".encode() for name in ("acme", "borealis", "dorado")}


@pytest.fixture(scope="module")
def drill() -> Iterator[Drill]:
    drill = Drill(FILES)
    yield drill
    drill.close()


@pytest.mark.parametrize(
    ("steps", "faults"),
    [
        ([], {"asks", "keeps", "forged"}),
        (["rotate"], {"asks", "keeps", "forged"}),
        (["lock"], {"keeps", "forged", "stands"}),
        (["lock", "renew"], {"keeps", "forged"}),
        (["lock", "renew", "restore"], {"keeps"}),
        (["lock", "renew", "reencrypt"], {"forged"}),
        (["lock", "renew", "reencrypt", "restore"], {"keeps"}),
        (["restore", "reencrypt", "lock", "renew"], {"keeps"}),
        (["lock", "renew", "destroy"], {"keeps", "stands"}),
        (["lock", "renew", "restore", "reencrypt"], set()),
        (["lock", "renew", "rotate", "restore", "reencrypt"], set()),
    ],
)
def test_a_drill_shows_what_each_step_brings(drill: Drill, steps: list[str], faults: set[str]) -> None:
    assert {fault for fault, found in drill.play(steps).items() if found} == faults


def test_a_drill_knows_its_steps(drill: Drill) -> None:
    with pytest.raises(KeyError):
        drill.play(["panic"])
    assert drill.play(Drill.steps)["stands"]


def test_what_was_played_is_remembered_and_cannot_be_changed(drill: Drill) -> None:
    first = drill.play(["lock"])
    first["keeps"] = False
    again = drill.play(iter(["lock"]))
    assert again["keeps"]
    assert not again["asks"]
