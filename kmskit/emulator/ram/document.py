"""Policy documents: their grammar, and which of their statements speak of a call.

    {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*", "Condition": {…}}]}

Action, Resource and Principal are text or a list of it, with the wildcards `*` and `?`. In a condition the values of
one key are alternatives, and all keys and operators must hold. A condition on a key that the call does not have is not
met; that is emulator-defined.

Source: Alibaba Cloud RAM, "Policy structure and syntax"; KMS, "Key policy overview".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, Literal

__all__ = ["Document", "PolicyError", "Statement", "parse_document"]

_STATEMENT_KEYS = {"Effect", "Action", "Resource", "Condition", "Principal", "Sid"}
_MAX_STATEMENTS = 200


class PolicyError(ValueError):
    """The text is not a policy document."""


@dataclass(frozen=True, slots=True)
class Statement:
    """
    Attributes:
        number: its place in the document, from 1.
        principals: empty in an identity policy, which speaks of whom it is attached to.
    """

    number: int
    sid: str
    effect: Literal["Allow", "Deny"]
    actions: re.Pattern[str]
    resources: re.Pattern[str]
    principals: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def speaks_of(self, action: str, resource: str, context: Mapping[str, str]) -> bool:
        return (
            self.actions.fullmatch(action) is not None
            and self.resources.fullmatch(resource) is not None
            and all(_holds(operator, context.get(key), values) for operator, key, values in self.conditions)
        )


@dataclass(frozen=True, slots=True)
class Document:
    statements: tuple[Statement, ...]


@lru_cache(maxsize=1024)
def parse_document(text: str, *, with_principals: bool = False) -> Document:
    """
    Args:
        with_principals: whether it is the policy of a resource, whose statements say whom they are about.

    Raises:
        PolicyError: what is wrong; nothing of the text is repeated.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.get("Version") != "1" or not value.keys() <= {"Version", "Statement"}:
        raise PolicyError('a policy is a JSON object with "Version": "1" and "Statement"')
    statements = value.get("Statement")
    if not isinstance(statements, list) or not 0 < len(statements) <= _MAX_STATEMENTS:
        raise PolicyError(f'"Statement" is a list of 1 to {_MAX_STATEMENTS} statements')
    return Document(tuple(_statement(number, each, with_principals) for number, each in enumerate(statements, 1)))


def _statement(number: int, value: Any, with_principals: bool) -> Statement:
    if not isinstance(value, dict) or not value.keys() <= _STATEMENT_KEYS:
        raise PolicyError(f"statement {number}: an object with {', '.join(sorted(_STATEMENT_KEYS))} expected")
    effect, sid = value.get("Effect"), value.get("Sid", "")
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f'statement {number}: "Effect" is "Allow" or "Deny"')
    if not isinstance(sid, str) or len(sid) > 128:
        raise PolicyError(f'statement {number}: "Sid" is text of at most 128 characters')
    if with_principals != ("Principal" in value):
        raise PolicyError(f'statement {number}: "Principal" belongs into the policy of a key or role, and only there')
    return Statement(
        number,
        sid,
        effect,
        # Names of actions are told apart without regard to case, as in RAM's console.
        _pattern(_texts(number, value, "Action"), re.IGNORECASE),
        _pattern(_texts(number, value, "Resource", "*" if with_principals else None), re.NOFLAG),
        _principals(number, value["Principal"]) if with_principals else (),
        _conditions(number, value.get("Condition", {})),
    )


def _texts(number: int, value: Mapping[str, Any], name: str, default: str | None = None) -> tuple[str, ...]:
    found = value.get(name, default)
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise PolicyError(f'statement {number}: "{name}" is text or a list of it')
    return tuple(texts)


def _principals(number: int, value: Any) -> tuple[str, ...]:
    if not isinstance(value, dict) or not value or not value.keys() <= {"RAM", "Service"}:
        raise PolicyError(f'statement {number}: "Principal" is an object with "RAM" or "Service"')
    return tuple(text for name in value for text in _texts(number, value, name))


