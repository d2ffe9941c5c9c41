"""lib/locks: every package of an image and of CI by version and hash, true to pyproject.toml."""

import hashlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from starwise.paths import project_root

FOLDER = project_root() / "lib" / "locks"
PYPROJECT = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())

_spec = importlib.util.spec_from_file_location("renew", FOLDER / "renew.py")
renew = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(renew)

RENEW = "out of step with lib/pyproject.toml: ./run_all.sh lock renews them"


def locked(purpose: str) -> list[tuple[Requirement, list[str]]]:
    """Return each requirement of a lock file with its hashes."""
    lines = (FOLDER / f"{purpose}.txt").read_text().replace("\\\n", " ").splitlines()
    entries = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [
        (Requirement(entry.partition(" --hash")[0].strip()), re.findall(r"--hash=(\S+)", entry))
        for entry in entries
    ]


def here(purpose: str) -> dict[str, Requirement]:
    """Return what a lock file installs on this machine, by name."""
    return {
        canonicalize_name(requirement.name): requirement
        for requirement, _ in locked(purpose)
        if requirement.marker is None or requirement.marker.evaluate()
    }


@pytest.mark.parametrize("purpose", [*renew.PURPOSES, "torch", "cuda"])
def test_every_package_has_one_version_and_hashes(purpose):
    entries = locked(purpose)
    assert entries
    for requirement, hashes in entries:
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes)
    names = [requirement.name for requirement, _ in entries]
    if purpose in renew.PURPOSES:
        assert "torch" not in names
        assert not [name for name in names if name.startswith(("nvidia", "cuda", "triton"))]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.name)
def test_no_lock_names_a_place_to_fetch_from(path):
    assert not re.search(r"://|--(extra-)?index|--find-links|@ ", path.read_text())


@pytest.mark.parametrize("purpose", renew.PURPOSES)
def test_a_lock_holds_what_pyproject_asks_for(purpose):
    found = {canonicalize_name(r.name): str(r.specifier) for r, _ in locked(purpose)}
    for line in renew.requirements(PYPROJECT, purpose):
        asked = Requirement(line)
        name = canonicalize_name(asked.name)
        if name != "torch":
            assert found.get(name) == str(asked.specifier), f"{name} is {RENEW}"


def test_an_extra_of_our_own_is_spelt_out_and_never_looked_up():
    project = {
        "project": {
            "dependencies": ["numpy==1"],
            "optional-dependencies": {
                "test": ["pytest==2", "starwise[cluster, far]"],
                "cluster": ["redis==3"],
                "far": ["starwise[cluster]"],
            },
        }
    }
    asked = renew.requirements(project, "test")
    assert asked == ["numpy==1", "pytest==2", "redis==3", "redis==3"]


ENVIRONMENTS = [(*machine, python) for machine in renew.SYSTEMS for python in renew.PYTHONS]


def environment(system: str, machine: str, python: str) -> dict[str, str]:
    """Return what the markers of a requirement ask for, of another machine."""
    return {
        **default_environment(),
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[system],
        "platform_machine": machine,
        "python_version": python,
        "python_full_version": f"{python}.9",
    }


def torch_of_pyproject() -> str:
    (asked,) = (one for one in PYPROJECT["project"]["dependencies"] if renew.name(one) == "torch")
    return asked.partition("==")[2]


@pytest.mark.parametrize(("system", "machine", "python"), ENVIRONMENTS)
def test_torch_has_a_hash_for_every_python_and_machine(system, machine, python):
    version = torch_of_pyproject()
    build = f"{version}+cpu" if system == "linux" else version
    (entry,) = (
        (requirement, hashes)
        for requirement, hashes in locked("torch")
        if requirement.marker.evaluate(environment(system, machine, python))
    )
    assert str(entry[0].specifier) == f"=={build}", f"torch is {RENEW}"
    # The comment before it names the one file that this is the hash of.
    (digest,) = (one.removeprefix("sha256:") for one in entry[1])
    text = (FOLDER / "torch.txt").read_text()
    (file,) = re.findall(rf"# (torch-\S+\.whl)\n[^#]*{digest}", text)
    _, _, _, tags = parse_wheel_filename(file)
    kinds = {(tag.interpreter, tag.abi) for tag in tags}
    assert kinds == {(f"cp{python.replace('.', '')}",) * 2}
    kind = "manylinux" if system == "linux" else "macosx"
    assert all(tag.platform.startswith(kind) and tag.platform.endswith(machine) for tag in tags)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_torch_for_nvidia_is_the_same_version_and_brings_whatever_it_needs(machine):
    there = environment("linux", machine, "3.11")
    inside = {
        canonicalize_name(one.name): str(one.specifier)
        for one, _ in locked("cuda")
        if one.marker is None or one.marker.evaluate(there)
    }
    assert inside["torch"] == f"=={torch_of_pyproject()}", f"torch is {RENEW}"
    assert {"triton", "nvidia-cublas", "nvidia-cudnn-cu13"} <= set(inside)
    # No package comes twice, in two versions.
    assert not set(inside) & {canonicalize_name(one.name) for one, _ in locked("batch")}
    assert not [one for one, _ in locked("cuda") if one.marker.evaluate({"sys_platform": "darwin"})]


REGISTRY = {f"torch-9.9.0-cp3{p}-cp3{p}-macosx_14_0_arm64.whl": f"{p}" * 32 for p in range(11, 15)}


