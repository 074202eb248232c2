"""The C-MAPSS builder on a small folder of the same layout."""

import csv
import shlex

import pytest

from action_gru.core.errors import DataError
from action_gru.prepare import Options, prepare


@pytest.fixture
def folder(tmp_path):
    def rows(*lives: int) -> str:
        channels = " ".join(["1.5"] * 24)
        return "".join(
            f"{engine} {cycle} {channels}  \n"
            for engine, life in enumerate(lives, start=1)
            for cycle in range(1, life + 1)
        )

    (tmp_path / "train_FD001.txt").write_text(rows(3, 2))
    (tmp_path / "test_FD001.txt").write_text(rows(2))
    (tmp_path / "RUL_FD001.txt").write_text("40 \n")
    return tmp_path


def test_training_engines_run_out_and_test_engines_stop_before(folder):
    out = folder / "table.csv"
    assert prepare("cmapss", folder, out).splits == {"train": 2, "test": 1}
    rows = list(csv.DictReader(out.open()))
    assert [row["remaining"] for row in rows] == ["2", "1", "0", "1", "0", "41", "40"]
    assert rows[0]["id"] == "train-001"
    assert rows[5]["split"] == "test"
    assert rows[0]["sensor_21"] == "1.5"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("RUL_FD001.txt", "1\n2\n", "has 1 engines, its RUL file 2 lines"),
        ("RUL_FD001.txt", "x\n", "RUL_FD001.txt:1: got 'x', expected a whole number"),
        (
            "test_FD001.txt",
            "1 1 5\n",
            "test_FD001.txt:1: got '1 1 5', expected an engine, a cycle and 24 numbers",
        ),
        ("test_FD001.txt", "1 2 " + "1 " * 24 + "\n", "engine 1 is at cycle 2, expected 1"),
    ],
)
def test_files_that_are_not_the_published_ones_are_refused(folder, name, text, message):
    (folder / name).write_text(text)
    with pytest.raises(DataError) as caught:
        prepare("cmapss", folder, folder / "table.csv")
    assert message in str(caught.value)
    assert not (folder / "table.csv").exists()


def test_a_missing_file_or_subset_is_named(folder):
    with pytest.raises(DataError, match=r"has no RUL_FD002\.txt"):
        prepare("cmapss", folder, options=Options(subset="FD002"))
    with pytest.raises(DataError, match="FD001, FD002, FD003, FD004; got 'FD5'"):
        prepare("cmapss", folder, options=Options(subset="FD5"))


def test_the_command_that_is_printed_can_be_pasted(folder, tmp_path):
    out = tmp_path / "my tables" / "it's.csv"
    out.parent.mkdir()
    (sentence,) = prepare("cmapss", folder, out).sentences()
    words = shlex.split(sentence.partition("next: ")[2])
    assert words == ["action-gru", "train", "configs/turbofan.yaml", f"data.manifest={out}"]


def test_another_table_is_not_overwritten_unasked(folder):
    out = folder / "table.csv"
    out.write_text("mine")
    with pytest.raises(DataError, match="exists and differs"):
        prepare("cmapss", folder, out)
    assert out.read_text() == "mine"
