"""`KeyConsole`: the keys of a Kms, to be looked through, made and changed by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from kmskit import AccessDeniedError, CapabilityTable, Key, KeySpec, KeyState, KeyStateError, Kms, KmsError, markup
from kmskit.widgets import controls
from kmskit.widgets.create_form import CreateForm
from kmskit.widgets.key_detail import KeyDetail
from kmskit.widgets.key_list import PURPOSES, KeyList
from kmskit.widgets.listing import Listing
from kmskit.widgets.open_row import OpenRow
from kmskit.widgets.tile import Tile, refusal_html
from kmskit.widgets.whereabouts import gateways, place

__all__ = ["KeyConsole"]

_IN_STILL = 20
_STILL_SECONDS = 10
_TICK_SECONDS = 0.25


class KeyConsole(Tile):
    """The keys of a Kms: search and filter them, make one, enable, disable, rotate, alias and delete.

    Keys are fetched as far as they are shown, and every call that leaves is counted.

    Args:
        kms: whose keys. It stays open when the widget is closed.
        page: how many keys are shown, and added when more are asked for.
    """

    def __init__(self, kms: Kms, *, page: int = 25) -> None:
        super().__init__()
        self.kms = kms
        self._page = self._count = page
        self._turn = 0
        self._acting = False
        self._key: Key | None = None
        self._refusal: Exception | None = None
        self._table: CapabilityTable | None = None
        self._loaded = threading.Event()
        self.calls = controls.say(kind="count")
        self.refresh = controls.button("Refresh", self.reload, tip="Fetch the keys again")
        self.new = controls.button("New key", self._open_form, "primary", "Make a key")
        self.search = controls.text("Search", "alias, id, tag or description", live=True)
        self.spec = controls.choice("Spec", [("any", ""), *map(str, KeySpec)])
        self.usage = controls.choice("Usage", [("any", ""), *((word, str(use)) for use, word in PURPOSES.items())])
        self.state = controls.choice("State", [("any", ""), *map(str, KeyState)])
        self.list = KeyList()
        self.shown = controls.say(kind="note")
        self.more = controls.button(f"Show {page} more", self._show_more)
        self.by_name = OpenRow(self._open)
        self.form = CreateForm(kms, self._create, self._close_form)
        self.detail = KeyDetail(self._act, self._move)
        self._build()
        self.search.observe(self._search, "value")
        for field in (self.spec, self.usage, self.state):
            field.observe(lambda _: self.reload(), "value")
        self.list.observe(self._select, "selected")
        self.reload()

    def _build(self) -> None:
        where = f"{self.kms.backend} · {markup.printable(place(self.kms))}"
        head = controls.box("bar", controls.say(controls.heading("Keys", where)), self.calls, self.refresh, self.new)
        self._filters = controls.row(self.search, self.spec, self.usage, self.state)
        left = controls.stack(self.list, controls.box("bar", self.shown, self.more))
        self._hint = controls.say("Choose a key to see what can be done to it.", "note")
        right = controls.stack(self.status, self._hint, self.form, self.detail)
        left.add_class("kms-left")
        right.add_class("kms-right")
        for part in (self.by_name, self.form, self.more):
            controls.show(part, False)
        facts = gateways(self.kms)
        parts = [controls.say(_facts_html(facts))] if facts else []
        self.show(head, *parts, self._filters, self.by_name, controls.box("columns", left, right))

    @property
    def selected(self) -> Key | None:
        """The chosen key."""
        return self._key

    # The list

    def reload(self) -> None:
        """Fetch the keys anew."""
        chosen = {"spec": self.spec.value or None, "usage": self.usage.value or None, "state": self.state.value or None}
        self._listing = Listing(self.kms, **chosen)
        self._count = self._page
        self._fill(lambda: self._let_open(by_name=False))

    def _search(self, _: object) -> None:
        self._count = self._page
        if self._refusal is None:
            self._fill()
        else:
            self.reload()

    def _show_more(self) -> None:
        self._count += self._page
        self._fill()

    def _fill(self, then: Callable[[], object] = lambda: None) -> None:
        """Show the keys that are wanted now. A search under way is given up: its answer is no longer wanted."""
        self._turn += 1
        turn, listing, text, count = self._turn, self._listing, self.search.value, self._count
        self.list.busy = True
        self.list.note = "Fetching keys…"
        ticks = [time.monotonic()]

        def is_over() -> bool:
            if time.monotonic() - ticks[-1] > _TICK_SECONDS:
                ticks.append(time.monotonic())
                self.shown.value = f"{len(listing.keys):,} keys looked at…"
                self.worked()
            return self._turn != turn

        def call() -> list[Key]:
            self._offers()
            # One more than is shown tells whether there is more.
            return listing.first(count + 1, text, is_over)

        def show(found: list[Key]) -> None:
            if self._turn == turn:
                self._show_keys(found[:count], more=len(found) > count)
                then()

        self.work(call, show, None, refused=self._refuse_list)

    def _offers(self) -> CapabilityTable:
        """What this Kms offers; asked for once."""
        if self._table is None:
            self._table = self.kms.capabilities()
        return self._table

    def _show_keys(self, found: list[Key], *, more: bool) -> None:
        if self._refusal is not None:
            self._refusal = None
            self.say("")
        self.list.note = "No key here is like that." if self._is_filtered() else "No keys yet: New key makes one."
        self.list.fill(found)
        self.list.busy = False
        keys = "1 key" if len(found) == 1 else f"{len(found):,} keys"
        self.shown.value = f"The first {keys}" if more else (keys if found else "")
        controls.show(self.more, more)
        if self._key is not None:
            self.list.selected = self._key.id if self._key in found else ""
        self._loaded.set()

    def _is_filtered(self) -> bool:
        return any(field.value for field in (self.search, self.spec, self.usage, self.state))

    def _refuse_list(self, error: Exception) -> None:
        """Some may use keys and not list them: they open a key by its name."""
        self._refusal = error
        self.list.rows, self.list.busy = [], False
        self.list.note = "The keys could not be listed."
        self.shown.value = ""
        self.refuse(error)
        self._let_open(isinstance(error, AccessDeniedError))
        self._loaded.set()

    def _let_open(self, by_name: bool) -> None:
        """Keys are found by looking through them or, by one who may not, by their names."""
        controls.show(self._filters, not by_name)
        controls.show(self.by_name, by_name)

    def _open(self) -> None:
        self.work(self.by_name.opening(self.kms), self._take_in, "Opening the key")

    def _take_in(self, key: Key) -> None:
        """Show a key that was made or opened, and choose it."""
        if key not in self._listing.keys:
            self._listing.add(key)
        self._key = key
        self.search.value = ""
        self._fill(self._tell_key)

    # The chosen key

    def _select(self, change: dict[str, str]) -> None:
        found = next((key for key in self._listing.keys if key.id == change["new"]), None)
        if found is not None:
            self._key = found
            self._tell_key()
            self._close_form()

    def _tell_key(self) -> None:
        if self._key is not None and self._table is not None:
            controls.show(self._hint, False)
            self.detail.tell(self._key, self._table[self._key.spec, "rotate"])

    def _act(
        self,
        doing: str,
        call: Callable[[Key], object],
        done: str,
        refused: Callable[[Exception], object] | None = None,
    ) -> None:
        """Do something to the chosen key. A second click while the first is being done is passed over."""
        key = self._key
        if key is None or self._acting:
            return
        self._acting = True

        def acted() -> None:
            try:
                call(key)
            finally:
                self._acting = False

        def ended(_: object) -> None:
            self._fill()
            self._tell_key()
            self.say(done)

        def failed(error: Exception) -> None:
            if isinstance(error, KeyStateError):  # Someone else changed it.
                with suppress(KmsError):
                    key.refresh()
            self._fill()
            self._tell_key()
            self.refuse(error)
            if refused is not None:
                refused(error)

        self._turn += 1  # Whoever acts does not wait for a long search.
        self.work(acted, ended, doing, refused=failed)

    def _move(self, alias: str) -> Callable[[Key], object]:
        def move(key: Key) -> None:
            found = self.kms.key(alias)
            owner = next((known for known in self._listing.keys if known == found), found)
            owner.remove_alias(alias)
            try:
                key.add_alias(alias)
            except KmsError:
                owner.add_alias(alias)
                raise

        return move

    # New keys

    def _open_form(self) -> None:
        self.work(self._offers, self.form.offer, None)
        controls.show(self.form)
        controls.show(self.detail, False)
        controls.show(self._hint, False)

    def _close_form(self) -> None:
        controls.show(self.form, False)
        controls.show(self.detail, self._key is not None)
        controls.show(self._hint, self._key is None)

    def _create(self) -> None:
        if self._acting:
            return
        self._acting = True

        def create() -> Key:
            try:
                return self.kms.create_key(**self.form.wanted())
            finally:
                self._acting = False

        def made(key: Key) -> None:
            self.form.made(key)
            self._close_form()
            self._take_in(key)
            self.say("The key was made.")

        self._turn += 1
        self.work(create, made, f"Making a key of {self.form.spec.value}")

    def worked(self) -> None:
        calls = self.kms.calls
        self.calls.value = "1 call" if calls == 1 else f"{calls:,} calls"

    # For the notebook

    def still(self) -> dict[str, str]:
        """A table of the first keys. It waits for them, as a cell that lists keys does."""
        there = self._loaded.wait(_STILL_SECONDS)
        where = markup.volatile_html(f"{self.kms.backend} {place(self.kms)}")
        title = markup.Html(f"<div><b>Keys</b> {where}</div>")
        if self._refusal is not None:
            return {"text/html": title + refusal_html(self._refusal)}
        if not there:
            return {"text/html": f"{title}<div>The keys have not come yet.</div>"}
        keys = list(self._listing.keys)
        rows = [_still_row(key) for key in keys[:_IN_STILL]]
        note = "There are more keys." if len(keys) > _IN_STILL else "Run the cell to search, make and change keys."
        return {
            "text/html": title + markup.table(("key", "spec", "usage", "state", "versions", "tags"), rows, note=note)
        }


def _still_row(key: Key) -> list[object]:
    try:
        return [
            key.title_html(),
            key.spec,
            key.usage,
            markup.badge(key.state),
            len(key.versions),
            markup.pairs(key.tags),
        ]
    except KmsError as error:
        return [markup.code(markup.volatile_html(key.id)), key.spec, "", type(error).__name__, "", ""]


def _facts_html(facts: dict[str, str]) -> markup.Html:
    cells = "".join(
        f"<span>{markup.escape(name)}</span><span>{markup.code(value)}</span>" for name, value in facts.items()
    )
    return markup.Html(f'<div class="kms-facts">{cells}</div>')
