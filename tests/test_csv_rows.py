"""A CSV by the names of its columns, from any spreadsheet."""

from __future__ import annotations

from pathlib import Path

import pytest

from action_gru.csv_rows import read_rows
from action_gru.timeline import read_segments


def written(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "at,what\n2.5,a\n",
        "\ufeffAt ;What\r\n2,5;a\r\n",
        "at\twhat\n2,5\ta\n",
        '"at";"what"\n"2,5";"a"\n',
    ],
)
def test_separators_and_decimal_commas_give_the_same_rows(tmp_path: Path, text: str) -> None:
    assert read_rows(written(tmp_path, text), ("at", "until")) == (
        ["at", "what"],
        [(2, {"at": "2.5", "what": "a"})],
    )


def test_commas_in_words_stay(tmp_path: Path) -> None:
    path = written(tmp_path, "at;what\n1;a,b\n")
    assert read_rows(path, ("at",))[1] == [(2, {"at": "1", "what": "a,b"})]


@pytest.mark.parametrize("header", ["a,b,A", "a,\ufeffa,b", "a;b; a"])
def test_a_column_twice_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(ValueError, match="the column 'a' stands twice"):
        read_rows(written(tmp_path, f"{header}\n"), ())


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a CSV in UTF-8"):
        read_rows(written(tmp_path, "a,ü\n", "latin-1"), ())


def test_a_reference_timeline_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffstart_s;end_s;label\r\n0,5;2;walk\r\n")
    assert [(one.label, one.start_s, one.end_s) for one in read_segments(path)] == [
        ("walk", 0.5, 2.0)
    ]
