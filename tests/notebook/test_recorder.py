"""`Recorder`: every use of a key is in it, of whatever backend, and no value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import kmskit
from kmskit import envelope
from kmskit.notebook.recorder import Recorder, Use
from kmskit.notebook.sequence import Message, Sequence
from tests import parts

CARD = b"4111 1111 1111 1111"


def token_uri(folder: Path) -> str:
    try:
        return kmskit.softhsm.token(folder).uri
    except kmskit.ConfigurationError:
        parts.missing("SoftHSM")


@pytest.fixture(params=["software", "pkcs11"])
def recorder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(token_uri(tmp_path)) if request.param == "pkcs11" else Recorder()
    with made.kms:
        yield made


def test_direct_uses_are_recorded(recorder: Recorder) -> None:
    key = recorder.kms.create_key("cards")
    assert key.decrypt(key.encrypt(CARD)) == CARD
    assert list(recorder) == [
        Use("app", "Encrypt", ("plaintext",), ("ciphertext",)),
        Use("app", "Decrypt", ("ciphertext",), ("plaintext",)),
    ]
    assert len(recorder) == 2


def test_an_envelope_asks_for_a_data_key_where_the_backend_makes_one(recorder: Recorder) -> None:
    key = recorder.kms.create_key("cards")
    assert envelope.decrypt(envelope.encrypt(CARD, [key]), [key]) == CARD
    made, opened = recorder
    if recorder.kms.backend == "pkcs11":
        assert made == Use("app", "Encrypt", ("data key",), ("wrapped data key",))
    else:
        assert made == Use("app", "GenerateDataKey", (), ("data key", "wrapped data key"))
    assert opened == Use("app", "Decrypt", ("wrapped data key",), ("data key",))


def test_a_second_recipient_is_given_the_data_key(recorder: Recorder) -> None:
    first, second = (recorder.kms.create_key(name) for name in ("one", "two"))
    envelope.encrypt(CARD, [first, second])
    assert list(recorder)[-1] == Use("app", "Encrypt", ("data key",), ("wrapped data key",))


def test_a_refused_use_is_recorded_and_still_raised(recorder: Recorder) -> None:
    key = recorder.kms.create_key("cards")
    blob = key.encrypt(CARD)
    key.disable()
    with pytest.raises(kmskit.KeyStateError):
        key.decrypt(blob)
    use = list(recorder)[-1]
    assert (use.action, use.sends, use.gets, use.status) == ("Decrypt", ("ciphertext",), (), 400)
    assert use.code


def test_signatures_and_macs_are_recorded_without_what_they_carry(recorder: Recorder) -> None:
    release = recorder.kms.create_key("releases", spec="EC_P256")
    release.verify(b"v1", release.sign(b"v1"))
    assert [use.action for use in recorder] == ["Sign", "Verify"]


def test_each_item_of_a_batch_is_a_use(recorder: Recorder) -> None:
    key = recorder.kms.create_key("cards")
    row, other = key.encrypt_many([CARD, CARD]).values()
    key.decrypt_many([row, other[:-1] + bytes([other[-1] ^ 1])])
    assert [(use.action, use.gets, use.status) for use in recorder] == [
        ("Encrypt", ("ciphertext",), 200),
        ("Encrypt", ("ciphertext",), 200),
        ("Decrypt", ("plaintext",), 200),
        ("Decrypt", (), 400),
    ]


def test_every_way_to_use_a_key_is_recorded(recorder: Recorder) -> None:
    old, new = (recorder.kms.create_key(name) for name in ("old", "new"))
    old.reencrypt(old.encrypt(CARD), to=new)
    release = recorder.kms.create_key("releases", spec="EC_P256")
    release.verify_digest(bytes(32), release.sign_digest(bytes(32)))
    assert [use.action for use in recorder] == ["Encrypt", "ReEncrypt", "Sign", "Verify"]


def test_it_holds_no_value(recorder: Recorder) -> None:
    key = recorder.kms.create_key("cards")
    blob = key.encrypt(CARD)
    told = repr([recorder, list(recorder)])
    assert "4111 1111" not in told
    assert blob.hex() not in told
    assert repr(recorder) == f"<Recorder {recorder.kms.backend}: 1 uses>"


def test_it_works_on_the_emulator_too() -> None:
    with kmskit.emulator.start() as cloud:
        recorder = Recorder(cloud.connect(instance="software").uri, credential=credential_of(cloud))
        key = recorder.kms.create_key("cards")
        assert key.decrypt(key.encrypt(CARD)) == CARD
        assert [use.action for use in recorder] == ["Encrypt", "Decrypt"] == [e.action for e in cloud.trail][-2:]
        recorder.kms.close()


def credential_of(cloud: kmskit.emulator.Cloud) -> Callable[[], tuple[str, str]]:
    root = cloud.ram.root
    return lambda: (root.access_key_id, root.access_key_secret)


def test_a_diagram_is_drawn_from_it() -> None:
    recorder = Recorder()
    key = recorder.kms.create_key("cards")
    story = Sequence(recorder, keys="HSM")
    both = "ciphertext, wrapped data key"
    message = story.ask(lambda: envelope.encrypt(CARD, [key]), here="plaintext", stores=both)
    story.ask(lambda: envelope.decrypt(message, [key]), loads=both)
    assert story.messages == [
        Message("app", "HSM", "GenerateDataKey"),
        Message("HSM", "app", "", ("data key", "wrapped data key")),
        Message("app", "app", "holds", ("plaintext",)),
        Message("app", "medium", "", ("ciphertext", "wrapped data key")),
        Message("medium", "app", "", ("ciphertext", "wrapped data key")),
        Message("app", "HSM", "Decrypt", ("wrapped data key",)),
        Message("HSM", "app", "", ("data key",)),
    ]
    assert story.lanes == ["app", "medium", "HSM"]
    assert story.seen().rows["HSM"] == {
        "plaintext": False,
        "data key": True,
        "wrapped data key": True,
        "ciphertext": False,
    }
    assert not any(story.seen(1).rows["app"].values())
    assert ">holds<" in story.picture().svg
    assert ">holds<" not in story.picture(2).svg


def test_what_is_refused_is_drawn_as_refused() -> None:
    recorder = Recorder()
    key = recorder.kms.create_key("cards")
    key.disable()
    story = Sequence(recorder)
    with pytest.raises(kmskit.KeyStateError):
        story.ask(lambda: key.encrypt(CARD))
    assert [(message.sender, message.refused) for message in story.messages] == [("app", False), ("KMS", True)]
