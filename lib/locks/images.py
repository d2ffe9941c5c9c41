"""Write the digests of the images that the containers stand on into images.env.

    ./run_all.sh lock              # after the locks of the packages
    python3 lib/locks/images.py    # the images alone, on any Python, without an environment

What a tag such as 3.11-slim-bookworm names changes whenever somebody builds it anew; a digest names
one image for good. The file is one of variables, for docker compose and for a shell:

    docker compose --env-file .env --env-file lib/locks/images.env up --detach
    (. lib/locks/images.env && docker build --build-arg "BASE=$STARWISE_BASE" --target api .)

The registry is asked by skopeo or by docker, which know where an image of that name lies. Both hand
out the manifest as it is, of all machines together, and its SHA-256 is the digest. Where neither
gets an answer, the known digest stays. STARWISE_BASE and STARWISE_POSTGRES_IMAGE, set, name other
images than compose.yaml does.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

FILE = Path(__file__).resolve().parent / "images.env"
COMPOSE = FILE.parents[2] / "compose.yaml"
WAYS = [
    ["skopeo", "inspect", "--raw", "docker://{}"],
    ["docker", "buildx", "imagetools", "inspect", "--raw", "{}"],
]
HEADING = """\
# The images that the containers stand on, each by its digest, which an engine compares.
# Made by ./run_all.sh lock for the names in compose.yaml; not to be edited.
"""


def main() -> int:
    """Ask for every image; say what was found, and what stays because nobody answered."""
    known, lines, unknown = pinned(), [], False
    for variable, name in names().items():
        digest, why = ask(name)
        if digest:
            print(f"{name} is {digest}.")
            lines += [f"# Asked of the registry on {date.today()}", f"{variable}={name}@{digest}"]
        elif f"{variable}={name}@" in known.get(variable, ""):
            print(f"{name} could not be asked for ({why}): the known digest stays.")
            lines.append(known[variable])
        else:
            print(f"{name} could not be asked for ({why}), and no digest of it is known.")
            unknown = True
    if not unknown:
        FILE.write_text(HEADING + "\n".join(lines) + "\n")
        print(f"The images are in {FILE}.")
    return int(unknown)


def names() -> dict[str, str]:
    """Return the images that compose.yaml takes from elsewhere, by the variable that names each."""
    found = re.findall(r"\$\{(STARWISE_(?:BASE|\w+_IMAGE)):-([^}]+)\}", COMPOSE.read_text())
    return {key: os.environ.get(key, name).partition("@")[0] for key, name in found}


def pinned() -> dict[str, str]:
    """Return what the file sets, by variable, each with the comment that says where it is from."""
    text = FILE.read_text() if FILE.exists() else ""
    found = re.findall(r"^(#.*\n(STARWISE_\w+)=.*)$", text, re.MULTILINE)
    return {variable: lines for lines, variable in found}


def ask(name: str) -> tuple[str, str]:
    """Return the digest of an image as its registry has it now, or nothing and why."""
    refusals = []
    for way in WAYS:
        if not shutil.which(way[0]):
            continue
        command = [word.format(name) for word in way]
        try:
            answer = subprocess.run(command, capture_output=True, timeout=60)
            manifest = json.loads(answer.stdout) if answer.returncode == 0 else {}
        except (subprocess.TimeoutExpired, ValueError) as error:
            refusals.append(f"{way[0]}: {error}")
            continue
        if manifest.get("schemaVersion") == 2:
            return f"sha256:{hashlib.sha256(answer.stdout).hexdigest()}", ""
        said = answer.stderr.decode(errors="replace").strip().splitlines() or ["no manifest came"]
        refusals.append(f"{way[0]}: {said[0][:300]}")
    return "", "; ".join(refusals) or "there is neither skopeo nor docker here"


if __name__ == "__main__":
    sys.exit(main())
