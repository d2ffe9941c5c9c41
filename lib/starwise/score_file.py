"""A file of reviews in, the same file with scores out, of any size in little memory.

starwise score reviews.csv --text-column comment --output scored.csv

The file passes through in chunks of some thousand rows. What a row held stays as it was: the text
of a CSV to the letter, the types of a parquet file. The output is written whole or not at all. A
process a core scores (`starwise.crew`) while this one reads and writes.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from starwise.classes import ADDED
from starwise.crew import Alone, Crew, processes_at_most
from starwise.errors import StarwiseError
from starwise.paths import whole_file

CHUNK = 16_384  # rows: enough to find texts of like length for every batch
FIRST = 1_024  # rows of the first chunk; a file that has no more is scored without a crew
BYTES = 16 << 20  # of a file's rows in one chunk, whatever their number
DIGITS = 7  # of the numbers in a CSV; the network computes with about as many
PARQUET = {".parquet", ".pq"}


class CsvSource:
    """A CSV file in chunks; every value is the text that stands there, since "007" is no number."""

    def __init__(self, path: Path):
        self.path, self.read = path, 0.0  # read: share of the file so far
        self.columns = list(pd.read_csv(path, encoding="utf-8-sig", nrows=0, dtype=str))

    def chunks(self) -> Iterator[pd.DataFrame]:
        size, rows, wanted = max(1, self.path.stat().st_size), 0, min(FIRST, CHUNK)
        with open(self.path, "rb") as file:
            reader = pd.read_csv(
                file,
                encoding="utf-8-sig",
                iterator=True,
                dtype=str,
                keep_default_na=False,
                # In a table of one column an empty text is an empty line.
                skip_blank_lines=len(self.columns) > 1,
            )
            while True:
                try:
                    chunk = reader.get_chunk(wanted)
                except StopIteration:
                    return
                rows += len(chunk)
                self.read = min(1.0, file.tell() / size)
                yield chunk
                wanted = min(CHUNK, max(1, BYTES * rows // file.tell()))

    def types(self) -> dict[str, str]:
        """Return the columns that hold numbers throughout, and which: for a typed output."""
        found: dict[str, set[str]] = {column: set() for column in self.columns}
        for chunk in pd.read_csv(self.path, encoding="utf-8-sig", chunksize=CHUNK):
            for column, dtype in chunk.dtypes.items():
                found[column].add(str(dtype) if chunk[column].notna().any() else "empty")
        whole = {column: kinds - {"empty"} for column, kinds in found.items()}
        names = {frozenset({"int64"}): "Int64"}
        return {
            column: names.get(frozenset(kinds), "Float64")
            for column, kinds in whole.items()
            if kinds and kinds <= {"int64", "float64"}
        }


class ParquetSource:
    """A parquet file, with the types of its columns."""

    def __init__(self, path: Path):
        # Without these two settings the reader holds whole row groups, compressed, in memory.
        self.file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
        self.columns, self.read = list(self.file.schema_arrow.names), 0.0

    def chunks(self) -> Iterator[pa.Table]:
        rows = max(1, self.file.metadata.num_rows)
        size = sum(
            self.file.metadata.row_group(group).total_byte_size
            for group in range(self.file.num_row_groups)
        )
        chunk = int(min(CHUNK, max(1, BYTES * rows // max(1, size))))
        done = 0
        for batch in self.file.iter_batches(batch_size=chunk):
            done += batch.num_rows
            self.read = done / rows
            yield pa.Table.from_batches([batch])


Table = Any  # pa.Table or pd.DataFrame: pyarrow tells no types


Source = CsvSource | ParquetSource


class CsvTarget:
    def __init__(self, path: Path, source: Source):
        self.file: IO[str] = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115
        pd.DataFrame(columns=[*source.columns, *ADDED]).to_csv(self.file, index=False)

    def write(self, table: Table, scores: np.ndarray) -> None:
        table = table if isinstance(table, pd.DataFrame) else table.to_pandas()
        added = pd.DataFrame(scores.round(DIGITS), columns=list(ADDED))
        added["stars"] = added["stars"].astype("Int8")
        joined = pd.concat([table.reset_index(drop=True), added], axis=1)
        joined.to_csv(self.file, index=False, header=False)

    def close(self) -> None:
        self.file.close()


class ParquetTarget:
    def __init__(self, path: Path, source: Source):
        kinds = {"stars": pa.int8()}
        self.added = [pa.field(name, kinds.get(name, pa.float64())) for name in ADDED]
        self.types: dict[str, str] = {}
        notes = None
        if isinstance(source, ParquetSource):
            schema = source.file.schema_arrow
            fields, notes = list(schema), schema.metadata
        else:
            self.types = source.types()
            arrow = {"Int64": pa.int64(), "Float64": pa.float64()}
            fields = [
                pa.field(name, arrow.get(self.types.get(name), pa.string()))
                for name in source.columns
            ]
        self.schema = pa.schema([*fields, *self.added], metadata=notes)
        self.writer = pq.ParquetWriter(path, self.schema)

    def write(self, table: Table, scores: np.ndarray) -> None:
        if isinstance(table, pd.DataFrame):
            for column, kind in self.types.items():
                table[column] = pd.to_numeric(table[column].replace("", None)).astype(kind)
            schema = pa.schema(list(self.schema)[: table.shape[1]])
            table = pa.Table.from_pandas(table, schema, preserve_index=False)
        blank = np.isnan(scores[:, 0])
        columns = [
            pa.array(np.where(blank, 0, numbers).astype(field.type.to_pandas_dtype()), mask=blank)
            for field, numbers in zip(self.added, scores.T, strict=True)
        ]
        self.writer.write_table(
            pa.Table.from_arrays([*table.columns, *columns], schema=self.schema)
        )

    def close(self) -> None:
        self.writer.close()


class Progress:
    """A bar that moves on a terminal, and a line at each tenth of the way in a log."""

    def __init__(self, stream: IO[str]):
        self.stream, self.tty = stream, stream.isatty()
        self.start, self.tenths = time.monotonic(), 0

    def show(self, share: float, reviews: int) -> None:
        seconds = max(1e-9, time.monotonic() - self.start)
        left = seconds * (1 - share) / max(share, 1e-9)
        bar = "#" * int(20 * share)
        line = (
            f"[{bar:.<20}] {share:>4.0%} · {reviews:,} reviews · {reviews / seconds:,.0f} a second "
            f"· {_duration(left)} left"
        )
        if self.tty:
            print(f"\r{line:<79}", end="", file=self.stream, flush=True)
        elif int(10 * share) > self.tenths:
            self.tenths = int(10 * share)
            print(line, file=self.stream, flush=True)

    def end(self) -> None:
        if self.tty:
            print(file=self.stream, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="CSV or parquet file of reviews")
    parser.add_argument("--text-column", required=True, help="the column that holds the texts")
    parser.add_argument("--output", type=Path, required=True, help="CSV or parquet file to write")
    parser.add_argument("--model", type=Path, help="a model folder (default: the serving model)")
    parser.add_argument(
        "--processes",
        type=int,
        default=processes_at_most(),
        help="how many score at a time (default: one a core, at most 8; 200 MB each)",
    )


def open_source(path: Path) -> Source:
    """Return a file as a table to read; raises StarwiseError in a sentence."""
    try:
        return (ParquetSource if path.suffix in PARQUET else CsvSource)(path)
    except FileNotFoundError:
        raise StarwiseError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise StarwiseError(f"{path} cannot be read as a table: {error}") from None


def score_file(
    source: Source,
    text_column: str,
    output: Path,
    progress: Progress,
    model: Path | None = None,
    processes: int = 1,
) -> tuple[str, int, int]:
    """Write `source` and the five columns of `ADDED` to `output`.

    Returns the name of the model, how many rows there were and how many had a text.
    """
    parts = _parts(source, text_column)
    begun = list(islice(parts, 2))
    few = len(begun) < 2 and all(len(texts) <= FIRST for _part, texts in begun)
    rows = scored = 0
    with (
        whole_file(output) as temporary,
        closing(Alone(model) if few else Crew(model, processes)) as scorer,
        closing(_target(temporary, output, source)) as target,
    ):
        for (table, read), scores in scorer.scored(chain(begun, parts)):
            target.write(table, scores)
            rows += len(scores)
            scored += int((~np.isnan(scores[:, 0])).sum())
            progress.show(read, rows)
    return scorer.name, rows, scored


def _parts(source: Source, text_column: str) -> Iterator[tuple[tuple[Table, float], list[str]]]:
    """Yield (chunk, share of the file read with it) and the chunk's texts."""
    for table in source.chunks():
        yield (table, source.read), _texts(table[text_column])


