"""`Playground`: encrypt, flip a byte, decrypt; sign and verify; make and verify a MAC."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from kmskit import AccessDeniedError, CapabilityTable, Key, KeySpec, KeyUsage, Kms, KmsError, Signature, markup
from kmskit.algorithms import SPECS
from kmskit.widgets import controls
from kmskit.widgets.answer import Answer
from kmskit.widgets.bytemap import ByteMap
from kmskit.widgets.calls import CallLog
from kmskit.widgets.dissection import Dissection, dissect
from kmskit.widgets.key_list import PURPOSES
from kmskit.widgets.open_row import OpenRow
from kmskit.widgets.playground_picture import WORDS, picture
from kmskit.widgets.tile import Tile, refusal_html
from kmskit.widgets.whereabouts import place

__all__ = ["Playground"]

_MOST_KEYS = 100
_TOO_LATE = "Something was changed before the answer came: ask again."
_STARTERS = {KeySpec.AES_256: "one that encrypts", KeySpec.EC_P256: "one that signs", KeySpec.HMAC_256: "one for MACs"}


@dataclass(frozen=True, slots=True)
class _Mode:
    """The words for what a key is for."""

    text: str
    make: str
    made: str
    check: str


_MODES = {
    KeyUsage.ENCRYPT_DECRYPT: _Mode("Plaintext", "Encrypt", "ciphertext", "Decrypt"),
    KeyUsage.SIGN_VERIFY: _Mode("Message", "Sign", "signature", "Verify"),
    KeyUsage.GENERATE_VERIFY_MAC: _Mode("Message", "Make the MAC", "MAC", "Verify the MAC"),
}


class Playground(Tile):
    """Use a key by hand, change a byte, and see what is refused. What can be done follows from what the key is for.

    What is typed and what is decrypted stays in the page: it is in no picture, repr or log, and a decrypted text is not
    in the widget's state either.

    Args:
        kms: whose keys. It stays open when the widget is closed.
    """

    def __init__(self, kms: Kms) -> None:
        super().__init__()
        self.kms = kms
        self._known: dict[str, Key] = {}
        self._dissection: Dissection | None = None
        self._turn = 0  # Of what is shown: an answer about something else is not told any more.
        self._flipped: set[int] = set()  # Places in the message.
        self.record = CallLog(kms)
        self.key = controls.choice("Key", [], wide=True)
        self.algorithm = controls.choice("Algorithm", [])
        self.refresh = controls.button("Refresh", self._list, tip="Fetch the keys again")
        self.by_name = OpenRow(self._open)
        self.starters, self._started = controls.row(), False
        self.text = controls.long_text("Plaintext", "type something", rows=3, value="attack at dawn")
        self.context = controls.long_text("Context, one pair a line", "tenant = acme", rows=3)
        self.make = controls.button("Encrypt", self._make, "primary once")
        self.made = controls.say()
        self._refused = controls.say()
        self.bytes = ByteMap(label="ciphertext")
        self.place = controls.number("Byte", 0, 0, 0)
        self.flip = controls.button("Flip its lowest bit", self._flip)
        self.undo = controls.button("Undo the flips", self._undo)
        self.message_place = controls.number("Byte of the message", 0, 0, 0)
        self.flip_message = controls.button("Flip it in the message", self._flip_message)
        self.check = controls.button("Decrypt", self._check, "primary once")
        self.flips = controls.say(kind="note")
        self.answer = Answer("What came of it")
        self._build()
        self.key.observe(self._choose, "value")
        self.text.observe(self._typed, "value")
        self.bytes.on_flip(lambda _: self._after_flip())
        self.bytes.observe(self._point, "selected")
        self._choose(None)
        self._list()

    def _build(self) -> None:
        where = f"{self.kms.backend} · {markup.printable(place(self.kms))}"
        head = controls.box("bar", controls.say(controls.heading("Playground", where)), self.record.total, self.refresh)
        self._chosen = controls.row(self.key, self.algorithm)
        self._in_message = controls.row(self.message_place, self.flip_message)
        self._heads = [controls.say(), controls.say(), controls.say()]
        self._made = controls.stack(
            self._heads[1],
            self.made,
            self.bytes,
            controls.row(self.place, self.flip, self._in_message, self.undo),
            self.flips,
        )
        self._checked = controls.stack(self._heads[2], controls.row(self.check), self.answer)
        making = controls.stack(self._heads[0], controls.row(self.text, self.context), controls.row(self.make))
        self._work = controls.box("steps", making, self._refused, self._made, self._checked)
        for part in (self.by_name, self.starters):
            controls.show(part, False)
        self.show(head, self._chosen, self.by_name, self.starters, self._work, self.record.lines)

    # Keys

    def _list(self) -> None:
        def call() -> tuple[list[Key], CapabilityTable]:
            return list(islice(self.kms.keys(), _MOST_KEYS)), self.kms.capabilities()

        def listed(found: tuple[list[Key], CapabilityTable]) -> None:
            keys, table = found
            self._offer(keys)
            if not keys:
                offered = [spec for spec in _STARTERS if table[spec, "create"]]
                buttons = [
                    controls.button(f"Make {_STARTERS[spec]}", partial(self._start, spec), "once") for spec in offered
                ]
                for former in self.starters.children:
                    controls.discard(former)
                self.starters.children = [controls.say("There is no key yet.", "note"), *buttons]
                self._started = False
            controls.show(self.starters, not keys)
            controls.show(self.by_name, False)

        self.work(self.record.counted("list keys", call), listed, "Fetching the keys", refused=self._not_listed)

    def _not_listed(self, error: Exception) -> None:
        """Some may use keys and not list them: they open a key by its name."""
        self.refuse(error)
        controls.show(self.by_name, isinstance(error, AccessDeniedError))

    def _offer(self, keys: list[Key], chosen: str | None = None) -> None:
        self._known = {key.id: key for key in keys}
        controls.offer(self.key, [(_title(key), key.id) for key in keys])
        if chosen is not None:
            self.key.value = chosen

    def _take_in(self, key: Key) -> None:
        """Choose a key that was made or opened here."""
        self._offer([*(known for known in self._known.values() if known != key), key], key.id)
        controls.show(self.starters, False)

    def _open(self) -> None:
        self.work(self.record.counted("open a key", self.by_name.opening(self.kms)), self._take_in, "Opening the key")

    def _start(self, spec: KeySpec) -> None:
        alias = f"try-{spec.lower().replace('_', '-')}"
        if self._started:
            return  # A second click makes no second one.
        self._started = True

        def refused(error: Exception) -> None:
            self._started = False
            self.refuse(error)

        call = self.record.counted("create a key", lambda: self.kms.create_key(alias, spec=spec))
        self.work(call, self._take_in, f"Making a key of {spec}", refused=refused)

    def _choose(self, _: object) -> None:
        """Another key: what the former one made stays, if this one is for the same."""
        key = self._known.get(self.key.value)
        controls.show(self._work, key is not None)
        controls.show(self._chosen, key is not None)
        if key is None:
            return
        mode = _MODES[key.usage]
        if self.make.description != mode.make or self._dissection is None:
            self._forget()
        self.text.description, self.make.description, self.check.description = mode.text, mode.make, mode.check
        self.check.tooltip, self.make.tooltip = f"{mode.check} the {mode.made}", f"{mode.make} the {mode.text.lower()}"
        steps = (mode.make, f"Look at the {mode.made}, and change a byte", mode.check)
        for number, (head, step) in enumerate(zip(self._heads, steps, strict=True), 1):
            head.value = controls.section_head(f"{number}  {step}")
        algorithms = SPECS[key.spec].algorithms.get(key.usage, ())
        controls.offer(self.algorithm, [(name, name) for name in algorithms])
        controls.show(self.algorithm, len(algorithms) > 1)
        controls.show(self.context, SPECS[key.spec].symmetric)
        controls.show(self._in_message, key.usage is not KeyUsage.ENCRYPT_DECRYPT)
        self._clear_answer()

    # Making

    def _make(self) -> None:
        key, text, pairs = self._known.get(self.key.value), self.text.value.encode(), self.context.value
        if key is None:
            return
        algorithm = self.algorithm.value

        def call() -> Signature | bytes:
            if key.usage is KeyUsage.SIGN_VERIFY:
                return key.sign(text, algorithm=algorithm)
            if key.usage is KeyUsage.GENERATE_VERIFY_MAC:
                return key.mac(text)
            return key.encrypt(text, context=_context(key, pairs), algorithm=algorithm)

        def made(value: Signature | bytes) -> None:
            now = self._known.get(self.key.value)
            if now is not None and now.usage is key.usage:  # Another one may have been chosen meanwhile.
                self._show(dissect(bytes(value), key.spec, key.usage), _MODES[key.usage])

        counted = self.record.counted(self.make.description.lower(), call, key)
        self._clear_answer()
        self.work(counted, made, "Asking the key", refused=self._not_made)

    def _not_made(self, error: Exception) -> None:
        self._forget()
        self.say("")
        self._refused.value = refusal_html(error)

    def _show(self, dissection: Dissection, mode: _Mode) -> None:
        self._dissection = dissection
        self._refused.value = ""
        self.bytes.label = mode.made
        self.bytes.show(dissection.data, dissection.fields)
        size = f"{len(dissection.data):,} bytes. {dissection.note}"
        self.made.value = markup.escape(size)
        self.place.max = len(dissection.data) - 1
        self._typed(None)

    def _forget(self) -> None:
        self._dissection = None
        self._refused.value = ""
        self.bytes.show(b"")
        self._typed(None)

    def _typed(self, _: object) -> None:
        """The message is another one: its flips are gone."""
        self._flipped.clear()
        self.message_place.max = max(0, len(self.text.value.encode()) - 1)
        self._after_flip()

    # Flipping

    def _point(self, change: dict[str, int]) -> None:
        """The byte that was chosen in the grid is the one that the button flips."""
        if change["new"] >= 0:
            self.place.value = change["new"]

    def _flip(self) -> None:
        if self._dissection is not None:
            self.bytes.selected = self.place.value
            self.bytes.flip(self.place.value)

    def _flip_message(self) -> None:
        if self.text.value:
            self._flipped ^= {self.message_place.value}
            self._after_flip()

    def _undo(self) -> None:
        self._flipped.clear()
        self.bytes.undo()

    def _after_flip(self) -> None:
        there = self._dissection is not None
        for part in (self._made, self._checked):
            controls.show(part, there)
        self.flip_message.disabled = not self.text.value
        where = [f"{self.bytes.label}: {_places(self.bytes.flipped)}"] if there and self.bytes.flipped else []
        where += [f"message: {_places(sorted(self._flipped))}"] if self._flipped else []
        self.flips.value = markup.escape(f"Changed in the {', and in the '.join(where)}." if where else "")
        self.undo.disabled = not where
        self._clear_answer()

    def _clear_answer(self) -> None:
        self._turn += 1
        self.answer.tell(markup.Html())

    # Checking

    def _check(self) -> None:
        key, dissection = self._known.get(self.key.value), self._dissection
        if key is None or dissection is None:
            return
        typed, pairs, algorithm = self.text.value.encode(), self.context.value, self.algorithm.value
        message = bytes(byte ^ (at in self._flipped) for at, byte in enumerate(typed))
        value, turn = dissection.packed(self.bytes.data), self._turn

        def call() -> bytes | None:
            if key.usage is KeyUsage.ENCRYPT_DECRYPT:
                return key.decrypt(value, context=_context(key, pairs), algorithm=algorithm)
            if key.usage is KeyUsage.SIGN_VERIFY:
                key.verify(message, value, algorithm=algorithm)
            else:
                key.verify_mac(message, value)
            return None

        def checked(plaintext: bytes | None) -> None:
            if self._turn != turn:
                self.say(_TOO_LATE)
            elif plaintext is None:
                rows = {"message": "unchanged since it was made by one who may use this key"}
                self.answer.tell(markup.card("It verifies", rows, kind="good"))
            else:
                same = "what is typed above" if plaintext == typed else "another text than is typed above now"
                rows = {"plaintext": f"{len(plaintext):,} bytes, {same}"}
                self.answer.reveal(markup.card("It opens", rows, kind="good"), plaintext)

        def refused(error: Exception) -> None:
            self.say("" if self._turn == turn else _TOO_LATE)
            if self._turn == turn:
                self.answer.tell(refusal_html(error))

        counted = self.record.counted(self.check.description.lower(), call, key)
        self.work(counted, checked, "Asking the key", refused=refused)

    # For the notebook

    def worked(self) -> None:
        self.record.draw()

    def __repr__(self) -> str:
        """What the picture says, where no picture is shown."""
        return WORDS

    def still(self) -> dict[str, str]:
        """A picture of what can be done here. It is always the same one: nothing that was typed is in it."""
        return {"image/svg+xml": picture()}


def _context(key: Key, pairs: str) -> Any:
    """The pairs as they are typed; an RSA key binds none, and its field is not shown."""
    return controls.pairs_of(pairs, "context") if SPECS[key.spec].symmetric else None


def _title(key: Key) -> str:
    """A key in the list to choose from, which holds text only."""
    try:
        name = controls.alias_label(key.aliases[0]) if key.aliases else key.id
        state = "" if key.state == "ENABLED" else f", {key.state}"
    except KmsError:
        name, state = markup.printable(key.id), ""
    return f"{name} ({key.spec}, {PURPOSES[key.usage]}{state})"


def _places(offsets: Any) -> str:
    places = [f"{offset:,}" for offset in offsets]
    return f"byte {places[0]}" if len(places) == 1 else f"bytes {', '.join(places)}"
