"""The order of a run: one notebook after the other, those that are up to date left alone.

run_series(notebooks, steps, Outputs.default(), fresh=False, cell_timeout=1800)
"""

import shutil
import time
from collections.abc import Sequence

from filelock import FileLock, Timeout

from starwise.batch.execute import execute
from starwise.batch.notebooks import BatchError, Notebook
from starwise.batch.record import Record, files_of
from starwise.batch.steps import Step
from starwise.batch.summary import minutes, summary
from starwise.paths import Outputs


class AnotherRunError(Exception):
    """Another run writes to the same outputs folder."""


def run_series(
    notebooks: Sequence[Notebook],
    steps: Sequence[Step],
    outputs: Outputs,
    fresh: bool = False,
    cell_timeout: int = 0,
) -> None:
    """Run `steps`, part of `notebooks`, and print a line for each and a summary at the end.

    Raises:
        AnotherRunError: a second run at once.
        BatchError: the first step lacks an input, or a file is where the outputs are to be.
        NotebookError: a notebook did not run to its end; the steps after it are not run.
    """
    try:
        outputs.root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise BatchError(
            f"a file is in the way of the folder {outputs.root}; set STARWISE_OUTPUTS to another"
        ) from None
    try:
        with FileLock(outputs.root / ".run.lock", timeout=0):
            _run(notebooks, steps, outputs, fresh, cell_timeout)
    except Timeout:
        raise AnotherRunError(
            f"another run is writing to {outputs.root}; wait for it, stop it, "
            "or set STARWISE_OUTPUTS to another folder."
        ) from None


def _run(
    notebooks: Sequence[Notebook],
    steps: Sequence[Step],
    outputs: Outputs,
    fresh: bool,
    cell_timeout: int,
) -> None:
    _check_inputs(notebooks, steps[0], outputs)
    for leftover in outputs.notebooks.glob(".*.ipynb"):
        leftover.unlink()  # the temporary copy of a run that was killed
    record = Record(outputs)
    if fresh:
        for step in steps:
            record.forget(step)
        # What was read from sites, whole or in part, is no start to go on from.
        for journal in outputs.root.glob("*.part"):
            journal.unlink()
        shutil.rmtree(outputs.pages, ignore_errors=True)
    began = time.time()
    for step in steps:
        name = step.notebook.name
        reason = record.reason_to_run(step)
        if not reason:
            print(f"{name}: up to date, made {_when(record.entry(step)['finished'])}", flush=True)
            continue
        why = f" ({reason})" if record.entry(step) else ""
        print(f"{name}: running{why}", flush=True)
        record.forget(step)
        start = time.time()
        execute(step, outputs, cell_timeout)
        record.finished(step, time.time() - start, start)
        print(f"{name}: done in {minutes(time.time() - start)}", flush=True)
    print(summary(outputs, record, steps, time.time() - began), flush=True)


def _check_inputs(notebooks: Sequence[Notebook], first: Step, outputs: Outputs) -> None:
    """Refuse a start in the middle without its inputs; notice inputs older than their sources."""
    if first.corpus:
        return
    earlier = [notebook for notebook in notebooks if notebook.number < first.notebook.number]
    for pattern in first.notebook.reads:
        if not files_of(outputs.root, [pattern]):
            writers = [notebook for notebook in earlier if pattern in notebook.writes]
            hint = f"; --from {writers[-1].number} makes it" if writers else ""
            raise BatchError(
                f"{first.notebook.name} reads {pattern}, which is not in {outputs.root}{hint}."
            )
    for notebook in earlier:
        written = files_of(outputs.root, notebook.writes)
        read = files_of(outputs.root, notebook.reads)
        if not written or not read:
            continue
        source = max(read, key=lambda path: path.stat().st_mtime)
        result = max(written, key=lambda path: path.stat().st_mtime)
        if result.stat().st_mtime < source.stat().st_mtime:
            print(
                f"Note: {source.name} is newer than {result.name}, which {notebook.name} makes "
                f"from it; --from {notebook.number} makes it anew.",
                flush=True,
            )


def _when(moment: str) -> str:
    return moment[:16].replace("T", " ")
