"""The PIN: where it comes from, how often it is sent, and what happens when the login is lost."""

from __future__ import annotations

import logging
import os
import pickle
import pty
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest
from pkcs11.constants import TokenFlag

import kmskit
from kmskit import AuthenticationError, ConfigurationError
from kmskit.softhsm import Token
from kmskit.testing import leaks
from kmskit.uri import parse
from tests.backends.pkcs11.conftest import is_free, library, token_of
from tests.clock import Clock
from tests.processes import Child, in_child

VARIABLE = "KMSKIT_PKCS11_PIN"


def without_pin(token: Token) -> str:
    return str(parse(token.uri).with_query(pin_source=None))


def pin_of(token: Token) -> str:
    return token.pin_path.read_text().strip()


def tries_were_wrong(uri: str) -> bool:
    """What the token says of tries with a wrong PIN, asked without a login and in a process that has none."""

    def ask() -> bool:
        from kmskit.backends.pkcs11 import tokens
        from kmskit.backends.pkcs11.location import Location

        with tokens.opened(Location.parse(parse(uri))) as module:
            return bool(module.find((("token", "kmskit"),)).flags & TokenFlag.USER_PIN_COUNT_LOW)

    return bool(in_child(ask))


# Where it comes from


def test_the_option_comes_before_the_file_and_the_file_before_the_environment(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "wrong")
    kmskit.connect(token.uri).close()
    with pytest.raises(AuthenticationError):
        kmskit.connect(without_pin(token))
    token.pin_path.write_text("wrong\n")
    with pytest.raises(AuthenticationError):
        kmskit.connect(token.uri)


def test_a_pin_may_be_text_or_a_function_that_is_asked_once(token: Token) -> None:
    kmskit.connect(without_pin(token), pin=pin_of(token)).close()
    asked: list[int] = []
    with kmskit.connect(without_pin(token), pin=lambda: (asked.append(1), pin_of(token))[1]) as kms:
        kms.create_key().encrypt(b"x")
    assert asked == [1]
    wrong: Any = 1234
    with pytest.raises(TypeError, match="pin"):
        kmskit.connect(without_pin(token), pin=wrong)


def test_the_environment_serves_only_a_uri_that_names_its_token(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, pin_of(token))
    named = parse(without_pin(token))
    kmskit.connect(str(named)).close()
    by_serial = parse(str(named).replace("token=kmskit", f"serial={token.serial}"))
    kmskit.connect(str(by_serial)).close()
    unnamed = str(named).replace("token=kmskit", "manufacturer=SoftHSM%20project")
    with pytest.raises(ConfigurationError) as refused:
        kmskit.connect(unnamed)
    assert refused.value.code == "PIN_REQUIRED"


def test_a_missing_pin_says_where_one_may_stand(token: Token) -> None:
    with pytest.raises(ConfigurationError) as missing:
        kmskit.connect(without_pin(token))
    assert missing.value.code == "PIN_REQUIRED"
    for way in ("pin=", "pin-source=file:", VARIABLE):
        assert way in (missing.value.hint or "")


def test_someone_at_a_terminal_is_asked(token: Token) -> None:
    code = f"import kmskit; print(kmskit.connect({without_pin(token)!r}).create_key().state)"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown = b""
    while b"PIN of the token kmskit" not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, pin_of(token).encode() + b"\n")
    try:
        while chunk := os.read(ours, 1000):
            shown += chunk
    except OSError:  # A terminal whose other end is closed.
        pass
    assert process.wait(30) == 0, shown
    os.close(ours)
    assert b"ENABLED" in shown
    assert pin_of(token).encode() not in shown


class _Reopenable:
    """Stands where an open backend would, for a Kms that is only pickled."""

    def check_reopenable(self) -> None:
        return


