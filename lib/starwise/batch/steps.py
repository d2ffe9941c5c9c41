"""What this run asks of each notebook: options and `-p` values, checked before anything starts.

steps = choose(notebooks, first=3, last=4, values=[("03_train.epochs", "2")])
"""

import ast
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starwise.batch.notebooks import LAST, BatchError, Notebook


@dataclass(frozen=True)
class Step:
    """A notebook and the parameters that this run gives it (the others keep their defaults)."""

    notebook: Notebook
    parameters: Mapping[str, Any]

    @property
    def corpus(self) -> str:
        """The file of reviews that this notebook reads in place of its usual input, or ""."""
        return self.parameters.get("corpus", self.notebook.defaults.get("corpus", ""))


def describe(notebooks: Sequence[Notebook]) -> str:
    """Return every parameter with its default and its meaning, for a reader."""
    lines = []
    for notebook in notebooks:
        lines.append(notebook.name)
        for name, value in notebook.defaults.items():
            if name != "outputs":
                lines.append(f"  {name} = {value!r}".ljust(32) + f" {notebook.comments[name]}")
    return "\n".join(lines)


def choose(
    notebooks: Sequence[Notebook],
    first: int = 1,
    last: int = LAST,
    values: Sequence[Sequence[str]] = (),
    corpus: str = "",
    site: str = "",
) -> list[Step]:
    """Return the steps of a run, each with its parameters checked.

    `values` are pairs such as ("03_train.epochs", "2"), as text.

    Raises:
        BatchError: nothing to run, an unknown notebook or parameter, or a value of another type.
    """
    chosen = [notebook for notebook in notebooks if first <= notebook.number <= last]
    if not chosen:
        numbers = f"{notebooks[0].number} to {notebooks[-1].number}"
        raise BatchError(f"No notebook lies between --from {first} and --to {last}; use {numbers}.")
    parameters: dict[str, dict[str, Any]] = {notebook.name: {} for notebook in chosen}
    for key, text in values:
        notebook, name = _named(chosen, notebooks, key)
        parameters[notebook.name][name] = _value(notebook, name, text)
    if site:
        if chosen[0].number != 1:
            raise BatchError(
                "--site is for collecting; it needs a run that starts with notebook 1."
            )
        parameters[chosen[0].name]["site"] = site
    if corpus:
        if "corpus" not in chosen[0].defaults:
            raise BatchError(
                "--corpus is read by notebook 1 or 2; start with --from 1 or --from 2."
            )
        parameters[chosen[0].name]["corpus"] = corpus
    for given in parameters.values():
        if given.get("corpus"):
            given["corpus"] = _corpus_file(given["corpus"])
    return [Step(notebook, parameters[notebook.name]) for notebook in chosen]


def _named(
    chosen: Sequence[Notebook], notebooks: Sequence[Notebook], key: str
) -> tuple[Notebook, str]:
    word, dot, name = key.partition(".")
    names = ", ".join(notebook.name for notebook in notebooks)
    if not (word and dot and name):
        raise BatchError(
            f"-p takes NOTEBOOK.NAME and a value, as in -p 03_train.epochs 2; "
            f"{key!r} has no notebook. The notebooks are {names}."
        )
    # `03.epochs` and `3.epochs` are as good as `03_train.epochs`.
    for notebook in notebooks:
        if word == notebook.name or (word.isdecimal() and int(word) == notebook.number):
            break
    else:
        raise BatchError(f"There is no notebook {word!r}; the notebooks are {names}.")
    if notebook not in chosen:
        raise BatchError(f"{notebook.name} is not part of this run (see --from and --to).")
    if name == "outputs":
        raise BatchError(
            "All notebooks of a run write to one folder: set STARWISE_OUTPUTS to change it."
        )
    if name not in notebook.defaults:
        known = [known for known in notebook.defaults if known != "outputs"]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise BatchError(
            f"{notebook.name} has no parameter {name!r}; it has {', '.join(known)}.{hint}"
        )
    return notebook, name


def _value(notebook: Notebook, name: str, text: str) -> Any:
    default = notebook.defaults[name]
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        value = type(default)(text) if type(default) in kinds else ast.literal_eval(text)
        if type(value) is not type(default) or (isinstance(value, float) and math.isnan(value)):
            raise ValueError(text)
        return value
    except (KeyError, ValueError, SyntaxError):
        kind = kinds.get(type(default), f"a {type(default).__name__}")
        raise BatchError(
            f"{notebook.name}.{name} must be {kind} (its default is {default!r}), not {text!r}."
        ) from None


def _corpus_file(name: str) -> str:
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise BatchError(f"There is no file {path}; --corpus takes a CSV or parquet file.")
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise BatchError(f"{path.name} is neither a .csv nor a .parquet file.")
    return str(path)
