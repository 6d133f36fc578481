"""Every error kmskit raises, in one tree with one root.

KmsError                      anything below; catch this to catch all
├── ConfigurationError        a bad URI, a missing module, an unreadable or wrong CA, a damaged store, no credentials
│   └── MissingDependencyError    an extra is not installed (also an ImportError)
├── AuthenticationError       wrong passphrase, PIN or access key, expired token; never retried, because a PIN can lock
├── AccessDeniedError         a policy refused
├── KeyNotFoundError          no key has this id or alias
├── AlreadyExistsError        the alias is taken
├── KeyStateError             the key is disabled, pending deletion or spent
├── UnsupportedError          this spec or operation is not there; says who has it
├── LimitExceededError        too large; the hint names envelope encryption
├── InvalidCiphertextError    whatever the bytes can cause: tampered, cut, of another key, with another context
├── InvalidSignatureError     the signature does not belong to the message and key
├── InvalidMacError           the tag does not belong to the message and key
├── BatchError                at least one item of a batch failed
├── ThrottledError            too many requests (retryable)
└── ServiceUnavailableError   the service, token or store is away, full or locked (retryable)

Wrong types raise TypeError and wrong argument values ValueError, as everywhere in Python. No error carries plaintext,
key material, a PIN or another secret, and none says why an authentication failed.
"""

from __future__ import annotations

from typing import Any, ClassVar

from kmskit import markup

__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "AuthenticationError",
    "BatchError",
    "ConfigurationError",
    "InvalidCiphertextError",
    "InvalidMacError",
    "InvalidSignatureError",
    "KeyNotFoundError",
    "KeyStateError",
    "KmsError",
    "KmsWarning",
    "LimitExceededError",
    "MissingDependencyError",
    "ServiceUnavailableError",
    "ThrottledError",
    "UnsupportedError",
]


class KmsWarning(UserWarning):
    """Something that works and should be changed soon, such as a key used for too many encryptions."""


class KmsError(Exception):
    """The root of all kmskit errors.

    Attributes:
        backend: name of the backend (`software`, `pkcs11`, `alibaba`), or None.
        operation: what was asked for, such as `decrypt`.
        code: the backend's own code, such as `CKR_PIN_INCORRECT` or `Forbidden.NoPermission`.
        request_id: the service's id of the request, for a support ticket.
        hint: what to do next, one sentence.
        recommend: the service's link to its own diagnosis.
        retryable: whether the same call may succeed later without a change.
        neutral: whether its card shows what only this backend says as volatile, so that one notebook's outputs hold
            for every backend. `kmskit.notebook.scratch` sets it.
    """

    retryable: bool = False
    neutral: bool = False
    _shown_as: ClassVar[str] = "bad"

    def __init__(
        self,
        message: str = "",
        *,
        backend: str | None = None,
        operation: str | None = None,
        code: str | None = None,
        request_id: str | None = None,
        hint: str | None = None,
        recommend: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        # Tracebacks and logs print the message as it is, and parts of it come from others.
        super().__init__(markup.printable(message))
        self.backend = backend
        self.operation = operation
        self.code = code
        self.request_id = request_id
        self.hint = hint
        self.recommend = recommend
        if retryable is not None:
            self.retryable = retryable
        if hint:
            self.add_note(
                f"hint: {markup.printable(hint)}"
            )  # Python prints notes below the message, also in a terminal.

    def located(self, backend: str, operation: str) -> None:
        """Fill in where the error happened, unless the place that raised it knew better."""
        self.backend = self.backend or backend
        self.operation = self.operation or operation

    @property
    def varying(self) -> str:
        """The part of the message that another backend would say otherwise; empty if there is none."""
        return ""

    def _facts(self) -> dict[str, str | None]:
        where = " ".join(part for part in (self.backend, self.operation) if part)
        return {"where": where or None, "code": self.code, "request id": self.request_id, "hint": self.hint}

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a stack: the error, its reason, hint and link."""
        lines = [f"{type(self).__name__}: {markup.printable(self)}"]
        lines += [f"  {name}: {markup.printable(value)}" for name, value in self._facts().items() if value]
        if self.recommend:
            lines.append(f"  more: {markup.printable(self.recommend)}")
        return lines

    def _repr_html_(self) -> str:
        rows = self._neutral_rows() if self.neutral else self._rows()
        return markup.card(type(self).__name__, rows, kind=self._shown_as)

    def _rows(self) -> dict[str, object]:
        rows: dict[str, object] = {"reason": str(self), **self._facts()}
        if self.backend:
            rows["where"] = self._where_html(self.backend)
        if self.request_id:
            rows["request id"] = markup.volatile_html(self.request_id)
        if self.recommend:
            rows["more"] = markup.link(self.recommend, volatile=self.request_id)
        return rows

    def _neutral_rows(self) -> dict[str, object]:
        """The rows that every backend has; code and request stand in the volatile value, and the link is left out."""
        more = ", ".join(filter(None, (self.code, self.request_id and f"request {self.request_id}")))
        place = f"{self.backend} ({more})" if more else self.backend
        reason = markup.with_volatile_html(str(self), self.varying)
        return {"reason": reason, "where": place and self._where_html(place), "hint": self.hint}

    def _where_html(self, place: str) -> markup.Html:
        """The backend is volatile, so that one notebook's outputs hold for every backend."""
        return markup.Html(f"{markup.volatile_html(place)} {markup.escape(self.operation or '')}")


class ConfigurationError(KmsError):
    """Something kmskit was given does not work: a URI, a module, a CA, a store, credentials."""


class MissingDependencyError(ConfigurationError, ImportError):
    """An optional package is not installed; the hint is the `pip install` line."""


class AuthenticationError(KmsError):
    """A passphrase, PIN, access key or token was refused. Never retried by itself."""


class AccessDeniedError(KmsError):
    """A policy refused the call."""


class KeyNotFoundError(KmsError):
    """No key has this id or alias."""


class AlreadyExistsError(KmsError):
    """The alias belongs to a key already."""


class KeyStateError(KmsError):
    """The key's state does not allow the call."""


class UnsupportedError(KmsError):
    """The backend, spec or usage does not offer the operation."""


class LimitExceededError(KmsError):
    """An argument is larger than the backend takes.

    Attributes:
        limit: the most that this backend takes, where the message names it.
    """

    def __init__(self, message: str = "", *, limit: int | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.limit = limit

    @property
    def varying(self) -> str:
        return "" if self.limit is None else f"{self.limit:,}"


class InvalidCiphertextError(KmsError):
    """The ciphertext does not open under this key and context."""


class InvalidSignatureError(KmsError):
    """The signature does not verify."""


class InvalidMacError(KmsError):
    """The MAC does not verify."""


class BatchError(KmsError):
    """Items of a batch failed.

    Attributes:
        errors: the failed items, index -> error.
    """

    def __init__(self, message: str = "", *, errors: dict[int, KmsError] | None = None) -> None:
        super().__init__(message, hint="look at batch.errors; the other items are in batch[i].value")
        self.errors = errors or {}


class ThrottledError(KmsError):
    """Too many requests."""

    retryable = True
    _shown_as = "wait"


class ServiceUnavailableError(KmsError):
    """The service, token or store cannot be reached or cannot work now."""

    retryable = True
    _shown_as = "wait"
