"""The rows about envelopes are measured, here with small messages, and both sides of each do the work."""

from __future__ import annotations

import os
from pathlib import Path

import kmskit
from kmskit.bench import envelope as bench
from kmskit.bench.ratios import Ratio, Verdict

PLAINTEXT = os.urandom(1 << 20)


def test_every_row_is_measured() -> None:
    figures = list(bench.figures(size=1 << 20, large=8 << 20, turns=1))
    names = [figure.name for figure in figures]
    assert names[:6] == [
        "envelope.encrypt_into 1 MiB, over bare AES-GCM",
        "envelope.decrypt_into 1 MiB, over bare AES-GCM",
        "envelope.encrypt 1 MiB, over a bare loop that returns bytes",
        "envelope.decrypt 1 MiB, over a bare loop that returns bytes",
        "envelope.encrypt_file 1 MiB, over a bare loop",
        "envelope.decrypt_file 1 MiB, over a bare loop",
    ]
    for peer in ("aws-encryption-sdk, its default frame, 4 KiB", "aws-encryption-sdk, its best frame, 64 KiB"):
        assert f"envelope.encrypt 1 MiB, over {peer}" in names
    for peer in ("tink", "pyrage"):
        assert f"envelope.decrypt 1 MiB, over {peer}" in names
    assert "envelope.encrypt 64 KiB with a data-key cache, over bare AES-GCM" in names
    assert [figure.verdict for figure in figures if "resident" in figure.name] == [Verdict.REACHED] * 2
    assert len({*names}) == len(names)


def test_both_sides_of_a_row_give_what_they_say(tmp_path: Path) -> None:
    key = kmskit.connect("software:?memory=1").create_key()
    rows = {row.name: row for row in [*bench._fresh(key, PLAINTEXT), *bench._peers(key, PLAINTEXT), *bench._small(key)]}
    assert len(rows) > 15
    for name, row in rows.items():
        ours, theirs = row.ours(), row.peer()
        assert isinstance(ours, bytes)
        assert isinstance(theirs, bytes)
        if ".decrypt" in name:
            assert ours == theirs, name
        else:
            length = len(PLAINTEXT) if "MiB" in name else 65536 if "64 KiB" in name.partition(",")[0] else 1024
            assert len(ours) > length, name
            assert len(theirs) > length, name


def test_the_bare_loop_is_undone_by_its_reverse() -> None:
    bare = bench._Bare(PLAINTEXT)
    bare.opened[:] = bytes(len(PLAINTEXT))
    bare.decrypt_into(bare.opened)
    assert bare.opened == PLAINTEXT
    assert len(bare.encrypt()) == len(PLAINTEXT) + 4 * 16


def test_file_rows_write_a_new_file_each_time(tmp_path: Path) -> None:
    key = kmskit.connect("software:?memory=1").create_key()
    rows: list[Ratio] = bench._files(key, PLAINTEXT, tmp_path)
    before = sorted(tmp_path.iterdir())
    for row in rows:
        for side in (row.ours, row.peer, row.ours, row.peer):
            side()
            assert sorted(tmp_path.iterdir()) == before
