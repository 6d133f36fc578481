"""Every error that a module can answer with becomes one of kmskit's."""

from __future__ import annotations

import inspect

import pkcs11.exceptions
import pytest
from pkcs11.exceptions import PKCS11Error

from kmskit import KmsError
from kmskit.backends.pkcs11 import faults
from kmskit.backends.pkcs11.cryptoki import CryptokiError

OF_PYTHON_PKCS11 = [
    kind
    for _, kind in inspect.getmembers(pkcs11.exceptions, inspect.isclass)
    if issubclass(kind, PKCS11Error) and kind is not PKCS11Error
]
WITHOUT_A_CODE = {"MultipleObjectsReturned", "MultipleTokensReturned", "NoSuchKey", "NoSuchToken"}
"""What python-pkcs11 says of its own searches, which kmskit does not use."""


def test_there_are_as_many_as_expected() -> None:
    assert len(OF_PYTHON_PKCS11) > 70
    assert len(faults.NAMES) > 90
    assert len(set(faults.NAMES.values())) == len(faults.NAMES)


@pytest.mark.parametrize("kind", OF_PYTHON_PKCS11, ids=lambda kind: kind.__name__)
def test_every_exception_of_python_pkcs11_has_a_code_and_a_meaning(kind: type[PKCS11Error]) -> None:
    error = faults.translate(kind())
    assert isinstance(error, KmsError)
    assert error.hint
    if kind.__name__ in WITHOUT_A_CODE:
        assert faults.code_of(kind()) is None
    else:
        assert faults.code_of(kind()) in faults.NAMES
        assert error.code == f"CKR_{faults.NAMES[faults.code_of(kind()) or 0]}"


@pytest.mark.parametrize("code", sorted(faults.NAMES))
def test_every_code_of_the_standard_has_a_name_and_a_meaning(code: int) -> None:
    error = faults.translate(CryptokiError(code))
    assert error.code == f"CKR_{faults.NAMES[code]}"
    assert error.hint
    assert str(error)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Unmapped error code 0x68", 0x68),
        ("Unmapped error code 0x80000001", 0x80000001),
        ("Initialisation error (not initialized). Should never see this.", 0x190),
        ("Initialisation error (already initialized). Should never see this.", 0x191),
        ("Buffer was too small. Should never see this.", 0x150),
        ("something else", None),
    ],
)
def test_what_python_pkcs11_tells_in_words_is_understood(text: str, code: int | None) -> None:
    assert faults.code_of(PKCS11Error(text)) == code
    assert faults.translate(PKCS11Error(text)).code


def test_a_code_of_a_vendor_is_shown_as_a_number_and_not_retried() -> None:
    error = faults.translate(CryptokiError(0x80000042))
    assert error.code == "CKR_0x80000042"
    assert not error.retryable


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DEVICE_REMOVED", "ServiceUnavailableError"),
        ("TOKEN_NOT_PRESENT", "ServiceUnavailableError"),
        ("SESSION_HANDLE_INVALID", "ServiceUnavailableError"),
        ("GENERAL_ERROR", "ServiceUnavailableError"),
        ("PIN_INCORRECT", "AuthenticationError"),
        ("PIN_LOCKED", "AuthenticationError"),
        ("PIN_EXPIRED", "AuthenticationError"),
        ("MECHANISM_INVALID", "UnsupportedError"),
        ("CURVE_NOT_SUPPORTED", "UnsupportedError"),
        ("ATTRIBUTE_READ_ONLY", "UnsupportedError"),
        ("OBJECT_HANDLE_INVALID", "KeyNotFoundError"),
        ("KEY_FUNCTION_NOT_PERMITTED", "KeyStateError"),
    ],
)
def test_what_the_common_ones_mean(name: str, kind: str) -> None:
    (code,) = (code for code, known in faults.NAMES.items() if known == name)
    error = faults.translate(CryptokiError(code))
    assert type(error).__name__ == kind
    assert error.retryable == (kind == "ServiceUnavailableError")
