"""`Sequences`: who sends what to whom, in four ways to use a key; each diagram is drawn from calls made for it."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import closing
from functools import cache, partial
from tempfile import TemporaryDirectory

from kmskit import envelope, markup, softhsm
from kmskit.notebook.recorder import Recorder
from kmskit.notebook.sequence import Sequence
from kmskit.widgets import controls
from kmskit.widgets.tile import Tile

__all__ = ["Sequences"]

_CARD = b"4111 1111 1111 1111"  # Made up, and never shown: a diagram tells of what kind a message was.


def _direct() -> Sequence:
    recorder = Recorder()
    with closing(recorder.kms) as kms:
        key, story = kms.create_key(), Sequence(recorder)
        row = story.ask(lambda: key.encrypt(_CARD), stores="ciphertext")
        story.ask(lambda: key.decrypt(row), loads="ciphertext")
    return story


def _envelope() -> Sequence:
    recorder, both = Recorder(), "ciphertext, wrapped data key"
    with closing(recorder.kms) as kms:
        key, story = kms.create_key(), Sequence(recorder)
        message = story.ask(lambda: envelope.encrypt(_CARD, [key]), here="plaintext", stores=both)
        story.ask(lambda: envelope.decrypt(message, [key]), loads=both, here="plaintext")
    return story


def _server_side() -> Sequence:
    from kmskit import emulator  # An extra of its own, which the other ways do without.

    with emulator.start() as cloud:
        cloud.enable_default_key("main")
        story = Sequence(cloud.trail)
        disk = story.do("create a disk", lambda: cloud.ecs.create_disk("main"), stores="wrapped data key")
        story.do("attach it", disk.attach, loads="wrapped data key")
        story.do("write", lambda: disk.write(0, _CARD), sends="plaintext", stores="ciphertext")
        story.do("read", lambda: disk.read(0), loads="ciphertext", gets="plaintext")
    return story


@cache
def _folder() -> str:
    """Where the token lies, until the kernel ends: each further one would take a copy of SoftHSM's library."""
    folder = TemporaryDirectory(prefix="kmskit-")
    atexit.register(folder.cleanup)
    return folder.name


def _hsm() -> Sequence:
    recorder, both = Recorder(softhsm.token(_folder()).uri), "ciphertext, wrapped data key"
    with closing(recorder.kms) as kms:
        key, story = kms.create_key(), Sequence(recorder, keys="HSM")
        row = story.ask(lambda: key.encrypt(_CARD), stores="ciphertext")
        story.ask(lambda: key.decrypt(row), loads="ciphertext")
        story.ask(lambda: envelope.encrypt(_CARD, [key]), here="plaintext", stores=both)
    return story


_WAYS: dict[str, tuple[str, Callable[[], Sequence], str]] = {
    "direct": ("Direct", _direct, "The plaintext travels to the KMS, each time."),
    "envelope": ("Envelope", _envelope, "A data key comes back from the KMS; the plaintext never goes there."),
    "server-side": ("Server-side", _server_side, "A cloud product asks for the data key, and gets the plaintext too."),
    "hsm": ("HSM", _hsm, "The key stays in the token. A data key is made outside, and only wrapped in there."),
}


class Sequences(Tile):
    """Sequence diagrams, step by step: direct, envelope, server-side and with an HSM.

    Whenever a way is chosen its calls are made: on keys in memory, on an emulator, or on a SoftHSM token in a temporary
    folder. Nothing stays behind when the kernel ends.

    Args:
        way: which one is shown first: `direct`, `envelope`, `server-side` or `hsm`.

    Raises:
        ValueError: no such way.
    """

    def __init__(self, way: str = "direct") -> None:
        super().__init__()
        if way not in _WAYS:
            raise ValueError(f"way: one of {', '.join(_WAYS)} expected, not {way!r}")
        self.way, self.at = way, 0
        self.story: Sequence | None = None
        self.ways = {
            name: controls.button(label, partial(self.choose, name), tip=note)
            for name, (label, _, note) in _WAYS.items()
        }
        self.back = controls.button("Back", lambda: self.step(self.at - 1), tip="One message less")
        self.next = controls.button("Next", lambda: self.step(self.at + 1), tip="One message more")
        self.all = controls.button("All", lambda: self.step(len(self.messages)), tip="All messages")
        self.count, self.note = controls.say(kind="count"), controls.say(kind="note")
        self.diagram, self.seen = controls.say(kind="picture"), controls.say()
        head = controls.say(controls.heading("Who sends what to whom", "drawn from calls made for it"))
        steps = controls.row(self.back, self.next, self.all, self.count)
        who = controls.section("Who has seen what so far", self.seen)
        self.show(head, controls.row(*self.ways.values()), self.note, steps, self.diagram, who)
        self.choose(way)

    def choose(self, way: str) -> None:
        """Make the calls of a way, and draw them."""
        self.way, (label, calls, note) = way, _WAYS[way]
        for name, chip in self.ways.items():
            (chip.add_class if name == way else chip.remove_class)("kms-primary")
        self.note.value = note
        self.work(calls, partial(self._tell_story, way), f"{label}: making the calls", refused=self._no_story)

    def _tell_story(self, way: str, story: Sequence) -> None:
        if way == self.way:  # Another one may have been chosen meanwhile.
            self.story = story
            self.step(len(story.messages))

    def _no_story(self, error: Exception) -> None:
        self.story = None
        self.step(0)
        self.refuse(error)

    @property
    def messages(self) -> list[object]:
        return list(self.story.messages) if self.story else []

    def step(self, at: int) -> None:
        """Show the first messages of the diagram, and who has seen what by then."""
        count = len(self.messages)
        self.at = max(0, min(at, count))
        self.back.disabled, self.next.disabled = self.at == 0, self.at == count
        self.all.disabled = self.at == count
        self.count.value = f"{self.at} of {count} messages"
        self.diagram.value = self.story.picture(self.at).svg if self.story else ""
        self.seen.value = self.story.seen(self.at)._repr_html_() if self.story else ""

    def still(self) -> dict[str, str]:
        """The whole diagram of the way that is chosen."""
        self.rest()
        if self.story is None:
            return {"text/html": self.told}
        return {"image/svg+xml": self.story.picture().svg}

    def __repr__(self) -> str:
        self.rest()
        return f"Sequences, {self.way}\n{markup.printable(self.way) if self.story is None else self.story}"
