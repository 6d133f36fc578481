"""`Playground`, clicked: on the software backend, a SoftHSM token and the emulator, and by one who may not list."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from kmskit import KeySpec, KeyUsage, Kms
from kmskit.emulator import Cloud
from kmskit.testing import hostile
from kmskit.widgets import Playground
from kmskit.widgets.dissection import dissect
from tests.widgets.looking import assert_safe, parts_of, states

Opener = Callable[[Kms], Playground]
SECRET = "4111-1111-grün"


@pytest.fixture
def playground_of() -> Iterator[Opener]:
    """Opens playgrounds, and closes them at the end."""
    opened: list[Playground] = []

    def open_playground(kms: Kms) -> Playground:
        opened.append(Playground(kms))
        opened[-1].settle()
        return opened[-1]

    yield open_playground
    for playground in opened:
        playground.close()


def do(playground: Playground, *buttons: str) -> str:
    """Click buttons one after the other; gives the answer's markup."""
    for button in buttons:
        getattr(playground, button).click()
        playground.settle()
    return str(playground.answer.html)


def sent_to_the_page(playground: Playground, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What leaves as a message, beside the state."""
    sent: list[Any] = []
    monkeypatch.setattr(playground.answer, "send", lambda content, buffers=None: sent.append(content))
    return sent


# Meanwhile


def test_an_answer_about_other_bytes_is_not_told(kms: Kms, playground_of: Opener) -> None:
    kms.create_key("orders")
    playground = playground_of(kms)
    do(playground, "make")
    go = threading.Event()
    playground.work(lambda: go.wait(30), lambda _: None)  # A slow store.
    playground.check.click()
    playground.flip.click()
    go.set()
    playground.settle()
    assert playground.answer.html == ""
    assert "ask again" in playground.told
    assert "InvalidCiphertextError" in do(playground, "check")


def test_what_a_key_made_is_not_shown_to_a_key_of_another_kind(kms: Kms, playground_of: Opener) -> None:
    kms.create_key("orders")
    release = kms.create_key("releases", spec="ED25519")
    playground = playground_of(kms)
    go = threading.Event()
    playground.work(lambda: go.wait(30), lambda _: None)
    playground.make.click()
    playground.key.value = release.id
    go.set()
    playground.settle()
    assert playground.bytes.data == b""
    assert "kms-hidden" in playground._checked._dom_classes


def test_a_second_click_on_a_first_key_makes_no_second_one(kms: Kms, playground_of: Opener) -> None:
    playground = playground_of(kms)
    _, starter, *_ = playground.starters.children
    starter.click()
    starter.click()
    playground.settle()
    assert len(list(kms.keys())) == 1
    assert "AlreadyExistsError" not in playground.told


# Encryption


def test_what_was_encrypted_is_decrypted(any_kms: Kms, playground_of: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    any_kms.create_key("orders")
    playground = playground_of(any_kms)
    sent = sent_to_the_page(playground, monkeypatch)
    playground.text.value, playground.context.value = SECRET, "tenant = acme"
    answer = do(playground, "make", "check")
    assert "It opens" in answer
    assert f"{len(SECRET.encode())} bytes, what is typed above" in answer
    assert sent == [{"reveal": SECRET}]
    names = [field.name for field in playground.bytes.fields]
    assert names[-4:] == ["key version", "iv", "ciphertext", "tag"]


def test_whichever_byte_is_flipped_the_ciphertext_is_refused(any_kms: Kms, playground_of: Opener) -> None:
    any_kms.create_key("orders")
    playground = playground_of(any_kms)
    do(playground, "make")
    for place in {field.offset for field in playground.bytes.fields} | {len(playground.bytes.data) - 1}:
        playground.place.value = place
        refusal = do(playground, "flip", "check")
        assert "InvalidCiphertextError" in refusal
        assert "hint" in refusal
        assert playground.flips.value == f"Changed in the ciphertext: byte {place}."
        assert playground.bytes.selected == place
        assert "It opens" in do(playground, "undo", "check")


def test_the_byte_chosen_in_the_grid_is_the_one_that_is_flipped(kms: Kms, playground_of: Opener) -> None:
    kms.create_key("orders")
    playground = playground_of(kms)
    do(playground, "make")
    playground.bytes.selected = 7
    do(playground, "flip")
    assert playground.bytes.flipped == (7,)


def test_another_context_is_refused_and_so_is_another_key(any_kms: Kms, playground_of: Opener) -> None:
    any_kms.create_key("orders")
    other = any_kms.create_key("invoices")
    playground = playground_of(any_kms)
    playground.context.value = "tenant = acme"
    do(playground, "make")
    playground.context.value = "tenant = globex"
    assert "InvalidCiphertextError" in do(playground, "check")
    playground.context.value = "tenant = acme"
    assert "It opens" in do(playground, "check")
    playground.key.value = other.id
    assert "InvalidCiphertextError" in do(playground, "check")


def test_an_answer_is_taken_back_when_what_it_answered_changes(kms: Kms, playground_of: Opener) -> None:
    kms.create_key("orders")
    playground = playground_of(kms)
    assert do(playground, "make", "check") != ""
    playground.bytes.flip(0)
    assert playground.answer.html == ""
    assert do(playground, "check") != ""
    playground.text.value = "another one"
    assert playground.answer.html == ""
    do(playground, "undo")
    assert "another text than is typed above now" in do(playground, "check")


def test_a_context_that_is_none_is_told(kms: Kms, playground_of: Opener) -> None:
    kms.create_key("orders")
    playground = playground_of(kms)
    playground.context.value = "tenant"
    do(playground, "make")
    assert "context: name = value expected in line 1" in playground._refused.value
    assert "kms-hidden" in playground._made._dom_classes


def test_rsa_encrypts_without_a_context_and_not_much(any_kms: Kms, playground_of: Opener) -> None:
    any_kms.create_key("sealed", spec="RSA_2048", usage="ENCRYPT_DECRYPT")
    playground = playground_of(any_kms)
    assert "kms-hidden" in playground.context._dom_classes
    playground.algorithm.value = "RSAES_OAEP_SHA_1"
    assert "It opens" in do(playground, "make", "check")
    playground.algorithm.value = "RSAES_OAEP_SHA_256"  # SoftHSM has none, and says which it has.
    assert re.search("InvalidCiphertextError|RSA_2048 keys have RSAES_OAEP_SHA_1 here", do(playground, "check"))
    playground.algorithm.value = "RSAES_OAEP_SHA_1"
    playground.text.value = "x" * 500
    do(playground, "make")
    assert "LimitExceededError" in playground._refused.value
    assert "envelope" in playground._refused.value


# Signatures and MACs


@pytest.mark.parametrize("spec", ["EC_P256", "RSA_2048"])
def test_a_signature_is_verified_and_a_changed_one_refused(any_kms: Kms, playground_of: Opener, spec: str) -> None:
    any_kms.create_key("releases", spec=spec)
    playground = playground_of(any_kms)
    playground.text.value = "v1.2.0"
    assert "It verifies" in do(playground, "make", "check")
    playground.place.value = len(playground.bytes.data) - 1
    assert "InvalidSignatureError" in do(playground, "flip", "check")
    assert "It verifies" in do(playground, "undo", "check")
    playground.message_place.value = 3
    assert "InvalidSignatureError" in do(playground, "flip_message", "check")
    assert playground.flips.value == "Changed in the message: byte 3."
    assert "It verifies" in do(playground, "flip_message", "check")
    playground.text.value = "v1.2.1"
    assert "InvalidSignatureError" in do(playground, "check")


@pytest.mark.parametrize("spec", [spec for spec in KeySpec if spec not in ("RSA_3072", "RSA_4096")])
def test_every_spec_has_its_use(kms: Kms, playground_of: Opener, spec: KeySpec) -> None:
    key = kms.create_key("one", spec=spec)
    playground = playground_of(kms)
    passed = "It opens" if key.usage is KeyUsage.ENCRYPT_DECRYPT else "It verifies"
    assert passed in do(playground, "make", "check")
    assert "Error" in do(playground, "flip", "check")


def test_a_mac_is_verified_and_a_changed_one_refused(any_kms: Kms, playground_of: Opener) -> None:
    if not any_kms.supports("HMAC_256", "create"):
        pytest.skip("no HMAC keys here")
    any_kms.create_key("webhooks", spec="HMAC_256")
    playground = playground_of(any_kms)
    assert "It verifies" in do(playground, "make", "check")
    playground.place.value = 31
    assert "InvalidMacError" in do(playground, "flip", "check")
    assert "InvalidMacError" in do(playground, "undo", "flip_message", "check")


def test_another_kind_of_key_begins_anew(kms: Kms, playground_of: Opener) -> None:
    kms.create_key("orders")
    releases = kms.create_key("releases", spec="EC_P256")
    playground = playground_of(kms)
    do(playground, "make")
    playground.key.value = releases.id
    assert playground.make.description == "Sign"
    assert playground.text.description == "Message"
    assert playground.bytes.data == b""
    assert "kms-hidden" in playground._checked._dom_classes


# The parts


@pytest.mark.parametrize("spec", [spec for spec in KeySpec if spec not in ("RSA_3072", "RSA_4096")])
def test_the_parts_leave_no_byte_out(kms: Kms, spec: KeySpec) -> None:
    key = kms.create_key(spec=spec)
    for message in (b"", b"attack at dawn"):
        if key.usage is KeyUsage.ENCRYPT_DECRYPT:
            made = key.encrypt(message)
        elif key.usage is KeyUsage.SIGN_VERIFY:
            made = bytes(key.sign(message))
        else:
            made = key.mac(message)
        found = dissect(made, key.spec, key.usage)
        assert found.packed(found.data) == made
        ends = [0, *(field.end for field in found.fields)]
        assert [field.offset for field in found.fields] == ends[:-1]
        assert ends[-1] == len(found.data)


@pytest.mark.parametrize("spec", ["EC_P256", "EC_P384", "EC_P521"])
def test_the_numbers_of_an_ecdsa_signature_are_where_they_are_said_to_be(kms: Kms, spec: str) -> None:
    key = kms.create_key(spec=spec)
    for _ in range(8):  # A number is shorter by a byte now and then.
        made = bytes(key.sign(b"v1.2.0"))
        found = {field.name: field for field in dissect(made, key.spec, key.usage).fields}
        numbers = [int.from_bytes(made[found[name].offset : found[name].end]) for name in ("r", "s")]
        assert numbers == list(decode_dss_signature(made))


def test_the_services_ciphertext_is_shown_out_of_its_base64(cloud_kms: Kms) -> None:
    key = cloud_kms.create_key()
    made = key.encrypt(b"attack at dawn")
    found = dissect(made, key.spec, key.usage)
    version, iv, body, tag = (found.data[field.offset : field.end] for field in found.fields)
    assert version.decode() == key.primary_version
    assert (len(iv), len(body), len(tag)) == (12, 20, 16)  # Of the plaintext's base64.
    assert found.packed(found.data) == made


# Keys, calls, and one who may not list


def test_every_call_is_counted_and_listed(any_kms: Kms, playground_of: Opener) -> None:
    any_kms.create_key("orders")
    playground = playground_of(any_kms)
    before = any_kms.calls
    do(playground, "make", "check", "flip", "check")
    assert any_kms.calls > before
    assert playground.record.total.value == f"{any_kms.calls:,} calls"
    lines = playground.record.lines.value
    assert lines.index("InvalidCiphertextError") < lines.index("done")  # The last one first.
    assert lines.count(">decrypt<") == 2
    assert lines.count(">encrypt<") == 1


def test_where_there_is_no_key_one_is_made(any_kms: Kms, playground_of: Opener) -> None:
    playground = playground_of(any_kms)
    assert "kms-hidden" in playground._work._dom_classes
    _, encrypts, *_ = playground.starters.children
    encrypts.click()
    playground.settle()
    assert any_kms.key("try-aes-256").spec == "AES_256"
    assert "kms-hidden" in playground.starters._dom_classes
    assert "It opens" in do(playground, "make", "check")


def test_a_disabled_key_is_said_to_be_one_and_refused(any_kms: Kms, playground_of: Opener) -> None:
    any_kms.create_key("orders").disable()
    playground = playground_of(any_kms)
    assert playground.key.label == "orders (AES_256, encrypts, DISABLED)"
    do(playground, "make")
    assert "KeyStateError" in playground._refused.value


def test_one_who_may_not_list_opens_keys_by_name(cloud: Cloud, cloud_kms: Kms, playground_of: Opener) -> None:
    cloud_kms.create_key("orders")
    releases = cloud_kms.create_key("releases", spec="EC_P256")
    user = cloud.ram.create_user("app", policies=["AliyunKMSCryptoUserAccess"])
    playground = playground_of(cloud.connect(user, instance="software"))
    assert "AccessDeniedError" in playground.told
    playground.by_name.name.value = "orders"
    do(playground, "make")  # Nothing is chosen yet, and nothing happens.
    playground.by_name.submit.click()
    playground.settle()
    assert "It opens" in do(playground, "make", "check")

    playground.by_name.name.value, playground.by_name.spec.value = releases.id, "EC_P256"
    playground.by_name.version.value = releases.primary_version
    playground.by_name.submit.click()
    playground.settle()
    assert "It verifies" in do(playground, "make", "check")
    assert_safe(playground)


# Secrets, and strings of others


def test_what_is_typed_and_decrypted_is_kept_nowhere_else(
    any_kms: Kms, playground_of: Opener, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    any_kms.create_key("orders")
    playground = playground_of(any_kms)
    sent = sent_to_the_page(playground, monkeypatch)
    playground.text.value = SECRET
    do(playground, "make")
    playground.text.value = "something else"  # So that the secret is in no field any more.
    do(playground, "check")
    assert sent[-1] == {"reveal": SECRET}
    fields = (playground.text, playground.context)
    shown = [states(playground, *fields)]
    playground.text.value = SECRET
    do(playground, "flip", "check")
    shown.append(states(playground, *fields))
    playground.context.value = SECRET
    do(playground, "make", "check")
    shown += [states(playground, *fields), repr(playground), repr(list(parts_of(playground)))]
    shown += [*playground.still().values(), playground._repr_mimebundle_()["text/plain"], caplog.text]
    for text in shown:
        for form in (SECRET, SECRET.encode().hex(), ascii(SECRET)[1:-1]):
            assert form not in text


def test_the_stored_picture_is_always_the_same(kms: Kms, cloud_kms: Kms, playground_of: Opener) -> None:
    kms.create_key("orders")
    playground = playground_of(kms)
    do(playground, "make", "check")
    assert playground.still() == playground_of(cloud_kms).still()
    (picture,) = playground.still().values()
    assert "flip any byte" in picture
    assert playground._repr_mimebundle_()["text/plain"].startswith("Playground. Encrypt a text")


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_strings_of_others_take_over_nothing(
    kms: Kms, playground_of: Opener, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kms.create_key(text, description=text, tags={text: text})
    playground = playground_of(kms)
    sent = sent_to_the_page(playground, monkeypatch)
    playground.text.value, playground.context.value = text, f"{text} = {text}"
    do(playground, "make", "check", "flip", "check")
    assert_safe(playground)
    for message in sent:
        hostile.assert_safe_text(message["reveal"])
    kms.create_key("signs", spec="ED25519")
    playground.refresh.click()
    playground.settle()
    playground.by_name.name.value = text
    assert_safe(playground)