def _conditions(number: int, value: Any) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    found = []
    if not isinstance(value, dict):
        raise PolicyError(f'statement {number}: "Condition" is an object')
    for operator, keys in value.items():
        if operator not in _OPERATORS or not isinstance(keys, dict):
            raise PolicyError(f"statement {number}: a condition is operator: {{key: values}} with a known operator")
        for key, values in keys.items():
            listed = values if isinstance(values, list) else [values]
            if not listed or not all(isinstance(each, str | bool | int | float) for each in listed):
                raise PolicyError(f"statement {number}: the values of a condition are text")
            plain = tuple(str(each).lower() if isinstance(each, bool) else str(each) for each in listed)
            try:
                _OPERATORS[operator](plain[0], plain)
            except ValueError:
                raise PolicyError(f"statement {number}: {operator} cannot read a value") from None
            found.append((operator, key, plain))
    return tuple(found)


@lru_cache(maxsize=4096)
def _pattern(texts: tuple[str, ...], flags: re.RegexFlag) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{_wildcards(text)})" for text in texts), flags | re.DOTALL)


def _wildcards(text: str) -> str:
    """What stands between two stars is sought once, from the left (an atomic group): going back could find no match
    that this misses, and would take time that grows with the power of the stars."""
    first, *others = (re.escape(part).replace(r"\?", ".") for part in text.split("*"))
    if not others:
        return first
    return first + "".join(f"(?>.*?{part})" for part in others[:-1]) + ".*" + others[-1]


# Conditions


def _holds(operator: str, given: str | None, values: tuple[str, ...]) -> bool:
    if given is None:
        return False
    try:
        return _OPERATORS[operator](given, values)
    except ValueError:
        return False


_Test = Callable[[str, tuple[str, ...]], bool]


def _any(same: Callable[[str, str], bool]) -> _Test:
    return lambda given, values: any(same(given, value) for value in values)


def _none(same: Callable[[str, str], bool]) -> _Test:
    return lambda given, values: not any(same(given, value) for value in values)


def _like(given: str, value: str) -> bool:
    return _pattern((value,), re.NOFLAG).fullmatch(given) is not None


def _in_network(given: str, value: str) -> bool:
    network = ip_network(value, strict=False)
    address = ip_address(given.partition("/")[0])
    return address in network


def _compared(read: Callable[[str], Any], test: Callable[[Any, Any], bool]) -> Callable[[str, str], bool]:
    return lambda given, value: test(read(given), read(value))


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda a, b: bool(a == b),
    "LessThan": lambda a, b: bool(a < b),
    "LessThanEquals": lambda a, b: bool(a <= b),
    "GreaterThan": lambda a, b: bool(a > b),
    "GreaterThanEquals": lambda a, b: bool(a >= b),
}
_OPERATORS: dict[str, _Test] = {
    "StringEquals": _any(lambda a, b: a == b),
    "StringNotEquals": _none(lambda a, b: a == b),
    "StringEqualsIgnoreCase": _any(lambda a, b: a.casefold() == b.casefold()),
    "StringNotEqualsIgnoreCase": _none(lambda a, b: a.casefold() == b.casefold()),
    "StringLike": _any(_like),
    "StringNotLike": _none(_like),
    "NumericNotEquals": _none(_compared(float, lambda a, b: bool(a == b))),
    "DateNotEquals": _none(_compared(_time, lambda a, b: bool(a == b))),
    "Bool": _any(lambda a, b: a.lower() == b.lower()),
    "IpAddress": _any(_in_network),
    "NotIpAddress": _none(_in_network),
    **{f"Numeric{name}": _any(_compared(float, test)) for name, test in _COMPARISONS.items()},
    **{f"Date{name}": _any(_compared(_time, test)) for name, test in _COMPARISONS.items()},
}
