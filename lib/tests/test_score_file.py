"""`starwise score`: the file comes back with five columns more, whole or not at all."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from starwise import cli, crew, score_file
from starwise.score import ADDED, BUNDLED, Scorer


def run(source: Path, target: Path, column: str = "comment") -> int:
    options = ["--text-column", column, "--output", str(target), "--model", str(BUNDLED)]
    return cli.main(["score", str(source), *options])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_score_command_adds_the_five_columns(tmp_path, suffix, capsys):
    reviews = pd.DataFrame({"who": ["A", "B", "C"], "comment": ["I love it", "", "Awful, broken"]})
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    reviews.to_csv(source, index=False) if suffix == ".csv" else reviews.to_parquet(source)
    arguments = ["score", str(source), "--text-column", "comment", "--output", str(target)]
    assert cli.main(arguments) == 0
    scored = pd.read_csv(target) if suffix == ".csv" else pd.read_parquet(target)
    assert list(scored) == ["who", "comment", "bad", "average", "good", "sentiment", "stars"]
    assert scored["stars"].isna().tolist() == [False, True, False]
    assert scored["sentiment"][0] > scored["sentiment"][2]
    assert "scored 2 reviews (1 without text)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--text-column": "text"}, "has no column 'text'; it has comment"),
        ({"--output": "out.xlsx"}, "must end in .csv or .parquet"),
        ({"--model": "nowhere"}, "holds no model"),
    ],
)
def test_the_score_command_refuses_in_one_sentence(tmp_path, capsys, change, sentence):
    source = tmp_path / "in.csv"
    source.write_text("comment\nfine\n")
    options = {"--text-column": "comment", "--output": str(tmp_path / "out.csv"), **change}
    assert cli.main(["score", str(source), *sum(options.items(), ())]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told
    assert not (tmp_path / "out.csv").exists()


def test_the_score_command_does_not_overwrite_a_column(tmp_path, capsys):
    source = tmp_path / "in.csv"
    source.write_text("comment,stars\nfine,1\n")
    output = tmp_path / "out.csv"
    arguments = ["score", str(source), "--text-column", "comment", "--output", str(output)]
    assert cli.main(arguments) == 2
    assert "already has a column 'stars'" in capsys.readouterr().err
    assert not output.exists()


def test_the_score_command_says_when_there_is_no_file(tmp_path, capsys):
    arguments = ["score", str(tmp_path / "no.csv"), "--text-column", "a", "--output", "o.csv"]
    assert cli.main(arguments) == 2
    assert "there is no file" in capsys.readouterr().err


def test_a_csv_keeps_every_value_to_the_letter(tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    lines = [
        ["id", "zip", "price", "flag", "comment", "note"],
        ["1", "007", "1.50", "TRUE", "Lovely, really", "NA"],
        ["2", "10", "", "false", "He said no\nand left", "=1+1"],
        ["", "", "1e3", "", "", "nan"],
    ]
    pd.DataFrame(lines[1:], columns=lines[0]).to_csv(source, index=False, encoding="utf-8-sig")
    assert run(source, target) == 0
    kept = pd.read_csv(target, dtype=str, keep_default_na=False)
    assert [list(kept)[:6], *kept.iloc[:, :6].values.tolist()] == lines


def test_an_empty_line_of_a_single_column_is_a_row_without_text(tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("comment\nfine\n\nawful\n")
    assert run(source, target) == 0
    assert pd.read_csv(target)["stars"].isna().tolist() == [False, True, False]


def test_a_parquet_file_keeps_its_types(tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table = pa.table(
        {
            "when": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
            "comment": pa.array(["lovely", None, "rude"]).dictionary_encode(),
            "tags": pa.array([["a"], [], None], pa.list_(pa.string())),
            "stars given": pa.array([5, None, 1], pa.uint8()),
        }
    )
    pq.write_table(table, source)
    assert run(source, target) == 0
    kept = pq.read_table(target)
    assert kept.select(table.column_names).equals(table)
    assert kept.schema.field("sentiment").type == pa.float64()
    assert kept["stars"].null_count == 1


def test_numbers_of_a_csv_are_numbers_in_parquet(tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.parquet"
    source.write_text("comment,rating,price,code\nfine,3,1.5,a1\nawful,,2,b\nlovely,5,,7\n")
    assert run(source, target) == 0
    kept = pd.read_parquet(target)
    assert kept["rating"].fillna(0).tolist() == [3, 0, 5]
    assert kept["price"].fillna(0).tolist() == [1.5, 2.0, 0.0]
    assert kept["code"].tolist() == ["a1", "b", "7"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_many_chunks_give_what_one_frame_gives_in_the_same_order(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(score_file, "CHUNK", 50)
    rng = np.random.default_rng(0)
    words = ["lovely", "rude", "okay", "shop", "never again", "the", "", "broken", "thanks!"]
    texts = [" ".join(rng.choice(words, size=rng.integers(0, 60))) for _ in range(333)]
    reviews = pd.DataFrame({"number": range(333), "comment": texts})
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    reviews.to_csv(source, index=False) if suffix == ".csv" else reviews.to_parquet(source)
    assert run(source, target) == 0
    scored = pd.read_csv(target) if suffix == ".csv" else pd.read_parquet(target)
    assert scored["number"].tolist() == list(range(333))
    expected = Scorer.load(BUNDLED).frame(texts)
    for column in ADDED[:4]:
        np.testing.assert_allclose(
            scored[column].astype(float), expected[column].astype(float), atol=1e-5
        )


def test_a_file_without_rows_gives_a_file_without_rows(tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("id,comment\n")
    assert run(source, target) == 0
    assert list(pd.read_csv(target)) == ["id", "comment", *ADDED]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "cannot be read as a table: No columns"),
        (b"comment,who\nfine,A\nawful,B,C,D\n", "line 3"),
        (b"comment,who\n" + b"fine,A\n" * 50_000 + b"\xff\xfe,B\n", "nothing was written"),
    ],
)
def test_a_file_that_breaks_on_the_way_leaves_the_former_output(
    tmp_path, capsys, monkeypatch, data, sentence
):
    monkeypatch.setattr(score_file, "CHUNK", 4_000)
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(data)
    target.write_text("an earlier result")
    assert run(source, target) == 2
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told
    assert target.read_text() == "an earlier result"
    assert {path.name for path in tmp_path.iterdir()} <= {"in.csv", "out.csv", "outputs"}


def test_a_parquet_file_cut_short_is_refused(tmp_path, capsys):
    source = tmp_path / "in.parquet"
    pd.DataFrame({"comment": ["fine"] * 500}).to_parquet(source)
    source.write_bytes(source.read_bytes()[:-40])
    assert run(source, tmp_path / "out.csv") == 2
    assert "cannot be read as a table" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def _started(tmp_path) -> tuple[subprocess.Popen, list[psutil.Process]]:
    """Return `starwise score` in the middle of a file, and the processes that score for it."""
    text = "The delivery was slow, but the people were friendly. " * 6
    source = tmp_path / "in.csv"
    pd.DataFrame({"comment": [f"{number} {text}" for number in range(60_000)]}).to_csv(source)
    options = ["--text-column", "comment", "--output", str(tmp_path / "out.csv")]
    process = subprocess.Popen(
        [sys.executable, "-m", "starwise", "score", str(source), *options, "--processes", "2"],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,  # so that Ctrl-C can be sent to all of them, as a terminal does
    )
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size > 1_000 for path in tmp_path.glob(".out-*.csv")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    crew = psutil.Process(process.pid).children()
    assert len(crew) >= 2
    return process, crew


@pytest.mark.parametrize(
    ("stop", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
)
def test_a_run_that_is_stopped_leaves_no_part_of_its_output_and_no_process(tmp_path, stop, status):
    process, crew = _started(tmp_path)
    (os.killpg if stop == signal.SIGINT else os.kill)(process.pid, stop)
    told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == status
    assert "Traceback" not in told
    _gone, alive = psutil.wait_procs(crew, timeout=60)
    assert not alive
    assert not (tmp_path / "out.csv").exists()
    if stop != signal.SIGKILL:  # which lets nobody clean up
        assert {path.name for path in tmp_path.iterdir()} <= {"in.csv", "outputs"}


def test_a_scoring_process_that_is_killed_ends_the_run_with_a_sentence(tmp_path):
    process, crew = _started(tmp_path)
    scoring = [one for one in crew if "spawn_main" in " ".join(one.cmdline())]
    scoring[0].kill()
    told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 2
    assert "a process that was scoring has ended" in told and "Traceback" not in told
    assert {path.name for path in tmp_path.iterdir()} <= {"in.csv", "outputs"}


def test_texts_of_like_length_are_sent_together_and_blank_ones_not_at_all():
    texts = ["a" * 30, "", "b" * 90_000, "c" * 31, "  ", "d" * 100] * 400
    pieces = crew.in_pieces(texts)
    assert sorted(np.concatenate(pieces)) == [n for n, text in enumerate(texts) if text.strip()]
    for piece in pieces:
        lengths = [min(len(texts[row]), crew.READ) for row in piece]
        assert len(piece) <= crew.ROWS and len(piece) * max(lengths) <= crew.PIECE
    assert len(texts[pieces[0][0]]) == 90_000


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_a_bar_on_a_terminal_and_a_line_a_tenth_in_a_log():
    log, terminal = io.StringIO(), _Terminal()
    for stream in (log, terminal):
        progress = score_file.Progress(stream)
        for done in range(1, 101):
            progress.show(done / 100, done * 1_000)
        progress.end()
    lines = log.getvalue().splitlines()
    assert len(lines) == 10 and "\r" not in log.getvalue()
    assert lines[4].startswith("[##########..........]  50% · 50,000 reviews · ")
    assert terminal.getvalue().count("\r") == 100
    assert "left" in lines[0]
