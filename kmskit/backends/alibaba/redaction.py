"""Log filters: the SDK puts plaintext into URLs, and two loggers below it write URLs down at DEBUG.

`urllib3.connectionpool` is shared with every other program part that uses HTTP, so only records about gateways that
kmskit has opened are changed. `darabonba-core` is the vendor's own, and writes whole requests when the environment says
DEBUG=sdk: its records lose their query, signature and token wherever they come from.
"""

from __future__ import annotations

import logging
import re

__all__ = ["protect"]

_hosts: set[str] = set()
_CUT = "?…"
_QUERY = re.compile(r"^(> [A-Z]+ /)\S+( HTTP/)", re.MULTILINE)
_HEADER = re.compile(
    r"^(> (?:authorization|x-acs-security-token|x-acs-accesskey-id|x-acs-bearer-token) : ).*$",
    re.MULTILINE | re.IGNORECASE,
)


def protect(host: str) -> None:
    """Keep what is sent to a host out of the logs from now on."""
    _hosts.add(host)
    for name, wanted in _FILTERS.items():
        logger = logging.getLogger(name)
        if wanted not in logger.filters:
            logger.addFilter(wanted)


def _of_urllib3(record: logging.LogRecord) -> bool:
    """The record names host and URL among its arguments, `Incremented Retry` the URL alone."""
    arguments = record.args
    if isinstance(arguments, tuple) and (
        record.name != "urllib3.connectionpool" or not _hosts.isdisjoint(_texts(arguments))
    ):
        record.args = tuple(_without_query(argument) for argument in arguments)
    return True


def _texts(arguments: tuple[object, ...]) -> list[str]:
    return [argument.strip("[]").lower() for argument in arguments if isinstance(argument, str)]


def _without_query(argument: object) -> object:
    return argument.partition("?")[0] + _CUT if isinstance(argument, str) and "?" in argument else argument


def _of_sdk(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    record.msg, record.args = _HEADER.sub(r"\1…", _QUERY.sub(r"\1…\2", text)), None
    return True


_FILTERS = {
    "urllib3.connectionpool": _of_urllib3,
    "urllib3.util.retry": _of_urllib3,
    "darabonba-core": _of_sdk,
}
