"""What is told of modules, slots, tokens and mechanisms: values and tables, without the module that they come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from kmskit import markup

__all__ = [
    "USES",
    "MechanismInfo",
    "Mechanisms",
    "ModuleInfo",
    "Modules",
    "SlotInfo",
    "Slots",
    "TokenInfo",
    "Tokens",
]

USES = ("encrypt", "decrypt", "digest", "sign", "verify", "generate", "wrap", "unwrap", "derive")
"""What a mechanism can be for."""

_ENDLESS = 1 << 31


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """A PKCS#11 module on this machine.

    Attributes:
        product: whose it is, by the name of its file.
        path: of its library.
        loads: whether it can be loaded and initialised; None if that was not tried.
        version: of its library, if it was loaded.
        problem: why it does not load.
    """

    product: str
    path: str
    loads: bool | None = None
    version: str = ""
    problem: str = ""

    def __repr__(self) -> str:
        return f"<ModuleInfo {markup.printable(self.product)} {markup.volatile_text(self.path)}>"

    def _repr_html_(self) -> str:
        return Modules([self])._repr_html_()


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token that is initialised.

    Attributes:
        label: its name. Names and the like were chosen by others: escape them before they are displayed.
        serial: its serial number.
        manufacturer: who made it.
        model: of the token.
        module: the path of its module.
        uri: opens it. It names the file of the PIN if kmskit made the token in a folder of the user's own.
        login_required: whether its keys need the PIN.
        pin_initialised: whether it has a user PIN.
        pin_count_low: whether a wrong PIN was sent since the last right one.
        pin_final_try: whether one more wrong PIN locks it.
        pin_locked: whether the PIN is locked.
        write_protected: whether no key can be made or changed.
        pin_pad: whether the PIN is entered at the token itself.
    """

    label: str
    serial: str
    manufacturer: str
    model: str
    module: str
    uri: str
    login_required: bool
    pin_initialised: bool
    pin_count_low: bool
    pin_final_try: bool
    pin_locked: bool
    write_protected: bool
    pin_pad: bool

    @property
    def state(self) -> str:
        """What its flags say, the gravest first."""
        said = {
            "PIN locked": self.pin_locked,
            "final try": self.pin_final_try,
            "PIN count low": self.pin_count_low,
            "no PIN yet": self.login_required and not self.pin_initialised,
            "write-protected": self.write_protected,
            "ready": True,
        }
        return next(name for name, flag in said.items() if flag)

    def __repr__(self) -> str:
        return f"<TokenInfo {markup.printable(self.label)} {markup.volatile_text(self.serial)} {self.state}>"

    def _repr_html_(self) -> str:
        rows: dict[str, object] = {
            "serial": markup.volatile_html(self.serial),
            "manufacturer": self.manufacturer,
            "model": self.model,
            "module": markup.volatile_html(self.module),
        }
        return markup.card(f"Token {self.label}", rows, mark=_badge(self.state))


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """A slot of a module.

    Attributes:
        id: its number, which changes when tokens are made: name tokens by their label or serial.
        description: as the module has it.
        module: the module's path.
        token: what is in it; None if that is nothing, or not initialised.
        free: whether a token can be made in it.
    """

    id: int
    description: str
    module: str
    token: TokenInfo | None
    free: bool

    @property
    def state(self) -> str:
        return self.token.state if self.token else "free" if self.free else "empty"

    def __repr__(self) -> str:
        label = markup.printable(self.token.label) if self.token else "-"
        return f"<SlotInfo {markup.volatile_text(self.id)} {label} {self.state}>"

    def _repr_html_(self) -> str:
        return Slots([self])._repr_html_()


