"""`EnvelopeInspector`: what it tells of a message, and which check refuses a changed one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import kmskit
from kmskit import Key, envelope
from kmskit.envelope import EnvelopeInfo
from kmskit.testing import hostile
from kmskit.widgets.envelope_inspector import EnvelopeInspector

PLAINTEXT = b"4111 1111 1111 1111"


@pytest.fixture
def key() -> Iterator[Key]:
    with kmskit.connect("software:?memory=1") as kms:
        yield kms.create_key("orders")


@pytest.fixture
def message(key: Key) -> bytes:
    return envelope.encrypt(PLAINTEXT, [key], context={"tenant": "acme"})


def offset_of(message: bytes, name: str) -> int:
    return next(field.offset for field in envelope.inspect(message).fields if field.name == name)


def verdict(shown: EnvelopeInspector) -> list[str]:
    """What is said of the layout and of the keys."""
    shown.settle()
    return [part.partition("<")[0] for part in shown.gates.value.split('font-size:85%">')[1:]]


def test_an_envelope_is_described_without_any_key(message: bytes) -> None:
    shown = EnvelopeInspector(message)
    assert isinstance(shown.info, EnvelopeInfo)
    assert verdict(shown) == ["passed", "none given"]
    assert "give keys=[key] too" in shown.told
    assert [field.name for field in shown.map.fields][:3] == ["version", "suite", "message id"]
    assert repr(shown).startswith(f"envelope of {len(message)} bytes: {shown.info.header_size} of header")


def test_with_a_key_it_is_opened(message: bytes, key: Key) -> None:
    shown = EnvelopeInspector(message, keys=[key])
    assert verdict(shown) == ["passed", "passed"]
    assert "It opens: 19 bytes" in shown.told


def test_a_file_is_inspected_and_never_changed(message: bytes, tmp_path: Path) -> None:
    path = tmp_path / "orders.enc"
    path.write_bytes(message)
    shown = EnvelopeInspector(path)
    shown.map.flip(9)
    shown.settle()
    assert shown.map.data != message == path.read_bytes()


def test_too_large_a_file_is_left_alone(tmp_path: Path) -> None:
    with (tmp_path / "film.enc").open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    with pytest.raises(kmskit.LimitExceededError, match="67,108,865 bytes"):
        EnvelopeInspector(tmp_path / "film.enc")


@pytest.mark.parametrize(
    ("name", "gates", "reason"),
    [
        ("version", ["refused", "not asked"], "not an envelope message"),
        ("context length", ["refused", "not asked"], "cut short"),
        ("value", ["passed", "refused"], "no recipient could open the envelope"),
        ("wrapped data key", ["passed", "refused"], "no recipient could open the envelope"),
        ("commitment", ["passed", "refused"], "does not belong to this key"),
        ("ciphertext", ["passed", "refused"], "frame 1 does not open"),
    ],
)
def test_a_flip_is_refused_by_the_check_that_is_there_for_it(
    message: bytes, key: Key, name: str, gates: list[str], reason: str
) -> None:
    shown = EnvelopeInspector(message, keys=[key])
    shown.map.flip(offset_of(message, name))
    assert verdict(shown) == gates
    assert reason in shown.told
    assert "InvalidCiphertextError" in shown.told
    assert shown.changed.value == "1 byte changed"
    shown.undo.click()
    assert verdict(shown) == ["passed", "passed"]
    assert shown.undo.disabled


def test_a_field_says_what_its_changed_bytes_say(message: bytes) -> None:
    shown = EnvelopeInspector(message)
    at = offset_of(message, "value")
    shown.map.flip(at, 1)
    shown.settle()
    field = shown.map.field_at(at)
    assert field is not None
    assert field.value == "ccme"


def test_the_list_of_fields_and_the_grid_follow_each_other(message: bytes) -> None:
    shown = EnvelopeInspector(message)
    commitment = offset_of(message, "commitment")
    shown.field.value = commitment
    assert shown.map.selected == commitment
    shown.map.selected = commitment + 5
    assert (shown.field.value, shown.map.selected) == (commitment, commitment + 5)
    shown.map.selected = 0
    assert shown.field.label == "0 · header: version"


def test_what_is_no_envelope_is_shown_with_the_reason(key: Key) -> None:
    shown = EnvelopeInspector(b"PK\x03\x04" + bytes(100), keys=[key])
    assert verdict(shown) == ["refused", "not asked"]
    assert "not an envelope message" in shown.told
    assert shown.still().keys() == {"text/html"}
    assert "no envelope: this is not an envelope message" in repr(shown)


def test_nothing_at_all_is_no_envelope_either() -> None:
    shown = EnvelopeInspector(b"")
    assert verdict(shown) == ["refused", "not asked"]


def test_what_is_neither_bytes_nor_a_path_is_refused() -> None:
    with pytest.raises(TypeError):
        EnvelopeInspector(12)  # type: ignore[arg-type]


def test_the_stored_picture_is_that_of_inspect_and_the_same_each_time(key: Key) -> None:
    messages = [envelope.encrypt(PLAINTEXT, [key], context={"a": "b"}) for _ in range(2)]
    first, second = map(EnvelopeInspector, messages)
    assert first.still() == {"image/svg+xml": envelope.inspect(messages[0])._repr_svg_()}
    # What is masked when outputs are compared may differ.
    assert first.still()["image/svg+xml"].partition("⟨")[0] == second.still()["image/svg+xml"].partition("⟨")[0]


@pytest.mark.parametrize("string", hostile.STRINGS)
def test_a_context_from_others_stays_text(key: Key, string: str) -> None:
    message = envelope.encrypt(PLAINTEXT, [key], context={string: string})
    shown = EnvelopeInspector(message, keys=[key])
    shown.map.flip(offset_of(message, "value"))
    shown.settle()
    for html in (*(part.value for part in shown.children if hasattr(part, "value")), shown.told):
        hostile.assert_safe_html(html.partition("</style>")[2] or html)
    for label, _ in shown.field.options:
        hostile.assert_safe_text(label)
    for kind, still in shown.still().items():
        assert kind == "image/svg+xml"
        hostile.assert_safe_html(still)
    hostile.assert_safe_text(repr(shown), lines=True)


def test_a_context_of_thousands_of_pairs_is_listed_in_part(key: Key) -> None:
    message = envelope.encrypt(b"", [key], context={f"name-{number}": "x" for number in range(2_000)})
    shown = EnvelopeInspector(message)
    listed = next(part.value for part in shown.children if "as a list" in getattr(part, "value", ""))
    assert "All 8,022 fields" in listed
    assert len(listed) < 150_000
    assert len(shown.field.options) <= 201


def test_no_plaintext_is_shown_kept_or_logged(
    message: bytes, key: Key, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = EnvelopeInspector(message, keys=[key])
    shown.settle()
    shown.map.flip(len(message) - 1)
    shown.settle()
    kept = repr([vars(shown), shown.get_state(), shown.still(), [part.get_state() for part in shown.children]])
    assert "4111 1111" not in kept + caplog.text + "".join(capfd.readouterr()) + repr(shown)


def test_who_flips_faster_than_the_keys_answer_is_told_about_the_last_bytes(message: bytes, key: Key) -> None:
    shown = EnvelopeInspector(message, keys=[key])
    shown.settle()
    go, before = threading.Event(), key.kms.calls
    shown.work(lambda: go.wait(30), lambda _: None)  # A slow store.
    for _ in range(4):
        shown.map.flip(offset_of(message, "value"))
    go.set()
    shown.settle()
    assert "It opens" in shown.told
    assert key.kms.calls == before + 1
    shown.close()
