"""`kmskit sign` and `kmskit verify`, checked with openssl."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import kmskit
from tests.parts import missing

from .conftest import Run, Shell, Terminal, environment

PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
SCHEMES = [
    ("RSA_2048", None, ["-sha256", *PSS]),
    ("RSA_2048", "RSA_PSS_SHA_256", ["-sha256", *PSS]),
    ("RSA_2048", "RSA_PKCS1_SHA_256", ["-sha256"]),
    ("EC_P256", None, ["-sha256"]),
    ("EC_P384", "ECDSA_SHA_384", ["-sha384"]),
    ("EC_P521", None, ["-sha512"]),
    ("EC_P256K", None, ["-sha256"]),
    ("ED25519", None, []),
]
MESSAGE = os.urandom(100_000)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a key of each spec, whose alias is the spec's name."""
    uri = f"software://{tmp_path_factory.mktemp('store')}/keys.db"
    with kmskit.connect(uri) as kms:
        for spec in dict.fromkeys(spec for spec, _, _ in SCHEMES):
            kms.create_key(spec, spec)
        kms.create_key("orders")
        kms.create_key("letters", "RSA_2048", usage="ENCRYPT_DECRYPT")
    return uri


@pytest.fixture
def uri(store: str) -> str:
    return store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "release.tar"
    path.write_bytes(MESSAGE)
    return path


@pytest.fixture
def openssl() -> Callable[..., bool]:
    """Whether openssl verifies a signature."""
    if shutil.which("openssl") is None:
        missing("openssl")

    def verifies(pem: Path, signature: Path, file: Path, options: list[str]) -> bool:
        one_pass = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", pem, "-sigfile", signature, "-in", file]
        streamed = ["dgst", *options, "-verify", pem, "-signature", signature, file]
        command = ["openssl", *map(str, streamed if options else one_pass)]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

    return verifies


@pytest.mark.parametrize(("spec", "algorithm", "options"), SCHEMES)
def test_openssl_and_both_verify_commands_agree(
    run: Run,
    openssl: Callable[..., bool],
    file: Path,
    tmp_path: Path,
    spec: str,
    algorithm: str | None,
    options: list[str],
) -> None:
    chosen = ["--algorithm", algorithm] if algorithm else []
    signature, pem = tmp_path / "release.sig", tmp_path / "public.pem"
    run("sign", spec, str(file), "-o", str(signature), *chosen)
    pem.write_bytes(run("keys", "public-key", spec).stdout_bytes)
    online = ["verify", spec, str(file), str(signature), *chosen]
    offline = ["verify", str(file), str(signature), "--public-key", str(pem), *chosen]
    nowhere = "software:///nowhere/keys.db"

    assert openssl(pem, signature, file, options)
    assert f"the signature verifies under {spec}" in run(*online).stdout
    assert f"the signature verifies under {pem}" in run(*offline, KMSKIT_URI=nowhere).stdout
    run(*offline[:1], "any key", *offline[1:], KMSKIT_URI=nowhere)

    file.write_bytes(MESSAGE[:-1] + bytes([MESSAGE[-1] ^ 1]))
    assert not openssl(pem, signature, file, options)
    for arguments in (online, offline):
        refused = run(*arguments, status=1)
        assert refused.stderr.startswith("error: the signature does not belong to this")
        assert refused.stdout == ""


def test_json_tells_what_signed(run: Run, file: Path, store: str) -> None:
    facts = json.loads(run("sign", "RSA_2048", str(file), "--json", "--algorithm", "rsa_pkcs1_sha_256").stdout)
    with kmskit.connect(store) as kms:
        key = kms.key("RSA_2048")
    assert facts == {
        "file": str(file),
        "signature_file": f"{file}.sig",
        "key_id": key.id,
        "key_version": key.primary_version,
        "algorithm": "RSA_PKCS1_SHA_256",
    }
    options = ["--json", "--algorithm", "RSA_PKCS1_SHA_256"]
    assert json.loads(run("verify", "RSA_2048", str(file), f"{file}.sig", *options).stdout) == {
        "verified": True,
        "file": str(file),
        "key": "RSA_2048",
        "algorithm": "RSA_PKCS1_SHA_256",
    }
    assert "cannot both go to stdout" in run("sign", "EC_P256", "-", "--json", status=2, data=b"x").stderr