@dataclass(frozen=True, slots=True)
class MechanismInfo:
    """One thing that a token can do.

    Attributes:
        name: as the standard has it, without `CKM_`; in hexadecimal, if it is the vendor's own.
        number: its CK_MECHANISM_TYPE.
        min_key_size: in the mechanism's own unit: bits for RSA and elliptic curves, bytes for most others.
        max_key_size: in the same unit; both are 0 where there is no key.
        uses: which of `USES` it is for.
        in_hardware: whether the token says that a device does it.
    """

    name: str
    number: int
    min_key_size: int
    max_key_size: int
    uses: tuple[str, ...]
    in_hardware: bool

    @property
    def key_sizes(self) -> str:
        """`16-32`, `256`, `from 16`, or `-` where there is no key."""
        least, most = self.min_key_size, self.max_key_size
        if most >= _ENDLESS:
            return f"from {least}"
        return "-" if not most else str(most) if least == most else f"{least}-{most}"

    def __repr__(self) -> str:
        return markup.printable(f"<MechanismInfo {self.name} {self.key_sizes} {', '.join(self.uses)}>")

    def _repr_html_(self) -> str:
        return Mechanisms([self])._repr_html_()


_Row = TypeVar("_Row")


class _Table(tuple[_Row, ...]):
    """Rows of one kind: a tuple that is a table in Jupyter."""

    __slots__ = ()
    _headers: ClassVar[Sequence[str]] = ()
    _note: ClassVar[str | None] = None

    def __new__(cls, rows: Iterable[_Row] = ()) -> Self:
        return super().__new__(cls, rows)

    @staticmethod
    def _cells(row: Any, volatile: Any) -> Iterable[object]:
        """A row's cells; `volatile` marks what differs from machine to machine."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return markup.columns(self._headers, [[*self._cells(row, markup.volatile_text)] for row in self])

    def _repr_html_(self) -> str:
        rows = ([*self._cells(row, markup.volatile_html)] for row in self)
        return markup.table(self._headers, rows, note=self._note)


class Modules(_Table[ModuleInfo]):
    """Modules, in the order in which they were found."""

    __slots__ = ()
    _headers = ("module", "loads", "path")

    @staticmethod
    def _cells(row: ModuleInfo, volatile: Any) -> Iterable[object]:
        loads = "not tried" if row.loads is None else f"yes, {row.version}" if row.loads else f"no: {row.problem}"
        return row.product, loads if row.loads is None else volatile(loads), volatile(row.path)


class Tokens(_Table[TokenInfo]):
    """Tokens, in the order of their labels."""

    __slots__ = ()
    _headers = ("token", "serial", "model", "state")

    @staticmethod
    def _cells(row: TokenInfo, volatile: Any) -> Iterable[object]:
        return row.label, volatile(row.serial), row.model, row.state


class Slots(_Table[SlotInfo]):
    """Slots, in the module's order."""

    __slots__ = ()
    _headers = ("slot", "token", "serial", "state")

    @staticmethod
    def _cells(row: SlotInfo, volatile: Any) -> Iterable[object]:
        if row.token is None:
            return volatile(row.id), "-", "-", row.state
        return volatile(row.id), row.token.label, volatile(row.token.serial), row.state


class Mechanisms(_Table[MechanismInfo]):
    """What a token can do, in the order of the names."""

    __slots__ = ()
    _headers = ("mechanism", "key size", "uses")
    _note = "Key sizes are in the mechanism's own unit: bits for RSA and elliptic curves, bytes for most others."

    @staticmethod
    def _cells(row: MechanismInfo, volatile: Any) -> Iterable[object]:
        return row.name, row.key_sizes, ", ".join(row.uses)

    def only(self, use: str) -> Mechanisms:
        """Those for one of `USES`, such as `sign`; ValueError if there is no such use."""
        if use not in USES:
            raise ValueError(f"use: one of {', '.join(USES)} expected, not {use!r}")
        return Mechanisms(row for row in self if use in row.uses)


def _badge(state: str) -> markup.Html:
    return markup.badge(state, {"ready": "good", "PIN locked": "bad", "final try": "bad"}.get(state, "wait"))