def test_nobody_is_asked_while_unpickling(token: Token) -> None:
    code = (
        "import kmskit, pickle\n"
        f"kms = pickle.loads({pickle.dumps(kmskit.Kms(without_pin(token), cast('Any', _Reopenable())))!r})\n"
        "try:\n    kms.create_key()\nexcept kmskit.ConfigurationError as error:\n    print(error.code)"
    )
    ours, theirs = pty.openpty()
    run = subprocess.run([sys.executable, "-c", code], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, timeout=30)
    os.close(theirs)
    os.close(ours)
    assert run.stdout.strip() == b"PIN_REQUIRED"


def test_a_pin_file_that_others_can_read_is_refused(token: Token) -> None:
    token.pin_path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others can read") as refused:
        kmskit.connect(token.uri)
    assert "chmod 600" in (refused.value.hint or "")


@pytest.mark.parametrize("content", [b"", b"\n", b"\n1234\n", b"\xff\xfe\n", b"1" * 5000])
def test_a_pin_file_without_a_pin_is_refused(token: Token, content: bytes) -> None:
    token.pin_path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="no PIN"):
        kmskit.connect(token.uri)
    token.pin_path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        kmskit.connect(token.uri)


# How often it is sent


def test_a_wrong_pin_is_tried_once(token: Token) -> None:
    with pytest.raises(AuthenticationError) as refused:
        kmskit.connect(without_pin(token), pin="wrong")
    assert refused.value.code == "CKR_PIN_INCORRECT"
    assert not refused.value.retryable
    assert tries_were_wrong(token.uri)
    kmskit.connect(token.uri).close()
    assert not tries_were_wrong(token.uri)


def test_another_pin_for_a_token_that_is_open_is_not_tried_at_all(token: Token) -> None:
    with kmskit.connect(token.uri) as kms:
        key = kms.create_key()
        with pytest.raises(AuthenticationError, match="another PIN"):
            kmskit.connect(without_pin(token), pin="wrong")
        with (
            kmskit.connect(without_pin(token), pin=pin_of(token)) as other,
            kmskit.connect(without_pin(token)) as third,
        ):
            assert other.key(key.id) == third.key(key.id) == key
        assert key.decrypt(key.encrypt(b"x")) == b"x"  # The others have closed, and this one is still logged in.
    assert not tries_were_wrong(token.uri)


def log_out(uri: str) -> None:
    """What another part of the program may do: it logs the whole process out."""
    path = parse(uri).query["module-path"]
    from kmskit.backends.pkcs11.cryptoki import Cryptoki

    session = token_of(path).open()
    Cryptoki(path).logout(session.handle)
    session.close()


def test_a_login_that_another_part_of_the_program_ended_is_made_again(shared_uri: str) -> None:
    with kmskit.connect(shared_uri) as kms:
        key, signer = kms.create_key("orders"), kms.create_key(spec="EC_P256")
        ciphertext = key.encrypt(b"x")
        for _ in range(3):
            log_out(shared_uri)
            assert key.decrypt(ciphertext) == b"x"
            log_out(shared_uri)
            signer.verify(b"x", signer.sign(b"x"))
            log_out(shared_uri)
            assert kms.key("orders").versions == key.versions
            log_out(shared_uri)
            assert len(list(kms.keys())) == 2
            log_out(shared_uri)
            key.rotate()
            key.refresh()


def test_without_a_login_no_key_is_taken_for_one_that_is_gone(shared_uri: str) -> None:
    """A token shows no private object to a process that is not logged in, and no error either."""
    with kmskit.connect(shared_uri) as kms:
        key = kms.create_key("orders", tags={"a": "b"})
        key.add_alias("second")
    with kmskit.connect(shared_uri) as kms:  # A new one, which knows no key yet.
        log_out(shared_uri)
        assert list(kms.keys(spec="AES_256")) == [key]
    for name in ("orders", "second", key.id):
        with kmskit.connect(shared_uri) as kms:
            log_out(shared_uri)
            assert kms.key(name) == key
    for name in ("orders", "second"):
        with kmskit.connect(shared_uri) as kms:
            log_out(shared_uri)
            with pytest.raises(kmskit.AlreadyExistsError):
                kms.create_key(name)
    with kmskit.connect(shared_uri) as kms:
        assert kms.key(key.id).aliases == ("orders", "second")
        assert dict(kms.key(key.id).tags) == {"a": "b"}


