"""The table: its form does not move with its figures, and nothing in it is obeyed."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import kmskit
from kmskit.bench import Row, ThroughputTable
from kmskit.testing import hostile

PLACE = ("encrypt", "AES_256", 4096, 1)
FAST = Row("software", *PLACE, rate=512_345.6, spread=0.02, p50=1.9e-6, p99=4.2e-5, calls=1, cost=60.0)
SLOW = Row("software", *PLACE, rate=0.1234, spread=0.456, p50=8.1, p99=12.5, calls=1, cost=60.0)
BARE = Row("pyca", *PLACE, rate=1_024_691.2, spread=0.01, p50=9e-7, p99=1e-6)
NOT = Row("token", *PLACE, note="takes at most 65,536 bytes a call")


def masked(text: str) -> str:
    return re.sub(r"⟨[^⟩\n]*⟩", "⟨⟩", re.sub('(<span class="kms-volatile">)[^<]*', r"\1", text))


def test_figures_are_volatile_and_nothing_else_moves_with_them() -> None:
    one, other = (ThroughputTable([row, BARE, NOT]).ratio("pyca") for row in (FAST, SLOW))
    assert masked(repr(one)) == masked(repr(other))
    assert masked(one._repr_html_()) == masked(other._repr_html_())
    head, line = repr(one).splitlines()[:2]
    assert head.split()[-8:] == ["p99", "calls", "cost", "of", "1M", "note", "over", "pyca"]
    figures = "⟨  510,000⟩  ⟨        2%⟩  ⟨  2,100⟩  ⟨ 1.9 µs⟩  ⟨  42 µs⟩  1      60.00"
    assert line.startswith(f"encrypt    AES_256  4 KiB  software  {figures}  ")
    assert line.endswith("  ⟨    0.5⟩")


def test_a_row_whose_spread_is_too_wide_says_so() -> None:
    assert "noisy" in repr(ThroughputTable([SLOW]))
    assert "noisy" not in repr(ThroughputTable([FAST]))


def test_columns_without_content_are_left_out() -> None:
    headers, _ = ThroughputTable([BARE]).cells(str)
    assert headers == ["operation", "spec", "size", "target", "ops/s", "±", "MB/s", "p50", "p99", "calls"]


def test_ratios_are_to_the_baseline_in_the_same_place() -> None:
    elsewhere = Row("software", "encrypt", "AES_256", 64, rate=5.0)
    rows = [*ThroughputTable([FAST, BARE, NOT, elsewhere]).ratio("pyca")]
    assert [row.ratio for row in rows] == [pytest.approx(0.5), 1.0, None, None]
    with pytest.raises(ValueError, match="'cloud' is none of software, pyca"):
        ThroughputTable([FAST, BARE]).ratio("cloud")


def test_rows_are_chosen_by_their_attributes() -> None:
    table = ThroughputTable([FAST, BARE, NOT], "a machine", "pyca").where(target=["pyca", "token"], size=4096)
    assert [*table] == [BARE, NOT]
    assert (table.machine, table.baseline) == ("a machine", "pyca")


def test_csv_keeps_every_row_and_the_machine(tmp_path: Path) -> None:
    rows = [FAST, SLOW, BARE, NOT, Row('a, "b"\n', "sign", "EC_P256", 64, 8, emulated=True)]
    text = ThroughputTable(rows).to_csv(tmp_path / "table.csv", "2 cores")
    assert text.startswith("# 2 cores\ntarget,operation,spec,size,threads,rate,")
    read = ThroughputTable.read_csv(tmp_path / "table.csv")
    assert read.machine == "2 cores"
    assert [row.note for row in read] == [row.note for row in rows]
    for row, written in zip(read, rows, strict=True):
        assert row.place == written.place
        assert row.target == written.target
        assert row.emulated == written.emulated
        assert (row.rate or 0) == pytest.approx(written.rate or 0, rel=1e-5)
    assert read.to_csv() == text


def test_a_frame_has_a_column_for_each_attribute() -> None:
    frame = ThroughputTable([FAST, NOT]).frame
    assert frame["target"].tolist() == ["software", "token"]
    assert frame["megabytes"][0] == pytest.approx(512_345.6 * 4096 / 1e6)
    assert frame["rate"].isna().tolist() == [False, True]


def test_without_pandas_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(kmskit.MissingDependencyError) as caught:
        _ = ThroughputTable([FAST]).frame
    assert caught.value.hint == 'pip install "kmskit[bench]"'


def test_a_plot_has_a_panel_for_each_operation_and_a_name_beside_each_line() -> None:
    rows = [
        Row(name, op, "AES_256", size, rate=1e9 / size)
        for op in ("encrypt", "decrypt")
        for name in "abcd"
        for size in (64, 4096)
    ]
    plot = ThroughputTable([*rows, NOT]).plot()
    assert [axes.get_title(loc="left") for axes in plot.axes] == ["encrypt", "decrypt"]
    for axes in plot.axes:
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        names = sorted(axes.texts, key=lambda text: text.xyann[1])
        assert sorted(text.get_text() for text in names) == ["a", "b", "c", "d"]
        gaps = [upper.xyann[1] - lower.xyann[1] for lower, upper in pairwise(names)]
        assert min(gaps) > 0.07, "names cover each other"
        assert max(text.xyann[1] for text in names) <= 1


def test_a_plot_of_what_was_just_measured_is_png_and_of_a_recorded_table_svg_that_stays(tmp_path: Path) -> None:
    live = ThroughputTable([FAST, BARE])
    shown = live.plot()._repr_mimebundle_()
    assert shown.keys() == {"text/plain", "image/png"}
    assert shown["text/plain"] == "<Plot of encrypt: pyca, software>"
    assert shown["image/png"].startswith(b"\x89PNG")
    recorded = ThroughputTable([FAST, BARE], machine="2 cores")
    first, second = (recorded.plot("megabytes")._repr_mimebundle_()["image/svg+xml"] for _ in range(2))
    assert first == second
    assert "<svg" in first
    assert "software" in first


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_names_and_reasons_are_shown_and_never_obeyed(text: str) -> None:
    table = ThroughputTable([Row(text, text, text, 64, rate=1.0, note=text)], machine=text, baseline=text)
    hostile.assert_safe_html(table._repr_html_())
    hostile.assert_safe_text(repr(table), lines=True)
