"""Write the lock files of this folder: every package of an environment, with version and hashes.

    ./run_all.sh lock                 # all of them, from lib/pyproject.toml; then see images.py
    ./run_all.sh lock --upgrade       # also newer versions of what pyproject.toml does not pin

One file for each of `PURPOSES`, for Linux and macOS and every Python of `PYTHONS`, made by uv. None
of them holds torch: on Linux the torch of the package registry wants NVIDIA's libraries, several
GB, and the small one lies on PyTorch's own page of CPU wheels. So torch stands apart, as the small
one in `torch.txt` and as the large one in `cuda.txt`, and is installed beside the rest:

    pip install --no-deps --require-hashes --find-links CPU_WHEELS -r lib/locks/torch.txt
    pip install --no-deps --require-hashes -r lib/locks/batch.txt
    pip install --no-deps ./lib

The hashes of `torch.txt` come, for macOS, from the package registry and, for Linux, from PyTorch's
page. STARWISE_CPU_WHEELS names another page of such links, or a folder of wheels; where neither is
to be seen, the hashes that the file has of the same version stay. Nothing is written unless every
Python and machine has its torch, and uv, asked for each of them, takes every file of every lock by
its hash and without building anything.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

FOLDER = Path(__file__).resolve().parent
PURPOSES = {
    "api": "For the service.",
    "dashboard": "For the page, which needs no torch.",
    "batch": "For a run of the notebooks 01 to 04 in a container.",
    "test": "For everything and for the tests.",
    "cloud": "For the checkers of `run_all.sh test --cloud`, in an environment of their own.",
}
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
SYSTEMS = {  # sys_platform and platform_machine: what uv calls the oldest of the kind
    ("linux", "x86_64"): "x86_64-manylinux_2_28",
    ("linux", "aarch64"): "aarch64-manylinux_2_28",
    ("darwin", "arm64"): "aarch64-apple-darwin",
}
MACOS = "14.0"  # the oldest that torch has wheels for
CPU_WHEELS = "https://download.pytorch.org/whl/cpu/torch/"
WHEEL = re.compile(
    r"torch-([\w.+]+)-cp3(\d+)-cp3\d+-(manylinux|macosx)_[\d_]+_(x86_64|aarch64|arm64)\.whl"
)
FOR_NVIDIA = re.compile(r"(?:nvidia-|cuda-|triton)[\w.-]*")


def main(arguments: Sequence[str] | None = None) -> int:
    """Renew every lock file; the former ones stay when anything fails."""
    parser = argparse.ArgumentParser(prog="run_all.sh lock", description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="newer versions where none is named")
    upgrade = parser.parse_args(arguments).upgrade
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())
    (torch,) = (line for line in project["project"]["dependencies"] if name(line) == "torch")
    locks = {"torch": torch_lock(torch)}
    print("cuda.txt ...", flush=True)
    locks["cuda"] = cuda_lock(torch, "" if upgrade else former("cuda"))
    unwanted = re.findall(rf"^{FOR_NVIDIA.pattern}(?===)", locks["cuda"], flags=re.MULTILINE)
    for purpose, about in PURPOSES.items():
        print(f"{purpose}.txt ...", flush=True)
        known = "" if upgrade else former(purpose)
        locks[purpose] = heading(about) + compiled(requirements(project, purpose), unwanted, known)
    try_all({purpose: text for purpose, text in locks.items() if purpose != "torch"})
    for purpose, text in locks.items():
        (FOLDER / f"{purpose}.txt").write_text(text)
    print(f"{len(locks)} files are in {FOLDER}.")
    return subprocess.run([sys.executable, "-P", FOLDER / "images.py"]).returncode


def former(purpose: str) -> str:
    """Return the lock file as it is, or nothing."""
    path = FOLDER / f"{purpose}.txt"
    return path.read_text() if path.exists() else ""


def requirements(project: dict, purpose: str) -> list[str]:
    """Return the requirements of one purpose: all and the tests', an extra alone, or a group.

    A group of pyproject.toml names packages only; their versions are those of the dependencies.
    """
    dependencies, extras = (
        project["project"][key] for key in ("dependencies", "optional-dependencies")
    )
    if purpose == "test":
        return dependencies + spelt_out(extras[purpose], extras)
    if purpose in extras:
        return spelt_out(extras[purpose], extras)
    pinned = {name(line): line for line in dependencies}
    return [pinned[name(line)] for line in project["dependency-groups"][purpose]]


def spelt_out(lines: list[str], extras: dict[str, list[str]]) -> list[str]:
    """Return requirements with those of our own extras in the place of `starwise[extra]`.

    Nobody but us knows of these, and a package of our name elsewhere would not be ours.
    """
    found = []
    for line in lines:
        ours = re.fullmatch(r"starwise\[([\w, -]+)\]", line)
        if ours:
            for extra in re.split(r", *", ours[1]):
                found += spelt_out(extras[extra], extras)
        else:
            found.append(line)
    return found


def name(requirement: str) -> str:
    """Return the normalised name of the package that a requirement asks for."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def uv(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Run uv, which reads no settings of this machine but its variables."""
    command = [sys.executable, "-m", "uv", "--no-config", "pip", *arguments]
    return subprocess.run(command, text=True, **options)