def test_without_a_login_purge_takes_no_public_half_for_one_that_was_left_alone(shared_uri: str) -> None:
    clock = Clock()
    with kmskit.connect(shared_uri, clock=clock) as kms:
        keys = [kms.create_key(spec=spec) for spec in ("EC_P256", "RSA_2048")]
        clock.advance(2)
        log_out(shared_uri)
        assert kms.purge() == []
        for key in keys:
            key.refresh()
            key.verify(b"x", key.sign(b"x"))


def test_a_pin_that_was_changed_meanwhile_is_sent_once_and_no_more(shared_uri: str, token: Token) -> None:
    with kmskit.connect(shared_uri) as kms:
        key = kms.create_key()
        session = token_of(parse(shared_uri).query["module-path"]).open(rw=True)
        session.set_pin(pin_of(token), "another PIN")
        log_out(shared_uri)
        for _ in range(3):
            with pytest.raises(AuthenticationError):
                key.encrypt(b"x")
        assert kms._backend._sessions._pin.value is None  # type: ignore[attr-defined]
        with pytest.raises(AuthenticationError, match="refused the PIN"):
            kmskit.connect(shared_uri, pin="a wrong one")
        with kmskit.connect(shared_uri, pin="another PIN"):  # As the error's hint says.
            assert key.decrypt(key.encrypt(b"x")) == b"x"
        log_out(shared_uri)
        assert key.decrypt(key.encrypt(b"x")) == b"x"  # It was accepted, and so is sent again.


def test_a_pin_is_not_sent_again_after_someone_tried_a_wrong_one(shared_uri: str, token: Token) -> None:
    with kmskit.connect(shared_uri) as kms:
        key = kms.create_key()
        with pytest.raises(AuthenticationError):  # In a process of its own, where nobody is logged in.
            in_child(lambda: _try_wrong_pin(token))
        log_out(shared_uri)
        with pytest.raises(AuthenticationError, match="not sent again by itself"):
            key.encrypt(b"x")
        assert is_free(kms._backend._sessions.module.lock)  # type: ignore[attr-defined]
        with kmskit.connect(shared_uri):  # Asked for by the user, the right one is sent.
            assert key.decrypt(key.encrypt(b"x")) == b"x"


def _try_wrong_pin(token: Token) -> None:
    kmskit.connect(without_pin(token), pin="wrong").close()


def test_a_token_where_another_part_of_the_program_has_logged_in_is_used(shared_uri: str, token: Token) -> None:
    path = parse(shared_uri).query["module-path"]
    from kmskit.backends.pkcs11.cryptoki import Cryptoki

    foreign = Cryptoki(path)
    assert foreign.initialize(None)
    session = token_of(path).open(rw=True, user_pin=pin_of(token))
    try:
        with kmskit.connect(shared_uri) as kms:
            assert not kms._backend._sessions.module.cryptoki.locks  # type: ignore[attr-defined]  # Who knows?
            key = kms.create_key()
            assert key.decrypt(key.encrypt(b"x")) == b"x"
        # The module was initialised by the other part, which goes on with it.
        assert len(list(session.get_objects())) == 1
    finally:
        foreign.finalize()


def test_sessions_that_another_part_of_the_program_closed_are_opened_again(shared_uri: str) -> None:
    from ctypes import c_ulong

    from kmskit.backends.pkcs11.cryptoki import Cryptoki

    with kmskit.connect(shared_uri) as kms:
        key = kms.create_key()
        ciphertext = key.encrypt(b"x")
        path = parse(shared_uri).query["module-path"]
        close_all = Cryptoki(path).function("CloseAllSessions", c_ulong)
        for _ in range(3):
            assert close_all(token_of(path).slot.slot_id) == 0
            assert key.decrypt(ciphertext) == b"x"