def page_of_wheels(path: Path, version: str, pythons: Sequence[int]) -> str:
    """Write a page as PyTorch has one, and return its address."""
    names = [
        f"torch-{version}%2Bcpu-cp3{python}-cp3{python}{free}-manylinux_2_28_{machine}.whl"
        for python in pythons
        for free in ("", "t")
        for machine in ("x86_64", "aarch64")
    ]
    names += [f"torch-{version}%2Bcpu-cp313-cp313-win_amd64.whl", "torch-9.8.0.whl"]
    links = (
        f'<a href="/whl/{one}#sha256={hashlib.sha256(one.encode()).hexdigest()}">' for one in names
    )
    path.write_text("".join(links))
    return path.as_uri()


def test_where_the_page_of_cpu_wheels_is_seen_each_python_and_machine_gets_its_line(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(renew, "registry_wheels", lambda requirement: REGISTRY)
    page = page_of_wheels(tmp_path / "torch.html", "9.9.0", range(10, 16))
    monkeypatch.setenv("STARWISE_CPU_WHEELS", page)
    lock = renew.torch_lock("torch==9.9.0")
    marks = re.findall(
        r"platform == '(\w+)' and platform_machine == '(\w+)' and python_version == '(3\.\d+)'",
        lock,
    )
    assert sorted(marks) == sorted(ENVIRONMENTS)
    assert lock.count("--hash") == len(ENVIRONMENTS) and "cp313t" not in lock


def test_a_torch_without_a_hash_for_some_python_changes_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(renew, "registry_wheels", lambda requirement: REGISTRY)
    page = page_of_wheels(tmp_path / "torch.html", "9.9.0", [11, 12, 14])
    monkeypatch.setenv("STARWISE_CPU_WHEELS", page)
    gap = "for Python 3.13 on linux x86_64, Python 3.13 on linux aarch64"
    with pytest.raises(SystemExit, match=f"No lock was changed: .* of torch 9.9.0 {gap}"):
        renew.torch_lock("torch==9.9.0")


def test_where_the_page_is_not_seen_the_known_hashes_stay(tmp_path, monkeypatch, capsys):
    version = torch_of_pyproject()
    ours = dict(
        re.findall(r"# (torch-\S+-macosx\S+\.whl)\n.*?sha256:(\w+)", renew.former("torch"), re.S)
    )
    monkeypatch.setattr(renew, "registry_wheels", lambda requirement: ours)
    monkeypatch.setenv("STARWISE_CPU_WHEELS", (tmp_path / "none.html").as_uri())
    assert renew.torch_lock(f"torch=={version}") == renew.former("torch")
    assert "cannot be seen" in capsys.readouterr().out


@pytest.mark.parametrize("purpose", [one for one in renew.PURPOSES if one != "cloud"])
def test_a_lock_holds_whatever_its_packages_need_in_turn(purpose):
    inside, asked = here(purpose), 0
    for name in inside:
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # of the group, but not installed here
        if f"=={metadata.version(name)}" != str(inside[name].specifier):
            continue  # of another version than the lock's, which may need others
        asked += 1
        for line in needs:
            need = Requirement(line)
            if need.marker and not need.marker.evaluate({"extra": ""}):
                continue
            needed = canonicalize_name(need.name)
            if needed == "torch":
                continue
            assert needed in inside, f"{purpose}: {name} needs {needed}, and this is {RENEW}"
            version = str(inside[needed].specifier).removeprefix("==")
            assert need.specifier.contains(version, prereleases=True), (purpose, name, line)
    assert asked > len(inside) / 2  # of the lock's versions, here


def imports_of_the_notebooks() -> list[str]:
    """Return what the notebooks 01 to 04 import, by the lines of their cells."""
    found = set()
    for path in sorted((project_root() / "notebooks").glob("0[1-4]_*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                found.update(re.findall(r"^(?:import|from) .+?(?=  #|$)", cell.source, re.M))
    return sorted(found)


# What each image starts, imported as a whole.
IMPORTED = {
    "api": [
        "import starwise.cli, starwise.api, starwise.score, starwise.store, uvicorn",
    ],
    "dashboard": [
        "import starwise.cli, starwise.dashboard.voila_app, starwise.dashboard.view",
    ],
    "batch": [
        "import starwise.cli, starwise.batch.series, starwise.batch.execute, papermill",
        # Imported inside functions, so that others go without them.
        "import pyarrow.parquet, scipy.optimize, starwise.language, py3langid",
        "from torch.utils.tensorboard import SummaryWriter",
        *imports_of_the_notebooks(),
    ],
}


@pytest.mark.parametrize("purpose", IMPORTED)
def test_an_image_imports_nothing_that_its_lock_lacks(purpose, tmp_path):
    # A finder in the first place says no to whatever the image would not have.
    inside = [*here(purpose), *([] if purpose == "dashboard" else ["torch"]), "starwise"]
    modules = metadata.packages_distributions()
    allowed = {
        module
        for module, owners in modules.items()
        if any(canonicalize_name(owner) in inside for owner in owners)
    }
    forbidden = sorted(set(modules) - allowed)
    script = (
        "import sys\n"
        f"forbidden = set({forbidden!r})\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in forbidden:\n"
        "            raise ModuleNotFoundError(f'no module {name}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n" + "\n".join(IMPORTED[purpose])
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
