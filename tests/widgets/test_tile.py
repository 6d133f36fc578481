"""`Tile`: work off the main thread, and refusals that are told and not raised."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import TimeoutError as TooLateError

import pytest
from ipywidgets.widgets.widget import _instances

from kmskit import KeyStateError, UnsupportedError
from kmskit.testing import hostile
from kmskit.widgets import Tile, controls
from kmskit.widgets.answer import Answer
from kmskit.widgets.tile import refusal_html


class Shown(Tile):
    def __init__(self) -> None:
        super().__init__()
        self.finished = 0
        self.show()

    def still(self) -> dict[str, str]:
        return {"text/html": "<b>still</b>"}

    def worked(self) -> None:
        self.finished += 1


@pytest.fixture
def tile() -> Iterator[Shown]:
    tile = Shown()
    yield tile
    tile.close()


def test_a_call_is_made_on_a_thread_and_its_result_handed_on(tile: Shown) -> None:
    seen: list[object] = []
    tile.work(lambda: seen.append(threading.current_thread().name) or 42, seen.append)
    tile.settle()
    assert seen[1] == 42
    assert str(seen[0]).startswith("kmskit-widget")
    assert tile.finished == 1


def test_what_is_being_done_is_told_until_it_is_done(tile: Shown) -> None:
    go, begun = threading.Event(), threading.Event()
    tile.work(lambda: begun.set() or go.wait(30), lambda _: None, "Making a key")
    begun.wait(30)
    assert "Making a key…" in tile.told
    go.set()
    tile.settle()
    assert "Making a key" not in tile.told


def test_calls_are_made_one_after_the_other(tile: Shown) -> None:
    running: list[int] = []
    most: list[int] = []

    def call() -> None:
        running.append(1)
        most.append(len(running))
        threading.Event().wait(0.01)
        running.pop()

    for _ in range(5):
        tile.work(call, lambda _: None)
    tile.settle()
    assert most == [1] * 5


def test_settle_waits_for_work_that_work_brings(tile: Shown) -> None:
    seen: list[str] = []
    tile.work(lambda: "first", lambda _: tile.work(lambda: "second", seen.append))
    tile.settle()
    assert seen == ["second"]


def test_settle_gives_up_after_a_time_and_can_wait_again(tile: Shown) -> None:
    go = threading.Event()
    tile.work(lambda: go.wait(30), lambda _: None)
    with pytest.raises(TooLateError):
        tile.settle(0.01)
    go.set()
    tile.settle()
    assert tile.finished == 1


def test_a_picture_of_what_takes_too_long_is_taken_and_not_refused(
    tile: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    tile.work(lambda: go.wait(30), lambda _: None, "Asking")
    monkeypatch.setattr(Shown.settle, "__defaults__", (0.01,))
    tile.rest()
    assert "Asking…" in tile.told
    go.set()
    tile.settle(30)


@pytest.mark.parametrize("error", [KeyStateError("it is disabled", hint="enable it"), ValueError("days: 7 to 366")])
def test_a_refusal_is_told_and_never_raised(tile: Shown, error: Exception) -> None:
    def refuse() -> None:
        raise error

    tile.work(refuse, lambda _: pytest.fail("nothing came of it"))
    tile.settle()
    assert type(error).__name__ in tile.told
    assert str(error) in tile.told
    assert getattr(error, "hint", "") in tile.told
    assert "Traceback" not in tile.told
    assert error.__traceback__ is None
    assert tile.finished == 1


def test_a_caller_can_show_a_refusal_its_own_way(tile: Shown) -> None:
    seen: list[Exception] = []

    def refuse() -> None:
        raise UnsupportedError("not here")

    tile.work(refuse, lambda _: None, None, refused=seen.append)
    tile.settle()
    assert [type(error) for error in seen] == [UnsupportedError]
    assert "UnsupportedError" not in tile.told


def test_a_fault_of_the_widget_itself_is_raised_and_its_text_not_shown(tile: Shown) -> None:
    def fault() -> None:
        raise RuntimeError("4111 1111 1111 1111")

    tile.work(fault, lambda _: None)
    with pytest.raises(RuntimeError):
        tile.settle()
    assert "RuntimeError" in tile.told
    assert "4111" not in tile.told
    tile.settle()  # It was raised once.


def test_a_wrong_use_of_a_result_is_no_refusal(tile: Shown) -> None:
    def show(_: object) -> None:
        raise TypeError("a mistake in the widget")

    tile.work(lambda: None, show)
    with pytest.raises(TypeError):
        tile.settle()


def test_what_is_told_is_read_out_and_escaped(tile: Shown) -> None:
    for text in hostile.STRINGS:
        tile.say(text)
        hostile.assert_safe_html(tile.told)
        tile.refuse(KeyStateError(text, hint=text))
        hostile.assert_safe_html(tile.told)
        hostile.assert_safe_html(refusal_html(ValueError(text)))
    # What a screen reader listens to is an element that stays: one that comes with its text is not read out.
    assert isinstance(tile.status, Answer)


def test_a_tile_with_nothing_to_do_has_no_thread(tile: Shown) -> None:
    workers: list[threading.Thread] = []
    for _ in range(2):
        tile.work(lambda: workers.append(threading.current_thread()), lambda _: None)
        tile.settle()
        workers[-1].join(30)
    assert not any(worker.is_alive() for worker in workers)


def test_a_closed_tile_leaves_nothing_behind_and_takes_no_work() -> None:
    before = set(_instances)
    tile = Tile()
    tile.show(controls.row(controls.button("Go", lambda: None), controls.text("Name")), controls.say("so"))
    assert len(set(_instances) - before) > 10
    tile.close()
    assert set(_instances) == before
    tile.work(lambda: pytest.fail("called"), lambda _: None)
    tile.settle()


def test_calls_that_wait_when_the_tile_is_closed_are_not_made() -> None:
    tile, go, begun = Shown(), threading.Event(), threading.Event()
    workers: list[threading.Thread] = []
    made: list[int] = []
    tile.work(lambda: workers.append(threading.current_thread()) or begun.set() or go.wait(30), lambda _: None)
    tile.work(lambda: made.append(1), lambda _: None)
    begun.wait(30)
    tile.close()
    go.set()
    workers[0].join(30)
    assert not workers[0].is_alive()
    assert made == []


def test_a_notebook_stores_the_still_picture_and_a_name_that_stays(tile: Shown) -> None:
    bundle = tile._repr_mimebundle_()
    assert bundle["text/html"] == "<b>still</b>"
    assert bundle["text/plain"] == "<Shown>"
    assert "application/vnd.jupyter.widget-view+json" in bundle