def test_a_module_that_another_part_of_the_program_finalised_is_initialised_again(shared_uri: str) -> None:
    from kmskit.backends.pkcs11.cryptoki import Cryptoki

    with kmskit.connect(shared_uri) as kms:
        key, other = kms.create_key(), kms.create_key()
        ciphertexts = [key.encrypt(b"x"), other.encrypt(b"y")]
        Cryptoki(parse(shared_uri).query["module-path"]).finalize()
        assert key.decrypt(ciphertexts[0]) == b"x"
        assert other.decrypt(ciphertexts[1]) == b"y"
        Cryptoki(parse(shared_uri).query["module-path"]).finalize()
        with kmskit.connect(shared_uri) as second:
            assert second.key(key.id).decrypt(ciphertexts[0]) == b"x"
        assert key.decrypt(ciphertexts[0]) == b"x"


def test_a_module_that_changes_hands_while_its_token_is_away_leaves_no_lock_held(shared_uri: str, token: Token) -> None:
    """One that someone else has initialised is called by one thread at a time, and ours is not."""
    from kmskit.backends.pkcs11.cryptoki import Cryptoki

    foreign = Cryptoki(parse(shared_uri).query["module-path"])
    assert foreign.initialize(None)
    with kmskit.connect(shared_uri) as kms:
        key = kms.create_key()
        ciphertext = key.encrypt(b"x")
        tokens, elsewhere = token.folder / "tokens", token.folder / "elsewhere"
        tokens.rename(elsewhere)
        with pytest.raises(kmskit.ServiceUnavailableError):
            key.decrypt(ciphertext)
        foreign.finalize()
        elsewhere.rename(tokens)
        assert key.decrypt(ciphertext) == b"x"
        assert is_free(kms._backend._sessions.module.lock)  # type: ignore[attr-defined]


# Several at once


def test_processes_that_log_in_at_the_same_time_do_not_hide_the_token_from_each_other(token: Token) -> None:
    """SoftHSM empties the token's record at each login, and without it takes the token for none."""
    with kmskit.connect(token.uri) as kms:
        kms.create_key("orders")

    def work() -> int:
        for _ in range(40):
            with kmskit.connect(token.uri) as kms:
                kms.key("orders").encrypt(b"x")
        return os.getpid()

    assert len({child.result() for child in [Child(work) for _ in range(4)]}) == 4


def test_many_tokens_and_configurations_are_open_at_once(tmp_path: Path) -> None:
    tokens = [kmskit.softhsm.token(tmp_path / folder, label) for folder in ("a", "b") for label in ("one", "two")]
    opened = [kmskit.connect(token.uri) for token in tokens]
    keys = [kms.create_key("orders") for kms in opened]
    ciphertexts = [key.encrypt(token.uri.encode()) for key, token in zip(keys, tokens, strict=True)]
    for key, ciphertext, token in zip(keys, ciphertexts, tokens, strict=True):
        assert key.decrypt(ciphertext) == token.uri.encode()
        assert [found.id for found in key.kms.keys(spec="AES_256")] == [key.id]
    opened[0].close()
    assert keys[1].decrypt(ciphertexts[1]) == tokens[1].uri.encode()
    for kms in opened:
        kms.close()
        kms.close()
    with pytest.raises(ConfigurationError, match="closed"):
        keys[0].encrypt(b"x")


def test_closing_waits_for_the_calls_that_threads_are_in(token: Token) -> None:
    """A module that is finalised while a thread is in it crashes."""
    run = subprocess.run([sys.executable, "-c", _CLOSING, token.uri], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout.split()) == (0, ["ConfigurationError"]), run.stderr


