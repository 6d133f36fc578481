"""`kmskit encrypt`, `decrypt`, `reencrypt` and `inspect`, on files and through real pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import kmskit
from kmskit import envelope
from kmskit.testing.hostile import STRINGS, assert_safe_text

from .conftest import Run, Shell, Terminal, environment

DATA = bytes(range(256)) * 4096  # Four frames exactly, so the last one is full.
PARTIAL = DATA[: 3 * 262_144 - 1]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = [tmp_path / name for name in ("one.csv", "empty.csv", "two words.csv")]
    for path, data in zip(found, (DATA, b"", PARTIAL), strict=True):
        path.write_bytes(data)
    return found


@pytest.fixture
def one(files: list[Path]) -> str:
    return str(files[0])


@pytest.fixture
def orders(kms: kmskit.Kms) -> kmskit.Key:
    return kms.create_key("orders")


@pytest.fixture(scope="module")
def safe() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def public(safe: rsa.RSAPrivateKey, tmp_path: Path) -> str:
    path = tmp_path / "safe-2026.pem"
    path.write_bytes(safe.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(path)


@pytest.fixture
def private(safe: rsa.RSAPrivateKey, tmp_path: Path) -> str:
    path = tmp_path / "in the safe.pem"
    path.write_bytes(safe.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path)


def names(folder: Path) -> set[str]:
    """The files in a folder, but for the key store."""
    return {path.name for path in folder.iterdir() if not path.name.startswith("keys.") and path.is_file()}


# Files


def test_many_files_at_once_there_and_back(run: Run, orders: kmskit.Key, files: list[Path]) -> None:
    before = [path.read_bytes() for path in files]
    shown = run("encrypt", *map(str, files), "--to", "orders", "--context", "table=orders").stdout
    assert shown.count("context table=orders") == 3
    for path in files:
        path.unlink()
    sealed = [f"{path}.enc" for path in files]
    run("decrypt", *sealed)
    assert [path.read_bytes() for path in files] == before


def test_the_library_opens_what_the_command_wrote_and_the_reverse(
    run: Run, orders: kmskit.Key, one: str, tmp_path: Path
) -> None:
    run("encrypt", one, "--to", orders.id, "--context", "a=b=c", "--context", "n=", "--signed")
    message = Path(f"{one}.enc").read_bytes()
    assert envelope.decrypt(message, [orders], require_context={"a": "b=c", "n": ""}, require_signed=True) == DATA
    (tmp_path / "theirs.enc").write_bytes(envelope.encrypt(b"theirs", [orders], frame_length=3))
    run("decrypt", str(tmp_path / "theirs.enc"))
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def test_a_file_that_fails_does_not_stop_the_others(run: Run, orders: kmskit.Key, files: list[Path]) -> None:
    missing = str(files[0].parent / "missing.csv")
    done = run("encrypt", str(files[0]), missing, str(files[2]), "--to", "orders", status=1)
    assert f"error: {missing}: No such file" in done.stderr
    sealed = [Path(f"{files[at]}.enc") for at in (0, 2)]
    changed = bytearray(sealed[0].read_bytes())
    changed[-1] ^= 1
    sealed[0].write_bytes(changed)
    for path in files:
        path.unlink()
    done = run("decrypt", *map(str, sealed), status=1)
    assert f"error: {sealed[0]}: frame 4 does not open" in done.stderr
    assert not files[0].exists()
    assert files[2].read_bytes() == PARTIAL


def test_an_output_that_is_there_is_replaced_only_by_force(run: Run, orders: kmskit.Key, one: str) -> None:
    sealed = Path(f"{one}.enc")
    sealed.write_bytes(b"precious")
    done = run("encrypt", one, "--to", "orders", status=1)
    assert f"{sealed} is there already; --force replaces it" in done.stderr
    assert sealed.read_bytes() == b"precious"
    run("encrypt", one, "--to", "orders", "--force")
    assert "is there already; --force" in run("decrypt", str(sealed), status=1).stderr
    run("decrypt", str(sealed), "--overwrite")
    assert Path(one).read_bytes() == DATA


def test_a_reader_may_require_a_context_and_a_signature(run: Run, orders: kmskit.Key, one: str, tmp_path: Path) -> None:
    run("encrypt", one, "--to", "orders", "--context", "tenant=acme")
    to_there = ("-o", str(tmp_path / "out"))
    for required in (["--require-context", "tenant=borealis"], ["--require-context", "day=1"], ["--require-signed"]):
        run("decrypt", f"{one}.enc", *required, *to_there, status=1)
        run("decrypt", "-", *required, *to_there, status=1, data=Path(f"{one}.enc").read_bytes())
        assert not (tmp_path / "out").exists()
    run("decrypt", f"{one}.enc", "--require-context", "tenant=acme", *to_there)
    assert (tmp_path / "out").read_bytes() == DATA


def test_json_tells_of_each_file_that_was_done(run: Run, orders: kmskit.Key, files: list[Path]) -> None:
    arguments = ["--to", "orders", "--context", "table=orders", "--signed", "--json"]
    done = run("encrypt", str(files[0]), "missing", str(files[2]), *arguments, status=1)
    first, second = json.loads(done.stdout)
    assert first == {
        "file": str(files[0]),
        "output": f"{files[0]}.enc",
        "size": Path(f"{files[0]}.enc").stat().st_size,
        "length": len(DATA),
        "frames": 4,
        "signed": True,
        "context": {"table": "orders"},
        "recipients": [f"software:{orders.id}"],
    }
    assert second["length"] == len(PARTIAL)
    for source in (first["output"], "-"):
        data = Path(first["output"]).read_bytes() if source == "-" else None
        (told,) = json.loads(run("decrypt", source, "-o", f"{files[0]}.out", "--json", "--force", data=data).stdout)
        assert told == {**first, "file": source, "output": f"{files[0]}.out"}


# Keys


def test_a_message_is_opened_by_the_keys_that_it_names_or_by_those_that_are_named(
    run: Run, kms: kmskit.Kms, orders: kmskit.Key, one: str
) -> None:
    kms.create_key("second")
    kms.create_key("third")
    run("encrypt", one, "--to", "orders", "--recipient", "second")
    orders.disable()
    run("decrypt", f"{one}.enc", "--force")
    run("decrypt", f"{one}.enc", "--force", "--key", "second")
    refused = run("decrypt", f"{one}.enc", "--force", "--key", "orders", status=1)
    assert "the key is DISABLED" in refused.stderr
    refused = run("decrypt", f"{one}.enc", "--force", "--key", "third", status=1)
    assert "none of the given keys is a recipient" in refused.stderr


def test_keys_of_elsewhere_are_named_in_the_refusal(run: Run, one: str) -> None:
    elsewhere = kmskit.connect("software:?memory=1").create_key()
    aes = envelope.RawAesKey("partner", "ours", bytes(32))
    Path(f"{one}.enc").write_bytes(envelope.encrypt(DATA, [elsewhere, aes]))
    refused = run("decrypt", f"{one}.enc", "--force", status=1)
    assert "no key that is here is a recipient" in refused.stderr
    assert f"software:{elsewhere.id}, partner ours" in refused.stderr


def test_a_recovery_key_opens_without_any_kms(
    run: Run, orders: kmskit.Key, safe: rsa.RSAPrivateKey, public: str, private: str, one: str
) -> None:
    aes = envelope.RawAesKey("partner", "ours", bytes(32))
    third_party = envelope.encrypt(b"x", [aes, envelope.RawRsaKey("other", "name", safe)])
    Path(f"{one}.mixed.enc").write_bytes(third_party)
    run("encrypt", one, "--to", "orders", "--recovery-key", public)
    gone = {"KMSKIT_URI": "software:///nowhere/at/all.db"}
    run("decrypt", f"{one}.enc", f"{one}.mixed.enc", "--force", "--recovery-key", private, **gone)
    assert Path(one).read_bytes() == DATA
    assert Path(f"{one}.mixed").read_bytes() == b"x"
    assert [recipient.info for recipient in envelope.inspect(f"{one}.enc").recipients][1] == b"safe-2026"


def test_the_recovery_key_alone_needs_no_kms_for_writing_either(run: Run, public: str, private: str, one: str) -> None:
    gone = {"KMSKIT_URI": "software:///nowhere/at/all.db"}
    run("encrypt", one, "--recovery-key", public, "--recovery-name", "bank box", **gone)
    assert "recovery bank box" in run("inspect", f"{one}.enc", **gone).stdout
    run("decrypt", f"{one}.enc", "--recovery-key", private, "--force", **gone)
    refused = run("decrypt", f"{one}.enc", "--recovery-key", public, "--force", status=1, **gone)
    assert "no private key is in there" in refused.stderr
    Path(public).write_text("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n")
    assert "no RSA key in PEM" in run("encrypt", one, "--recovery-key", public, status=2, **gone).stderr


def test_reencryption_replaces_the_recipients_and_leaves_the_context(
    run: Run, kms: kmskit.Kms, orders: kmskit.Key, one: str
) -> None:
    new = kms.create_key("new")
    run("encrypt", one, "--to", "orders", "--context", "table=orders", "--signed")
    sealed = Path(f"{one}.enc")
    before = sealed.read_bytes()
    assert "is there already; --force" in run("reencrypt", str(sealed), "--to", "new", status=1).stderr
    assert sealed.read_bytes() == before
    run("reencrypt", str(sealed), "--to", "new", "--force", "--require-signed")
    info = envelope.inspect(sealed)
    assert [recipient.info for recipient in info.recipients] == [f"software:{new.id}".encode()]
    assert (info.header.own_context, info.signed) == ({"table": "orders"}, True)
    assert envelope.decrypt(sealed.read_bytes(), [new]) == DATA
    there = f"{one}.there"
    run("reencrypt", str(sealed), "--to", "orders", "-o", there, "--context", "table=archive")
    assert envelope.decrypt(Path(there).read_bytes(), [orders], require_context={"table": "archive"}) == DATA


# Pipes


def test_pipes_there_and_back(shell: Shell, orders: kmskit.Key, kms: kmskit.Kms, one: str) -> None:
    kms.create_key("second")
    done = shell(
        f"set -e; $kmskit encrypt - --to orders --context a=b < {one} > sealed"
        " && $kmskit reencrypt - --to second < sealed | $kmskit decrypt - --require-context a=b",
    )
    assert done.stdout == DATA
    assert done.stderr == b""
    assert shell(f"$kmskit encrypt {one} --to orders -o - | $kmskit decrypt -").stdout == DATA
    shell(f"$kmskit encrypt - --to orders -o sealed2 < {one} && $kmskit decrypt sealed2 -o opened")
    assert (Path(one).parent / "opened").read_bytes() == DATA


def test_a_cut_pipe_is_told_by_the_status_and_leaves_no_file(
    shell: Shell, orders: kmskit.Key, one: str, tmp_path: Path
) -> None:
    message = envelope.encrypt(DATA, [orders])
    (tmp_path / "cut").write_bytes(message[:-1])
    done = shell("$kmskit decrypt - < cut", status=1)
    assert done.stdout == DATA[: 3 * 262_144]
    assert b"the envelope's final frame is cut short" in done.stderr
    shell("$kmskit decrypt - -o opened < cut", status=1)
    shell("$kmskit reencrypt - --to orders -o opened < cut", status=1)
    assert not (tmp_path / "opened").exists()
    shell("$kmskit reencrypt - --to orders < cut > unfinished", status=1)
    with pytest.raises(kmskit.InvalidCiphertextError):
        envelope.decrypt((tmp_path / "unfinished").read_bytes(), [orders])


def test_no_frame_of_a_changed_message_gets_through(shell: Shell, orders: kmskit.Key, tmp_path: Path) -> None:
    message = bytearray(envelope.encrypt(DATA, [orders]))
    message[-300_000] ^= 1  # in the third frame
    (tmp_path / "changed").write_bytes(message)
    done = shell("$kmskit decrypt - < changed", status=1)
    assert done.stdout == DATA[: 2 * 262_144]
    assert b"frame 3 does not open" in done.stderr


def test_a_full_disk_and_a_closed_pipe_end_as_they_should(shell: Shell, orders: kmskit.Key, one: str) -> None:
    done = shell(f"$kmskit encrypt {one} --to orders -o - > /dev/full", status=1)
    assert b"No space left on device" in done.stderr
    (Path(one).parent / "m.enc").write_bytes(envelope.encrypt(DATA, [orders]))
    done = shell("$kmskit decrypt m.enc -o - | head -c 10")
    assert done.stdout == DATA[:10]
    assert done.stderr == b""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_command_leaves_no_file(
    how: signal.Signals, orders: kmskit.Key, home: Path, uri: str, tmp_path: Path
) -> None:
    before = names(tmp_path)
    command = [sys.executable, "-m", "kmskit", "encrypt", "-", "--to", "orders", "-o", str(tmp_path / "out.enc")]
    with subprocess.Popen(
        command, env=environment(home, uri), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        running.stdin.write(DATA * 2)  # More than a pipe holds, so the command is at work.
        running.stdin.flush()
        running.send_signal(how)
        running.stdin.close()
        assert running.wait(timeout=30) == (1 if how is signal.SIGINT else -how)
    assert names(tmp_path) == before


def test_one_bar_shows_all_files_and_is_gone_at_the_end(terminal: Terminal, orders: kmskit.Key, tmp_path: Path) -> None:
    for name in ("film", "sound"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(40 << 20)
    with terminal("$kmskit encrypt film sound --to orders") as running:
        shown = running.communicate(timeout=60)[0].decode()
    assert running.returncode == 0
    assert "film" in shown
    assert "/83.9 MB" in shown  # Both together.
    assert shown.index("film.enc: from film") < shown.index("sound.enc: from sound")
    assert shown.endswith("\x1b[2K")


# Looking


def test_inspect_tells_what_stands_in_a_message(run: Run, orders: kmskit.Key, public: str, one: str) -> None:
    run("encrypt", one, "--to", "orders", "--recovery-key", public, "--context", "table=orders")
    gone = {"KMSKIT_URI": "software:///nowhere/at/all.db"}
    shown = run("inspect", f"{one}.enc", **gone).stdout
    for part in (f"software:{orders.id}", "recovery safe-2026", "table=orders", "4 frame(s)", "not authenticated"):
        assert part in shown
    (told,) = json.loads(run("inspect", f"{one}.enc", "--json", **gone).stdout)
    assert told["recipients"] == [f"software:{orders.id}", "recovery safe-2026"]
    assert told["suite"] == "0x0478"
    assert "fields" not in told
    (told,) = json.loads(run("inspect", "-", "--json", "--fields", data=Path(f"{one}.enc").read_bytes()).stdout)
    assert told["fields"][0] == {"offset": 0, "size": 1, "part": "header", "name": "version", "value": 2}
    assert sum(field["size"] for field in told["fields"]) == told["size"]
    assert "commitment" in run("inspect", f"{one}.enc", "--fields").stdout


def test_inspect_goes_on_behind_what_is_no_envelope(run: Run, orders: kmskit.Key, one: str) -> None:
    run("encrypt", one, "--to", "orders")
    done = run("inspect", one, f"{one}.enc", status=1)
    assert "this is not an envelope message" in done.stderr
    assert "envelope, suite 0x0478" in done.stdout


@pytest.mark.parametrize("text", STRINGS, ids=repr)
@pytest.mark.parametrize(
    "look", [{}, {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "500"}], ids=["pipe", "terminal"]
)
def test_a_hostile_message_is_shown_and_does_nothing(run: Run, text: str, look: dict[str, str], tmp_path: Path) -> None:
    key = envelope.RawAesKey(text, text, bytes(32))
    path = tmp_path / "hostile.enc"
    path.write_bytes(envelope.encrypt(b"x", [key], context={text: text}))
    for arguments in (["inspect", str(path)], ["inspect", "--fields", str(path)], ["inspect", "--json", str(path)]):
        shown = run(*arguments, **look).output
        assert_safe_text(shown.replace("\x1b[1m", "").replace("\x1b[0m", ""), lines=True)
    assert_safe_text(run("decrypt", str(path), status=1).output, lines=True)


# Usage


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["encrypt", "one.csv"], "name who shall open it"),
        (["encrypt", "one.csv", "--recovery-name", "x"], "--recovery-name is for a --recovery-key"),
        (["encrypt", "one.csv", "two", "--to", "orders", "-o", "x"], "-o names one output"),
        (["encrypt", "-", "-", "--to", "orders"], "only one FILE can be stdin"),
        (["encrypt", "-", "--to", "orders", "--json"], "cannot both go to stdout"),
        (["encrypt", "one.csv", "--to", "orders", "--context", "tenant"], "NAME=VALUE expected"),
        (["encrypt", "one.csv", "--to", "orders", "--context", "a=b", "--context", "a=c"], "given twice"),
        (["encrypt", "one.csv", "--to", "orders", "--context", "aws-crypto-x=y"], "the format's own"),
        (["decrypt", "one.csv"], "does not end in .enc"),
        (["decrypt", ".enc"], "does not end in .enc"),
        (["reencrypt", "one.csv.enc"], "name who shall open it"),
        (["inspect"], "FILE"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_done(
    run: Run, orders: kmskit.Key, files: list[Path], monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.chdir(files[0].parent)
    before = names(files[0].parent)
    assert reason in run(*arguments, status=2).stderr
    assert names(files[0].parent) == before


def test_a_terminal_takes_no_raw_bytes(terminal: Terminal, orders: kmskit.Key, one: str) -> None:
    with terminal(f"$kmskit encrypt {one} --to orders -o -") as running:
        shown = running.communicate(timeout=30)[0]
    assert running.returncode == 2
    assert b"a terminal does not take raw bytes" in shown


def test_a_file_cannot_replace_itself_by_its_plaintext(run: Run, orders: kmskit.Key, one: str) -> None:
    run("encrypt", one, "--to", "orders")
    assert (
        "the output would replace the input"
        in run("decrypt", f"{one}.enc", "-o", f"{one}.enc", "--force", status=1).stderr
    )
    os.link(f"{one}.enc", f"{one}.link")
    run("decrypt", f"{one}.enc", "-o", f"{one}.link", "--force", status=1)


def test_a_message_larger_than_memory_goes_through_pipes(shell: Shell, orders: kmskit.Key, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(400 << 20)
    shell("ulimit -d 150000; set -e; $kmskit encrypt large --to orders -o - | $kmskit decrypt - | cmp - large")