def test_another_algorithm_does_not_verify(run: Run, file: Path) -> None:
    run("sign", "RSA_2048", str(file), "--algorithm", "RSA_PKCS1_SHA_256")
    run("verify", "RSA_2048", str(file), f"{file}.sig", status=1)
    other = ["sign", "RSA_2048", str(file), "-o", f"{file}.other", "--algorithm"]
    assert "has no 'ECDSA_SHA_256'" in run(*other, "ECDSA_SHA_256", status=1).stderr
    assert "'RSA_MD5' is not one of 'RSA_PSS_SHA_256'" in run(*other, "RSA_MD5", status=2).stderr


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("orders", "this key is for ENCRYPT_DECRYPT, not for SIGN_VERIFY"),
        ("letters", "this key is for ENCRYPT_DECRYPT, not for SIGN_VERIFY"),
        ("nobody", "no key with the id or alias 'nobody'"),
    ],
)
def test_a_key_that_does_not_sign_is_refused(run: Run, file: Path, key: str, reason: str) -> None:
    assert reason in run("sign", key, str(file), status=1).stderr
    assert os.listdir(file.parent) == [file.name]
    file.with_name("sig").write_bytes(bytes(64))
    assert reason in run("verify", key, str(file), str(file.with_name("sig")), status=1).stderr


# Pipes


def test_signatures_go_through_pipes(shell: Shell, file: Path, openssl: Callable[..., bool], tmp_path: Path) -> None:
    shell("cat release.tar | $kmskit sign EC_P256 - > sig && $kmskit keys public-key EC_P256 > pem")
    assert openssl(tmp_path / "pem", tmp_path / "sig", file, ["-sha256"])
    shell("cat release.tar | $kmskit sign ED25519 - -o - | $kmskit verify ED25519 release.tar -")
    shell("cat release.tar | $kmskit verify EC_P256 - sig")
    shell("cat pem | $kmskit verify release.tar sig --public-key -")
    shell("echo more | cat release.tar - | $kmskit verify EC_P256 - sig", status=1)
    shell("$kmskit sign EC_P256 release.tar -o - | openssl dgst -sha256 -verify pem -signature /dev/stdin release.tar")


def test_stdin_is_one_file(run: Run) -> None:
    assert "only one of the files" in run("verify", "EC_P256", "-", "-", status=2).stderr
    assert "only one of the files" in run("verify", "-", "sig", "--public-key", "-", status=2).stderr


@pytest.mark.parametrize("names", [[], ["EC_P256"], ["file", "sig"], ["EC_P256", "file", "sig", "more"]])
def test_verify_wants_its_names(run: Run, names: list[str]) -> None:
    assert "KEY, FILE and SIGNATURE expected" in run("verify", *names, status=2).stderr


# Outputs


def test_an_output_that_is_there_stays_unless_forced(run: Run, file: Path) -> None:
    signature = file.with_name("release.tar.sig")
    signature.write_text("kept")
    refused = run("sign", "EC_P256", str(file), status=1)
    assert refused.stderr == f"error: {signature} is there already; --force replaces it\n"
    assert signature.read_text() == "kept"
    assert "is there already" in run("sign", "nobody", str(file), status=1).stderr, "said before any work is done"
    run("sign", "EC_P256", str(file), "--force")
    run("verify", "EC_P256", str(file), str(signature))
    assert sorted(os.listdir(file.parent)) == [file.name, signature.name]


