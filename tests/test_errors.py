"""The error tree, and how errors show themselves."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import kmskit
from kmskit import errors
from kmskit.testing import hostile

ALL = [getattr(errors, name) for name in errors.__all__ if issubclass(getattr(errors, name), errors.KmsError)]


def drawn_tree() -> dict[str, str | None]:
    """Class -> parent, as the tree in the module's docstring draws it."""
    parents: dict[str, str | None] = {}
    above: dict[int, str] = {}
    for line in str(errors.__doc__).splitlines():
        branch, _, rest = line.rpartition("─ ")
        name = rest.split(" ")[0]
        if name.endswith("Error") and (branch or not parents):
            depth = len(line) - len(line.lstrip("│├└─ ")) if branch else 0
            parents[name] = above[max(level for level in above if level < depth)] if branch else None
            above = {level: other for level, other in above.items() if level < depth} | {depth: name}
    return parents


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    classes = {kind.__name__: kind.__bases__[0].__name__ for kind in ALL}
    assert drawn_tree() == classes | {"KmsError": None}


def test_every_class_of_the_module_is_public() -> None:
    defined = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)
    assert set(errors.__all__) <= set(kmskit.__all__)


def test_a_missing_dependency_is_an_import_error_as_well() -> None:
    assert issubclass(kmskit.MissingDependencyError, ImportError)


def test_only_what_may_pass_by_itself_is_retryable() -> None:
    assert {kind for kind in ALL if kind.retryable} == {kmskit.ThrottledError, kmskit.ServiceUnavailableError}
    assert kmskit.KmsError("x", retryable=True).retryable
    assert not kmskit.ServiceUnavailableError("x", retryable=False).retryable


def full(kind: type[kmskit.KmsError]) -> kmskit.KmsError:
    if kind is kmskit.BatchError:
        return kmskit.BatchError("2 items failed", errors={1: kmskit.InvalidCiphertextError("item", hint="cut")})
    return kind(
        "a message",
        backend="software",
        operation="decrypt",
        code="CKR_X",
        request_id="4711",
        hint="do this",
        recommend="https://example.com/help",
        retryable=True,
    )


@pytest.mark.parametrize("kind", ALL)
def test_an_error_survives_pickling_and_copying(kind: type[kmskit.KmsError]) -> None:
    error = full(kind)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert twin.__notes__ == error.__notes__
        assert {name: repr(value) for name, value in vars(twin).items()} == {
            name: repr(value) for name, value in vars(error).items()
        }
        assert twin._render_traceback_() == error._render_traceback_()


def test_the_hint_stands_below_the_message_of_a_traceback() -> None:
    assert "".join(traceback.format_exception(full(kmskit.KeyStateError))).endswith(
        "KeyStateError: a message\nhint: do this\n"
    )


def test_an_error_without_facts_shows_its_message_only() -> None:
    assert kmskit.KeyNotFoundError("gone")._render_traceback_() == ["KeyNotFoundError: gone"]
    assert "None" not in kmskit.KeyNotFoundError("gone")._repr_html_()


def test_an_error_shows_reason_hint_and_link() -> None:
    error = full(kmskit.AccessDeniedError)
    text, html = "\n".join(error._render_traceback_()), error._repr_html_()
    for fact in (
        "AccessDeniedError",
        "a message",
        "CKR_X",
        "4711",
        "do this",
        "https://example.com/help",
    ):
        assert fact in text
        assert fact in html
    assert "software decrypt" in text
    # In HTML the backend is marked as volatile, so that one notebook's outputs hold for every backend.
    assert '<span class="kms-volatile">software</span> decrypt' in html
    assert '<a href="https://example.com/help"' in html


def test_a_link_that_is_not_http_is_no_link() -> None:
    for recommend in ("javascript:alert(1)", "data:text/html,x", 'https://x" onclick="alert(1)', *hostile.STRINGS):
        error = kmskit.AccessDeniedError(recommend, hint=recommend, code=recommend, recommend=recommend)
        hostile.assert_safe(error)


def test_where_an_error_happened_is_filled_in_once() -> None:
    error = kmskit.KmsError("x", operation="unwrap")
    error.located("software", "decrypt")
    error.located("pkcs11", "sign")
    assert (error.backend, error.operation) == ("software", "unwrap")


def test_ipython_shows_an_error_without_paths_and_stack(tmp_path: Path) -> None:
    """In IPython itself, since only it knows what it does with `_render_traceback_`."""
    code = "import kmskit; kmskit.connect('software:?memory=1').create_key('orders').decrypt(b'cut')"
    shell = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "-c", code],
        env=os.environ | {"IPYTHONDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    shown = shell.stdout + shell.stderr
    assert "InvalidCiphertextError: the ciphertext is too short: 3 bytes" in shown
    assert "where: software decrypt" in shown
    assert "hint: it may have been cut" in shown
    for unwanted in ("Traceback", "/", ".py", "line "):
        assert unwanted not in shown, shown


def rows_of(error: kmskit.KmsError) -> list[str]:
    return re.findall(r"<tr[^>]*><td[^>]*>([^<]*)</td>", error._repr_html_())


def masked(error: kmskit.KmsError) -> str:
    """The card as it is compared."""
    return re.sub(r'(<span class="kms-volatile">)[^<]*(</span>)', "", error._repr_html_())


@pytest.mark.parametrize("kind", ALL)
def test_a_neutral_card_is_the_same_for_every_backend_and_tells_code_and_request(kind: type[kmskit.KmsError]) -> None:
    plain = full(kind)
    plain.neutral = True
    plain.backend, plain.code, plain.request_id, plain.recommend = "software", None, None, None
    cloud = full(kind)
    cloud.neutral = True
    cloud.backend, cloud.operation, plain.operation = "alibaba", "decrypt", "decrypt"
    assert rows_of(cloud) == rows_of(plain) == ["reason", "where", "hint"]
    assert masked(cloud) == masked(plain)
    shown = cloud._repr_html_()
    assert all(str(told) in shown for told in (cloud.backend, cloud.code, cloud.request_id) if told)
    cloud.hint = "do that"
    assert masked(cloud) != masked(plain)


def test_only_a_neutral_card_takes_the_limit_for_volatile() -> None:
    error = kmskit.LimitExceededError("plaintext: 16,144 bytes, and <it> takes 6,144", limit=6144)
    assert "kms-volatile" not in error._repr_html_()
    error.neutral = True
    assert '16,144 bytes, and &lt;it&gt; takes <span class="kms-volatile">6,144</span></td>' in error._repr_html_()


def test_a_neutral_card_is_safe() -> None:
    for text in hostile.STRINGS:
        error = kmskit.LimitExceededError(text, limit=1, code=text, request_id=text, recommend=text, backend="alibaba")
        error.neutral = True
        hostile.assert_safe(error)
