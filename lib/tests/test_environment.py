"""environment.yml: what conda reads is valid, says what it is for, and is the same library."""

import re
import tomllib

import pytest
import yaml
from checkers import answer
from packaging.specifiers import SpecifierSet


@pytest.fixture(scope="module")
def text(project) -> str:
    return (project / "environment.yml").read_text()


@pytest.fixture(scope="module")
def environment(text) -> dict:
    return yaml.safe_load(text)


def test_it_installs_the_same_library_as_the_venv(project, environment):
    (pip,) = (line for line in environment["dependencies"] if isinstance(line, dict))
    assert pip == {"pip": ["-e ./lib[test]"]}
    assert '--editable "$HERE/lib[test]"' in (project / "run_all.sh").read_text()


def test_each_package_says_what_it_is_for(text):
    packages = text.partition("dependencies:")[2].strip().splitlines()
    for line in packages:
        if line.strip() != "- pip:":
            assert re.search(r"\S\s+# \w.{10,}", line), f"{line!r} does not say what it is for"


def test_only_the_free_channel_is_asked(environment):
    assert environment["channels"] == ["conda-forge", "nodefaults"]


def test_its_python_is_one_that_the_library_allows(project, environment):
    pyproject = tomllib.loads((project / "lib/pyproject.toml").read_text())
    (python,) = (line for line in environment["dependencies"] if str(line).startswith("python="))
    version = python.partition("=")[2]
    assert version in SpecifierSet(pyproject["project"]["requires-python"])
    assert f'python-version: "{version}"' in (project / ".github/workflows/checks.yml").read_text()


def test_conda_understands_each_name_and_version(environment):
    wanted = [line for line in environment["dependencies"] if isinstance(line, str)]
    script = (
        "import json, sys, rattler\n"
        "specs = [rattler.MatchSpec(s, strict=True) for s in sys.argv[1:]]\n"
        "print(json.dumps([str(spec) for spec in specs]))"
    )
    assert answer(script, *wanted) == ["python 3.11.*", "pip"]
    with pytest.raises(AssertionError, match="InvalidMatchSpec"):
        answer(script, "python =>3..11")