def test_an_output_that_comes_meanwhile_stays(shell: Shell, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    # The output is looked for before stdin is read; the pipe holds the reading up until the other file is there.
    late = "(sleep 1.5; echo theirs > sig; cat keep > pipe) & "
    (tmp_path / "keep").write_bytes(MESSAGE)
    refused = shell(late + "exec $kmskit sign EC_P256 pipe -o sig", status=1)
    assert b"sig is there already" in refused.stderr
    assert (tmp_path / "sig").read_text() == "theirs\n"
    assert sorted(os.listdir(tmp_path)) == ["home", "keep", "pipe", "sig"]


def test_what_lies_behind_a_link_is_replaced(run: Run, file: Path, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    run("sign", "EC_P256", str(file), "-o", str(link), status=1)
    run("sign", "EC_P256", str(file), "-o", str(link), "--force")
    assert link.is_symlink()
    run("verify", "EC_P256", str(file), str(real))


def test_what_is_no_file_is_not_replaced(run: Run, file: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, Path(os.devnull)):
        assert "not a regular file" in run("sign", "EC_P256", str(file), "-o", str(path), "--force", status=1).stderr
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert "would replace the input" in run("sign", "EC_P256", str(file), "-o", str(file), "--force", status=1).stderr
    assert file.read_bytes() == MESSAGE
    nowhere = run("sign", "EC_P256", str(file), "-o", str(tmp_path / "no" / "sig"), status=1)
    assert "No such file or directory" in nowhere.stderr


def test_the_output_has_the_users_mode(shell: Shell, file: Path, tmp_path: Path) -> None:
    shell("umask 027; $kmskit sign EC_P256 release.tar")
    assert stat.S_IMODE((tmp_path / "release.tar.sig").stat().st_mode) == 0o640


def test_a_name_as_long_as_names_may_be_works(run: Run, file: Path, tmp_path: Path) -> None:
    for force in ([], ["--force"]):
        run("sign", "EC_P256", str(file), "-o", str(tmp_path / ("x" * 255)), *force)


def test_inputs_that_cannot_be_read_are_named(run: Run, file: Path, tmp_path: Path) -> None:
    assert run("sign", "EC_P256", "/nowhere", "-o", str(tmp_path / "sig"), status=1).stderr == (
        "error: /nowhere: No such file or directory\n"
    )
    assert "Is a directory" in run("sign", "EC_P256", str(tmp_path), "-o", str(file) + ".sig", status=1).stderr
    assert "Is a directory" in run("verify", "EC_P256", str(file), str(tmp_path), status=1).stderr
    assert os.listdir(tmp_path) == [file.name]
    file.with_name("sig").write_bytes(bytes(100_000))
    assert "more than 65,536 bytes" in run("verify", "EC_P256", str(file), str(tmp_path / "sig"), status=1).stderr


# Public keys from others


def pem_of(key: object) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (b"", "no public key in PEM"),
        (b"nonsense", "no public key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key in PEM"),
        (b"x" * 100_000, "more than 65,536 bytes"),
        (pem_of(rsa.generate_private_key(65537, 1024)), "a public key of RSA_1024"),
        (pem_of(ec.generate_private_key(ec.SECP224R1())), "a public key of SECP224R1"),
        (pem_of(dsa.generate_private_key(1024)), "a public key of DSA"),
    ],
    ids=["empty", "nonsense", "damaged", "long", "RSA_1024", "P-224", "DSA"],
)
def test_a_public_key_that_is_none_of_ours_is_refused(run: Run, file: Path, pem: bytes, reason: str) -> None:
    path, signature = file.with_name("pem"), file.with_name("sig")
    path.write_bytes(pem)
    signature.write_bytes(bytes(64))
    assert reason in run("verify", str(file), str(signature), "--public-key", str(path), status=1).stderr


def test_raw_bytes_do_not_go_to_a_terminal(terminal: Terminal, file: Path) -> None:
    for line in ("$kmskit sign EC_P256 release.tar -o -", "cat release.tar | $kmskit sign EC_P256 -"):
        program = terminal(line)
        shown, _ = program.communicate(timeout=60)
        assert program.returncode == 2
        assert b"a terminal does not take raw bytes" in shown


# Large files


def test_a_file_larger_than_memory_is_signed_as_a_stream(shell: Shell, tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as large:
        large.truncate(400 << 20)
    shell("ulimit -d 300000; $kmskit sign EC_P256 large -o sig && rm sig")
    refused = shell("ulimit -d 300000; $kmskit sign ED25519 large -o sig", status=1)
    assert refused.stderr.startswith(b"error: not enough memory")
    assert sorted(os.listdir(tmp_path)) == ["home", "large"]


def test_a_terminal_shows_progress(terminal: Terminal, tmp_path: Path) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    for path, size in ((large, 65 << 20), (small, 63 << 20)):
        with open(path, "wb") as file:
            file.truncate(size)
        shown, _ = terminal(f"$kmskit sign EC_P256 {path.name}").communicate(timeout=60)
        assert b"ECDSA_SHA_256" in shown
        assert (b"MB" in shown) == (path == large), shown


def test_an_interrupted_signature_leaves_nothing(home: Path, uri: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = subprocess.Popen(
        [sys.executable, "-m", "kmskit", "sign", "EC_P256", str(pipe)],
        env=environment(home, uri),
        stderr=subprocess.PIPE,
    )
    with open(pipe, "wb", buffering=0) as writer:
        writer.write(bytes(1 << 20))  # More than a pipe holds, so the program is reading when the signal comes.
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=60)
    assert (program.returncode, said.strip()) == (1, b"error: aborted")
    assert sorted(os.listdir(tmp_path)) == ["home", "pipe"]
