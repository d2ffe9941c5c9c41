"""compose.yaml and the Dockerfile read as docker compose reads them, for tests without Docker.

services = Compose.read(project, environment).services
services["api"]["environment"]["DATABASE_URL"]      # with what .env says filled in
image = stage(project, "api")                       # .command, .environment, .health
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


class RefusedError(Exception):
    """A variable that must be set is not: docker compose stops with this sentence."""


def read_env(file: Path) -> dict[str, str]:
    """Return the variables of a .env file without quotes, as ours is."""
    lines = (line.strip() for line in file.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def read_compose(file: Path, env: dict[str, str]) -> dict[str, Any]:
    """Return compose.yaml with ${NAME:-default} and ${NAME:?sentence} filled in."""

    def value(match: re.Match) -> str:
        name, kind, rest = match.groups()
        given = env.get(name, "")
        if given or kind is None:
            return given
        if kind == "?":
            raise RefusedError(f"{name}: {rest}")
        return rest

    return filled(yaml.safe_load(file.read_text()), value)


def filled(part: Any, value) -> Any:
    if isinstance(part, dict):
        return {key: filled(inner, value) for key, inner in part.items()}
    if isinstance(part, list):
        return [filled(inner, value) for inner in part]
    return VARIABLE.sub(value, part) if isinstance(part, str) else part


@dataclass(frozen=True)
class Stage:
    """What one target of the Dockerfile says about how it runs."""

    entrypoint: list[str]
    command: list[str]
    health: list[str]


def stage(dockerfile: Path, target: str) -> Stage:
    """Return what the Dockerfile says about a target."""
    joined = re.sub(r"\\\n\s*", "", dockerfile.read_text())
    text = re.search(rf"^FROM \S+ AS {target}\n(.*?)(?=^FROM|\Z)", joined, re.M | re.S)[1]

    def words(instruction: str) -> list[str]:
        found = re.search(rf"^{instruction}\s*(\[.*\])$", text, re.M)
        return json.loads(found[1]) if found else []

    return Stage(words("ENTRYPOINT"), words("CMD"), words("HEALTHCHECK.*? CMD"))