def compiled(asked: list[str], unwanted: list[str], known: str) -> str:
    """Return what uv makes of requirements; versions in the lock `known` stay where they fit."""
    with tempfile.TemporaryDirectory() as folder:
        excluded, written = Path(folder) / "excluded.txt", Path(folder) / "lock.txt"
        excluded.write_text("\n".join(unwanted))
        written.write_text(known)
        options = ["--quiet", "--universal", "--python-version", PYTHONS[0], "--generate-hashes"]
        options += ["--no-header", "--no-emit-index-url", "--output-file", str(written)]
        if unwanted:
            options += ["--excludes", str(excluded), "--no-emit-package", "torch"]
        uv("compile", "-", *options, input="\n".join(asked), check=True)
        text = written.read_text().replace("via -r -", "via lib/pyproject.toml")
        return text.partition("\n# The following packages were excluded")[0].rstrip() + "\n"


def cuda_lock(requirement: str, known: str) -> str:
    """Return the lock of torch for NVIDIA's cards, with what it brings that no other lock has."""
    entries = re.findall(
        r"^[\w.-]+==.*(?:\n +.*)*", compiled([requirement], [], known), re.MULTILINE
    )
    lines = []
    for entry in entries:
        if entry.startswith("torch=="):
            lines.append(entry.replace(" \\", " ; sys_platform == 'linux' \\", 1))
        elif FOR_NVIDIA.match(entry):
            lines.append(entry)
    return heading("torch with NVIDIA's libraries, for Linux.") + "\n".join(lines) + "\n"


def torch_lock(requirement: str) -> str:
    """Return the lock of torch: CPU wheels on Linux, the registry's, which are small, on macOS."""
    version = requirement.partition("==")[2]
    known = re.findall(r"# (torch-\S+\.whl)\n.*?sha256:(\w+)", former("torch"), re.DOTALL)
    wheels = dict(known) | cpu_wheels() | registry_wheels(requirement)
    lines, found = (
        [heading("torch without NVIDIA's libraries, for Linux and macOS.").rstrip()],
        set(),
    )
    for wheel, digest in sorted(wheels.items()):
        fits = WHEEL.fullmatch(wheel)
        if not fits:
            continue
        build, python, kind, machine = fits.groups()
        system = "darwin" if kind == "macosx" else "linux"
        wanted = version if system == "darwin" else f"{version}+cpu"
        if build != wanted or f"3.{python}" not in PYTHONS:
            continue
        found.add((f"3.{python}", system, machine))
        lines += [
            f"# {wheel}",
            f"torch=={build} ; sys_platform == '{system}' and platform_machine == '{machine}' "
            f"and python_version == '3.{python}' \\\n    --hash=sha256:{digest}",
        ]
    gaps = [
        f"Python {python} on {system} {machine}"
        for python in PYTHONS
        for system, machine in SYSTEMS
        if (python, system, machine) not in found
    ]
    if gaps:
        raise SystemExit(
            f"No lock was changed: there is no hash of torch {version} for {', '.join(gaps)}. "
            f"Start this where {CPU_WHEELS} can be seen, or name a copy of that page (file://...) "
            "or a folder of the wheels in STARWISE_CPU_WHEELS."
        )
    return "\n".join(lines) + "\n"


def registry_wheels(requirement: str) -> dict[str, str]:
    """Return file names and SHA-256 of what the package registry has of one version."""
    options = ["--quiet", "--universal", "--python-version", PYTHONS[0], "--no-deps"]
    answer = uv(
        *("compile", "-", *options, "--format", "pylock.toml"),
        input=requirement,
        check=True,
        stdout=subprocess.PIPE,
    )
    (package,) = tomllib.loads(answer.stdout)["packages"]
    return {
        unquote(wheel["url"]).rpartition("/")[2]: wheel["hashes"]["sha256"]
        for wheel in package["wheels"]
    }


def try_all(locks: dict[str, str]) -> None:
    """Have uv choose the files of every lock for every Python and machine; nothing is fetched."""
    with tempfile.TemporaryDirectory() as folder:
        for purpose, text in locks.items():
            print(f"{purpose}.txt for {len(PYTHONS) * len(SYSTEMS)} environments ...", flush=True)
            path = Path(folder) / f"{purpose}.txt"
            path.write_text(text)
            for (system, machine), called in SYSTEMS.items():
                for python in PYTHONS:
                    options = ["--dry-run", "--no-deps", "--require-hashes", "--only-binary=:all:"]
                    options += ["--python-platform", called, "--python-version", python]
                    answer = uv(
                        *("install", *options, "--target", f"{folder}/none", "-r", str(path)),
                        env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": MACOS},
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                    )
                    if answer.returncode:
                        raise SystemExit(
                            f"No lock was changed: {purpose}.txt does not install with Python "
                            f"{python} on {system} {machine}.\n{answer.stdout}"
                        )


def cpu_wheels() -> dict[str, str]:
    """Return file names and SHA-256 of the CPU wheels for Linux, as far as they can be seen."""
    source = os.environ.get("STARWISE_CPU_WHEELS", CPU_WHEELS)
    if Path(source).is_dir():
        files = [path for path in Path(source).iterdir() if WHEEL.fullmatch(path.name)]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    try:
        with urllib.request.urlopen(source, timeout=30) as answer:
            links = re.findall(r'href="([^"#]+)#sha256=(\w{64})"', answer.read().decode())
    except (urllib.error.URLError, OSError) as error:
        print(f"The page of torch's CPU wheels cannot be seen ({error}): the known hashes stay.")
        return {}
    return {unquote(link).rpartition("/")[2]: digest for link, digest in links}


def heading(about: str) -> str:
    """Return the comment at the top of a lock file."""
    return f"# {about}\n# Made by ./run_all.sh lock from lib/pyproject.toml; not to be edited.\n"


if __name__ == "__main__":
    sys.exit(main())
