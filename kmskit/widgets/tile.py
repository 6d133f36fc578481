"""`Tile`: what every widget here is: a box with a name, a still picture of itself, and one worker for its calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from ipywidgets import HTML, VBox

from kmskit import markup
from kmskit.errors import KmsError

__all__ = ["Tile", "refusal_html"]

_Result = TypeVar("_Result")

_STYLE = """<style>
.kms-tile { border: 1px solid var(--jp-border-color1, #c8c8c8); border-radius: 10px; padding: 12px 14px; }
.kms-tile, .kms-tile .widget-html-content { color: var(--jp-ui-font-color1, #24292f); line-height: 1.5; }
.kms-tile .widget-html-content > div { overflow-wrap: anywhere; }
.kms-tile button:focus-visible, .kms-tile select:focus-visible, .kms-tile input:focus-visible,
.kms-tile textarea:focus-visible, .kms-tile [tabindex]:focus-visible {
  outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
</style>"""
"""Beyond what the parts bring. JupyterLab's variables follow its theme; elsewhere the fallbacks hold."""


class Tile(VBox):  # type: ignore[misc]  # ipywidgets carries no types.
    """A widget that can be looked at without a kernel, and that stays usable while a key store takes its time.

    A subclass passes its parts to `show`, returns a still picture of itself from `still`, and hands every call of a
    key store to `work`. Calls of one tile are made one after the other by one thread, so that a slow token or service
    stops neither the kernel nor the other widgets.
    """

    def __init__(self) -> None:
        self._status = HTML(layout={"min_height": "24px"})
        self._pool: ThreadPoolExecutor | None = None
        self._pending: list[Future[None]] = []
        self._lock = threading.Lock()
        super().__init__()
        self.add_class("kms-tile")

    def show(self, *parts: object) -> None:
        """Put the parts in, and below them the line that tells what happened."""
        self.children = (HTML(_STYLE, layout={"display": "none"}), *parts, self._status)

    def still(self) -> dict[str, str]:
        """What a notebook stores, and shows where no kernel runs: `image/svg+xml` or `text/html` -> its text."""
        raise NotImplementedError

    def work(self, call: Callable[[], _Result], then: Callable[[_Result], object], doing: str = "Working") -> None:
        """Make a call on the tile's thread; then hand its result on, or show why it was refused.

        Args:
            call: asks a key store.
            then: changes what the tile shows, on the same thread.
            doing: what is shown until then.
        """
        self.say(f"{doing}…")

        def run() -> None:
            try:
                result = call()
                self.say("")
                then(result)
            except (KmsError, TypeError, ValueError) as error:
                self.refuse(error.with_traceback(None))
            except Exception as error:
                # A fault of the widget itself, which `settle` raises: its text might hold anything, so it is not shown.
                self.say(f"This should not have happened: {type(error).__name__}")
                raise

        with self._lock:
            self._pool = self._pool or ThreadPoolExecutor(1, "kmskit-widget")
            self._pending = [one for one in self._pending if not one.done() or one.exception()]
            self._pending.append(self._pool.submit(run))

    def settle(self, timeout: float = 30) -> None:
        """Wait until every call handed to `work` is done, so that a cell or a test can look at the outcome.

        Raises:
            TimeoutError: it takes longer than `timeout` seconds.
        """
        while self._pending:
            self._pending.pop(0).result(timeout)

    def say(self, text: str) -> None:
        """Tell what happened; a screen reader reads it out."""
        self._tell(markup.escape(text))

    def refuse(self, error: Exception) -> None:
        """Show an error with its hint."""
        self._tell(refusal_html(error))

    def _tell(self, html: markup.Html) -> None:
        self._status.value = f'<div role="status" aria-live="polite">{html}</div>'

    @property
    def told(self) -> str:
        """The markup of the line that tells what happened."""
        return str(self._status.value)

    def close(self) -> None:
        """Take the widget away and let its thread end."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        super().close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options) or {}
        return {**bundle, "text/plain": repr(self), **self.still()}


def refusal_html(error: Exception) -> markup.Html:
    """An error as a card: its name, its reason and its hint."""
    if isinstance(error, KmsError):
        return markup.Html(error._repr_html_())
    return markup.card(type(error).__name__, {"reason": str(error)}, kind="bad")