_CLOSING = """
import sys, threading, time, kmskit

seen = set()
for _ in range(20):
    kms = kmskit.connect(sys.argv[1])
    key = kms.create_key() if not seen else next(kms.keys(spec="AES_256"))

    def work():
        try:
            while True:
                key.encrypt(bytes(60000))
        except BaseException as error:
            seen.add(type(error).__name__)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    kms.close()
    for thread in threads:
        thread.join()
print(*seen)
"""


def test_one_module_at_a_time_is_initialised_with_a_configuration_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SoftHSM reads its path from the environment, which all threads share."""
    monkeypatch.setenv("SOFTHSM2_CONF", "the user's")
    with (
        kmskit.connect(kmskit.softhsm.token(tmp_path / "a").uri) as one,
        kmskit.connect(kmskit.softhsm.token(tmp_path / "b").uri) as other,
    ):
        modules = [kms._backend._sessions.module for kms in (one, other)]  # type: ignore[attr-defined]
        initialize, read = modules[0].cryptoki.initialize, []
        thread = Thread(target=modules[1].start_anew, args=(10,))

        def slowly(reserved: bytes | None) -> object:
            thread.start()
            thread.join(0.3)
            read.append(os.environ["SOFTHSM2_CONF"])
            return initialize(reserved)

        monkeypatch.setattr(modules[0].cryptoki, "initialize", slowly)
        assert modules[0].start_anew(10)
        thread.join(10)
        assert read == [str(tmp_path / "a" / "softhsm2.conf")]
        assert os.environ["SOFTHSM2_CONF"] == "the user's"
        for kms in (one, other):
            assert kms.create_key().state == "ENABLED"


def test_a_module_that_cannot_be_initialised_leaves_its_copy_of_the_library_for_the_next(token: Token) -> None:
    from kmskit.backends.pkcs11 import module

    configuration, path = token.folder / "softhsm2.conf", parse(token.uri).query["module-path"]
    sound = configuration.read_text()
    configuration.write_text("directories.tokendir = /nowhere\nobjectstore.backend = file\n")
    for _ in range(3):
        with pytest.raises(ConfigurationError, match="could not be initialised") as refused:
            kmskit.connect(token.uri)
        assert refused.value.code == "CKR_GENERAL_ERROR"
    spare = len(module._registry.spare[path])
    assert spare
    configuration.write_text(sound)
    with kmskit.connect(token.uri) as kms:
        kms.create_key()
        assert len(module._registry.spare[path]) == spare - 1
    assert len(module._registry.spare[path]) == spare


def test_a_login_refused_for_another_reason_keeps_the_pin(token: Token, shared_uri: str) -> None:
    """The security officer is logged in, and a token takes one at a time."""
    from kmskit.backends.pkcs11.cryptoki import Cryptoki

    path = parse(shared_uri).query["module-path"]
    with kmskit.connect(shared_uri) as kms:
        key = kms.create_key()
        log_out(shared_uri)
        officer = token_of(path).open(rw=True)
        Cryptoki(path).login(officer.handle, 0, token.pin_path.with_suffix(".so-pin").read_bytes().strip())
        with pytest.raises(kmskit.KmsError) as refused:
            key.encrypt(b"x")
        assert refused.value.code == "CKR_USER_ANOTHER_ALREADY_LOGGED_IN"
        Cryptoki(path).logout(officer.handle)
        officer.close()
        assert key.decrypt(key.encrypt(b"x")) == b"x"


def test_closing_the_last_kms_finalises_the_module_and_a_new_one_starts_it(token: Token) -> None:
    from kmskit.backends.pkcs11 import module

    for _ in range(5):
        with kmskit.connect(token.uri) as kms, kmskit.connect(token.uri) as other:
            assert kms._backend._sessions is other._backend._sessions  # type: ignore[attr-defined]
            other.create_key()
        assert not [key for key in module._registry.modules if key[1] == str(token.folder / "softhsm2.conf")]
    with kmskit.connect(token.uri) as kms:
        assert len(list(kms.keys())) == 5


def test_each_configuration_has_a_library_of_its_own(tmp_path: Path) -> None:
    """Also when a file descriptor is used again, whose number is a part of the name that the loader sees."""
    opened = []
    for number in range(6):
        token = kmskit.softhsm.token(tmp_path / str(number))
        kms = kmskit.connect(token.uri)
        opened.append((kms, kms.create_key(f"key-{number}")))
        cryptoki = [kms._backend._sessions.module.cryptoki for kms, _ in opened]  # type: ignore[attr-defined]
        assert len({part._addresses["Encrypt"] for part in cryptoki}) == len(opened)
    for kms, key in opened:
        assert [found.id for found in kms.keys(spec="AES_256")] == [key.id]
        kms.close()


# No trace


def test_no_pin_is_in_any_error_log_or_display(token: Token, caplog: pytest.LogCaptureFixture) -> None:
    pin, errors = pin_of(token), []
    with caplog.at_level(logging.DEBUG):
        for uri, options in (
            (without_pin(token), {"pin": pin + "!"}),
            (without_pin(token) + f"&pin-value={pin}", {}),
            (token.uri.replace("token=kmskit", "token=other"), {}),
            (token.uri.replace("libsofthsm2.so", "no-module.so"), {}),
        ):
            with pytest.raises(kmskit.KmsError) as refused:
                kmskit.connect(uri, **options)
            errors.append(refused.value)
        with kmskit.connect(token.uri) as kms:
            backend: Any = kms._backend
            shown = [repr(vars(part)) for part in (kms, backend, backend._sessions, backend._sessions.module)]
            shown += [repr(backend._sessions._pin), repr(kms), kms._repr_html_(), kms.uri, token.uri, repr(token)]
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(backend._sessions._pin)
    logs = [f"{record.getMessage()} {vars(record)!r}" for record in caplog.records]
    leaks.assert_clean([*errors, *logs, *shown], pin.encode())


def test_python_pkcs11_is_made_without_its_own_initialisation(shared_uri: str) -> None:
    """The backend leans on a private class of python-pkcs11. When this fails, a new release has changed it."""
    path = parse(shared_uri).query["module-path"]
    made = library(path)
    assert not made.initialized
    with kmskit.connect(shared_uri):
        assert made.get_slots(token_present=True)[0].get_token().label == "kmskit"


def test_a_closed_kms_is_closed_also_while_another_one_uses_the_token(token: Token) -> None:
    with kmskit.connect(token.uri) as other:
        kms = kmskit.connect(token.uri)
        key = kms.create_key("orders")
        ciphertext = key.encrypt(b"x")
        kms.close()
        for use in (lambda: key.decrypt(ciphertext), lambda: kms.key("orders"), kms.create_key, key.rotate):
            with pytest.raises(ConfigurationError, match="closed"):
                use()
        assert other.key("orders").decrypt(ciphertext) == b"x"


def test_a_token_that_another_process_made_meanwhile_is_found(token: Token) -> None:
    """SoftHSM looks for tokens when it is initialised, and here it has long been."""
    with kmskit.connect(token.uri) as kms:
        key = kms.create_key("orders")
        ciphertext = key.encrypt(b"x")
        uri = in_child(lambda: kmskit.softhsm.token(token.folder, "second").uri)
        with kmskit.connect(uri) as other:
            assert other.create_key().state == "ENABLED"
            assert key.decrypt(ciphertext) == b"x"
        assert kms.key("orders") == key
        with pytest.raises(ConfigurationError, match="no token of token 'third'"):
            kmskit.connect(token.uri.replace("token=kmskit", "token=third"))
        assert key.decrypt(ciphertext) == b"x"