def _target(temporary: Path, output: Path, source: Source) -> CsvTarget | ParquetTarget:
    return (ParquetTarget if output.suffix in PARQUET else CsvTarget)(temporary, source)


def _texts(column: pa.ChunkedArray | pd.Series) -> list[str]:
    values = column.to_pylist() if isinstance(column, pa.ChunkedArray) else column.tolist()
    return ["" if value is None or value != value else str(value) for value in values]


def main(args: argparse.Namespace) -> int:
    source = open_source(args.file)
    if args.text_column not in source.columns:
        raise StarwiseError(
            f"{args.file} has no column {args.text_column!r}; it has "
            f"{', '.join(map(str, source.columns))}"
        )
    if args.output.suffix not in {".csv", *PARQUET}:
        raise StarwiseError(f"--output {args.output} must end in .csv or .parquet")
    taken = [column for column in ADDED if column in source.columns]
    if taken:
        raise StarwiseError(
            f"{args.file} already has a column {taken[0]!r}, which scoring would lose: rename it"
        )
    if args.processes < 1:
        raise StarwiseError("--processes must be at least 1")
    # Every length of batch has its own compiled convolution; by default 1,024 of them are kept,
    # which alone is half a gigabyte.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
    progress = Progress(sys.stderr)
    try:
        with _cleaned_up_when_stopped():
            name, rows, scored = score_file(
                source, args.text_column, args.output, progress, args.model, args.processes
            )
    except (ValueError, pa.ArrowException) as error:
        raise StarwiseError(
            f"{args.file} cannot be read to its end, so nothing was written: {error}"
        ) from None
    finally:
        progress.end()
    silent = f" ({rows - scored:,} without text)" if scored < rows else ""
    print(f"scored {scored:,} reviews{silent} with {name} into {args.output}")
    return 0


@contextmanager
def _cleaned_up_when_stopped() -> Iterator[None]:
    """Let `kill` and `timeout` end this as Ctrl-C does: the unfinished file is removed."""
    try:
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    except ValueError:  # not in the main thread, which alone hears signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
