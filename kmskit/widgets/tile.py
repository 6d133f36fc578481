"""`Tile`: what every widget here is: a box with a name, a still picture of itself, and one worker for its calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anywidget
import traitlets
from ipywidgets import VBox

from kmskit import markup
from kmskit.errors import KmsError
from kmskit.widgets import controls
from kmskit.widgets.answer import Answer

__all__ = ["Tile", "refusal_html"]

_Result = TypeVar("_Result")

_STATIC = Path(__file__).with_name("static")


class _Ground(anywidget.AnyWidget):
    """What every tile has and nobody sees: its style, its name for screen readers, and its keys for itself."""

    _esm = (_STATIC / "tile.js").read_text(encoding="utf-8")
    _css = (_STATIC / "tile.css").read_text(encoding="utf-8")

    label = traitlets.Unicode("").tag(sync=True)

    def __repr__(self) -> str:
        return "<the ground of a tile>"


class Tile(VBox):  # type: ignore[misc]  # ipywidgets carries no types.
    """A widget that can be looked at without a kernel, and that stays usable while a key store takes its time.

    A subclass passes its parts to `show`, returns a still picture of itself from `still`, and hands every call of a
    key store to `work`. Calls of one tile are made one after the other by one thread, so that a slow token or service
    stops neither the kernel nor the other widgets. The thread ends with the last of them: a cell that is run again
    makes a new tile, and leaves no thread of the former one behind.

    Attributes:
        status: the part that tells what happened.
    """

    def __init__(self) -> None:
        self.status = Answer("What happened")
        self.status.add_class("kms-status")
        self._pool: ThreadPoolExecutor | None = None
        self._undone = 0
        self._pending: list[Future[None]] = []
        self._lock = threading.Lock()
        self._closed = False
        super().__init__()
        self.add_class("kms-tile")
        self.say("")

    def show(self, *parts: object) -> None:
        """Put the parts in, and below them `status`, unless it has a place in one of them."""
        ground = _Ground(label=type(self).__name__)
        ground.add_class("kms-ground")
        self.children = (ground, *parts)
        if not _holds(self, self.status):
            self.children += (self.status,)

    def still(self) -> dict[str, str]:
        """What a notebook stores, and shows where no kernel runs: `image/svg+xml` or `text/html` -> its text."""
        raise NotImplementedError

    def work(
        self,
        call: Callable[[], _Result],
        then: Callable[[_Result], object],
        doing: str | None = "Working",
        *,
        refused: Callable[[Exception], object] | None = None,
    ) -> None:
        """Make a call on the tile's thread; then hand its result on, or show why it was refused.

        Once the widget is closed nothing more is called.

        Args:
            call: asks a key store.
            then: changes what the tile shows, on the same thread.
            doing: what is shown until then; None leaves what is shown.
            refused: is given the error instead of `refuse`.
        """
        if doing is not None:
            self.say(f"{doing}…")

        def run() -> None:
            try:
                try:
                    result = call()
                except (KmsError, TypeError, ValueError) as error:
                    (refused or self.refuse)(error.with_traceback(None))
                else:
                    if doing is not None:
                        self.say("")
                    then(result)
                self.worked()
            except Exception as error:
                # A fault of the widget itself, which `settle` raises: its text might hold anything, so it is not shown.
                self.say(f"This should not have happened: {type(error).__name__}")
                raise
            finally:
                self._let_thread_end()

        with self._lock:
            if self._closed:
                return
            self._pool = self._pool or ThreadPoolExecutor(1, "kmskit-widget")
            self._pending = [one for one in self._pending if not one.done() or one.exception() is not None]
            self._undone += 1
            self._pending.append(self._pool.submit(run))

    def _let_thread_end(self) -> None:
        with self._lock:
            self._undone -= 1
            if not self._undone and self._pool is not None:
                self._pool.shutdown(wait=False)
                self._pool = None

    def worked(self) -> None:
        """Called on the tile's thread after each call, also after a refused one."""

    def settle(self, timeout: float = 30) -> None:
        """Wait until every call handed to `work` is done, so that a cell or a test can look at the outcome.

        Raises:
            TimeoutError: it takes longer than `timeout` seconds.
        """
        while self._pending:
            first = self._pending[0]
            try:
                first.result(timeout)
            except CancelledError:
                return  # The widget was closed meanwhile.
            finally:
                with self._lock:
                    self._pending = [one for one in self._pending if one is not first or not first.done()]

    def rest(self) -> None:
        """Wait as `settle` does, for a picture or repr: these show what is there by then, and do not raise."""
        with suppress(TimeoutError):
            self.settle()

    def say(self, text: str) -> None:
        """Tell what happened; a screen reader reads it out."""
        self.status.tell(markup.escape(text))

    def refuse(self, error: Exception) -> None:
        """Show an error with its hint."""
        self.status.tell(refusal_html(error))

    @property
    def told(self) -> str:
        """The markup of the part that tells what happened."""
        return str(self.status.told)

    def close(self) -> None:
        """Take the widget and its parts away and let its thread end; a call under way is not waited for."""
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
            self._pending.clear()
        for part in self.children:
            controls.discard(part)
        self.layout.close()
        super().close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options) or {}
        return {**bundle, "text/plain": repr(self), **self.still()}


def _holds(box: Any, part: object) -> bool:
    return any(child is part or _holds(child, part) for child in getattr(box, "children", ()))


def refusal_html(error: Exception) -> markup.Html:
    """An error as a card: its name, its reason and its hint."""
    if isinstance(error, KmsError):
        return markup.Html(error._repr_html_())
    return markup.card(type(error).__name__, {"reason": str(error)}, kind="bad")
