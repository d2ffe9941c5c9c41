"""The whole series, small, as `./run_all.sh` runs it: practice site, browser, papermill and all."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from starwise.batch.notebooks import find_notebooks
from starwise.batch.record import files_of
from starwise.paths import Outputs, project_root

SMALL = {
    "01_collect.companies": "48",
    "01_collect.reviews": "1500",
    "03_train.epochs": "1",
    "03_train.reviews_per_epoch": "600",
    "04_evaluate.typo_reviews": "60",
    "04_evaluate.deleted_reviews": "6",
}
# What the run itself keeps besides the notebooks' files.
OF_THE_RUN = ("notebooks/*", "run.json")

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def starwise_run(outputs: Outputs, *options: str) -> subprocess.CompletedProcess:
    """Run `starwise run` from the outputs folder with the small parameters of the chosen range."""
    chosen = [int(word) for word in options if word.isdigit()] or [1, 4]
    small = [
        word
        for key, value in SMALL.items()
        if chosen[0] <= int(key[:2]) <= chosen[-1]
        for word in ("-p", key, value)
    ]
    return subprocess.run(
        [sys.executable, "-P", "-m", "starwise", "run", *options, *small],
        env={**os.environ, "STARWISE_OUTPUTS": str(outputs.root)},
        cwd=outputs.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


def snapshot(outputs: Outputs) -> dict[str, int]:
    own = set(files_of(outputs.root, OF_THE_RUN))
    files = (path for path in outputs.root.rglob("*") if path.is_file() and path not in own)
    return {
        path.relative_to(outputs.root).as_posix(): path.stat().st_mtime_ns
        for path in files
        if not path.name.endswith(".lock")
    }


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> Outputs:
    return Outputs(tmp_path_factory.mktemp("series with spaces") / "outputs")


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_each_notebook_reads_and_writes_what_its_table_says(outputs, number):
    """It runs with nothing but the files that its table names, and makes those it promises."""
    notebook = next(n for n in find_notebooks(project_root() / "notebooks") if n.number == number)
    outputs.root.mkdir(exist_ok=True)
    needed = files_of(outputs.root, (*notebook.reads, *notebook.may_read, *OF_THE_RUN))
    aside = outputs.root.parent / "aside"
    hidden = {name: aside / name for name in snapshot(outputs) if outputs.root / name not in needed}
    for name, place in hidden.items():
        _move(outputs.root / name, place)

    before = snapshot(outputs)
    run = starwise_run(outputs, "--from", str(number), "--to", str(number))
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr
    changed = {name for name, time in snapshot(outputs).items() if before.get(name) != time}
    promised = {
        p.relative_to(outputs.root).as_posix() for p in files_of(outputs.root, notebook.writes)
    }
    assert changed <= promised, f"not in the table: {sorted(changed - promised)}"
    for pattern in notebook.writes:
        assert files_of(outputs.root, [pattern]), f"promised and not written: {pattern}"
    executed = nbformat.read(outputs.notebooks / f"{notebook.name}.ipynb", as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")

    for name, place in hidden.items():
        _move(place, outputs.root / name)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)


def test_a_second_run_has_nothing_to_do_and_says_how_well_the_network_reads(outputs):
    run = starwise_run(outputs)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count(": up to date, made ") == 4, run.stdout
    for words in (
        "collected from",
        "cleaned and labelled",
        "the network",
        "./run_all.sh dashboard",
    ):
        assert words in run.stdout, run.stdout


def test_the_files_of_a_run_keep_their_contract(outputs):
    companies, reviews = pd.read_csv(outputs.companies), pd.read_csv(outputs.reviews)
    assert list(companies.columns) == ["category", "sub_category", "company_url"]
    article = ["comment", "rating", "url_website", "company_name", "company_website"]
    assert {"id", "company_logo", *article} <= set(reviews.columns)
    assert reviews["id"].is_unique and reviews["rating"].between(1, 5).all()
    assert len(reviews) >= 0.95 * int(SMALL["01_collect.reviews"])
    labelled = pd.read_parquet(outputs.labelled)
    assert labelled.groupby("company")["split"].nunique().max() == 1
    metrics = json.loads(outputs.metrics.read_text("utf-8"))
    models = {model["name"]: model for model in metrics["models"]}
    assert {"majority", "tfidf_lr", "network", "bundled"} <= set(models)
    assert models["network"]["accuracy"] <= 1 and metrics["verdict"]["serves"]
    # The practice site's own reviews are known for what they are in every notebook.
    assert 0.8 < metrics["best_accuracy"] < 1
    assert json.loads(outputs.serving.read_text("utf-8"))["model"]
    for model in files_of(outputs.models, ["*/model.safetensors"]):
        assert model.with_name("model.json").exists()


def test_own_reviews_can_be_labelled_without_being_collected(tmp_path):
    stars = {"good": 5, "bad": 1, "so so": 3}
    lines = [
        f'"The shop was {word}, number {number}",{stars[word]},Company {number % 20}'
        for number in range(200)
        for word in stars
    ]
    mine = tmp_path / "my reviews.csv"
    mine.write_text("\n".join(["review,stars,shop", '"no stars",,', *lines]), "utf-8")
    outputs = Outputs(tmp_path / "out")
    outputs.root.mkdir()
    run = starwise_run(outputs, "--from", "2", "--to", "2", "--corpus", str(mine))
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr
    assert len(pd.read_parquet(outputs.labelled)) == 600
