"""The Dockerfile's images: linted always; built and run with `./run_all.sh test --images`.

The four builds take some minutes and some 5 GB of disk the first time.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import pytest
from containers import Builder, Image
from selenium.webdriver.common.by import By
from sqlalchemy import create_engine, text
from test_proxy import SCORE, ask, free_port, until

from starwise.collect.browser import browser
from starwise.paths import Outputs
from starwise.store import Store

LIMITS = {"dashboard": 400, "api": 900, "batch": 1600, "proxy": 100}  # MB over the base
CANARY = "canary-that-must-stay-outside"


def test_the_linter_has_nothing_to_say_about_the_dockerfile(project):
    hadolint = Path(sys.executable).with_name("hadolint")
    answer = subprocess.run(
        [hadolint, "--no-color", project / "Dockerfile"], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_target_locks_what_it_installs(project):
    stages = (project / "Dockerfile").read_text()
    for target in ("api", "dashboard", "batch"):
        assert f"install.sh {target}\n" in stages
        assert (project / "lib" / "locks" / f"{target}.txt").is_file()
    assert "ARG BASE" in stages and "FROM ${BASE} AS base" in stages


@pytest.fixture(scope="module")
def builder(request, project, tmp_path_factory):
    if not request.config.getoption("--images"):
        pytest.skip("slow: building the images is asked for with ./run_all.sh test --images")
    folder = tmp_path_factory.mktemp("images")
    context = folder / "context"
    ignored = shutil.ignore_patterns(".venv", ".conda", ".cloud", ".git", "outputs", "__pycache__")
    shutil.copytree(project, context, ignore=ignored)
    # What lies about in a folder that is used, and must not get into an image.
    for place in (".env", "lib/.env", "outputs/note.txt", "lib/starwise/.env.local"):
        (context / place).parent.mkdir(exist_ok=True)
        (context / place).write_text(CANARY)
    builder = Builder(context, folder)
    yield builder
    builder.remove()


@pytest.fixture(scope="module")
def images(builder) -> dict[str, Image]:
    built = {target: builder.build(target) for target in LIMITS}
    for target, image in built.items():
        print(f"\n{target}: {image.size / 1e6:.0f} MB over its base, {image.seconds:.0f} s")
    return built


def test_each_image_is_as_small_as_its_work_allows(images):
    for target, image in images.items():
        assert image.size < LIMITS[target] * 1e6, f"{target}: {image.size / 1e6:.0f} MB"
    packages = {
        target: {path.name for path in image.root.glob("opt/starwise/lib/python3*/site-packages/*")}
        for target, image in images.items()
    }
    assert not packages["dashboard"] & {"torch", "pandas", "numpy", "sqlalchemy", "pip"}
    assert "torch" in packages["api"] and not packages["api"] & {"voila", "pandas", "pip"}
    browsers = {
        name for name, image in images.items() if image.root.joinpath("usr/bin/chromium").exists()
    }
    assert browsers == {"batch"}


def test_no_image_is_root_and_no_layer_holds_what_lay_about_in_the_folder(images, builder):
    assert (builder.folder / "pip.conf").exists()
    for target, image in images.items():
        assert image.settings["User"] == "1000"
        assert CANARY not in json.dumps(image.settings)
        assert len(image.layers) > 3
        ours = [path for layer in image.layers for path in layer.glob("app/**/*")]
        assert ours
        for path in ours:
            assert path.name not in (".env", "note.txt", ".env.local", "tests")
            if path.is_file():
                assert CANARY.encode() not in path.read_bytes(), f"{target}: {path}"
        for layer in image.layers:
            for place in ("etc/pip.conf", "root/.config/pip/pip.conf", "tmp/.config/pip/pip.conf"):
                left = layer / place
                assert not left.exists() or left.read_bytes() == b"", (
                    "how this machine gets packages"
                )


def test_each_image_that_serves_says_how_to_ask_for_its_health(images):
    for target in ("api", "dashboard", "proxy"):
        assert images[target].health[0] == "python3"
    assert images["batch"].settings["Healthcheck"]["Test"] == ["NONE"]


def test_the_service_scores_and_stores_and_the_page_serves_behind_the_proxy(
    images, debian_postgres, tmp_path
):
    api, page, https, http = (free_port() for _ in range(4))
    database = debian_postgres.new_database()
    service = {"DATABASE_URL": database, "STARWISE_ADMIN_TOKEN": "token"}
    to_service = {"STARWISE_API_URL": f"http://127.0.0.1:{api}"}

    def moved(image: Image, was: int, port: int) -> list[str]:
        """Return the image's own check of its health, on the port that it has here."""
        return [word.replace(str(was), str(port)) for word in image.health]

    command = [word.replace("8000", str(api)) for word in images["api"].settings["Cmd"]]
    with images["api"].run(tmp_path / "api.log", command, service):
        check = moved(images["api"], 8000, api)
        until(lambda: images["api"].ask(check) == 0, 120)
        asked = urllib.request.Request(
            f"http://127.0.0.1:{api}/api/predict",
            json.dumps({"review": "Terrible. It arrived broken and nobody answers."}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert json.load(answer)["label"] == "bad"

        command = [word.replace("8866", str(page)) for word in images["dashboard"].settings["Cmd"]]
        proxied = [
            "proxy",
            f"--port={https}",
            f"--plain-port={http}",
            f"--dashboard=127.0.0.1:{page}",
        ]
        with (
            images["dashboard"].run(tmp_path / "page.log", command, to_service),
            images["proxy"].run(tmp_path / "proxy.log", proxied),
        ):
            check = moved(images["dashboard"], 8866, page)
            until(lambda: images["dashboard"].ask(check) == 0, 120)
            check = [*images["proxy"].health, f"--port={https}"]
            until(lambda: images["proxy"].ask(check) == 0, 60)
            assert ask(https, "/health")[0] == 200
            with browser("", "--ignore-certificate-errors") as driver:
                driver.get(f"https://127.0.0.1:{https}/")
                box = until(lambda: driver.find_elements(By.CSS_SELECTOR, ".starwise textarea"))[0]
                box.send_keys("Excellent, I love it.")
                until(lambda: driver.execute_script(SCORE).strip())
                submit = (
                    "[...document.querySelectorAll('button')].find(b => b.innerText == 'Submit')"
                )
                until(lambda: driver.execute_script(f"return !({submit}).disabled"))
                driver.execute_script(f"({submit}).click()")
                notice = "return document.querySelector('.sw-notice')?.innerText ?? ''"
                until(lambda: driver.execute_script(notice).startswith("Saved"))
    engine = create_engine(database.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.connect() as connection:
        assert (
            connection.execute(text("SELECT review FROM reviews")).one()[0]
            == "Excellent, I love it."
        )
    engine.dispose()


def test_the_image_of_the_service_backs_the_reviews_up_and_restores_them(
    images, debian_postgres, tmp_path
):
    backups = tmp_path / "backups"
    backups.mkdir()
    os.chown(backups, 1000, 1000)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    address = debian_postgres.new_database()
    store = Store(address, connections=1)

    def starwise(*arguments: str) -> str:
        """Run a command of the image as the README has docker compose run it; return its words."""
        log = tmp_path / f"{arguments[0]}.log"
        environment, mounts = {"DATABASE_URL": address}, {"/mnt": backups}
        with images["api"].run(log, arguments, environment, mounts) as process:
            assert process.wait(120) == 0, log.read_text()
        return log.read_text()

    store.save(id=uuid.uuid4(), brand="Lamp", review="Lovely.", rating=5)
    (kept,) = store.everything()
    assert "1 review written to /mnt/reviews.jsonl.gz" in starwise(
        "backup", "/mnt/reviews.jsonl.gz"
    )
    assert (backups / "reviews.jsonl.gz").stat().st_mode & 0o777 == 0o600
    store.delete(kept.id)
    assert "1 restored" in starwise("restore", "/mnt/reviews.jsonl.gz")
    assert list(store.everything()) == [kept]
    assert "0 reviews older than 30 days" in starwise("prune", "--older-than", "30")
    store.close()


def test_an_image_that_is_asked_too_early_or_is_gone_is_not_healthy(images):
    check = [word.replace("8000", str(free_port())) for word in images["api"].health]
    assert images["api"].ask(check) != 0


def test_the_root_file_system_is_read_only_and_the_user_has_no_rights(images):
    for image in images.values():
        assert image.ask(["sh", "-c", "touch /app/x || touch /opt/x || touch /etc/x"]) != 0
        assert image.ask(["sh", "-c", "touch /tmp/x && test $(id -u) = 1000"]) == 0
        assert image.ask(["grep", "-q", "^CapBnd:.0*$", "/proc/self/status"]) == 0


def test_the_batch_run_collects_with_its_browser_and_labels(images, tmp_path):
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    os.chown(outputs, 1000, 1000)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    small = ["-p", "01_collect.companies", "40", "-p", "01_collect.reviews", "2000"]
    log, began = tmp_path / "batch.log", time.monotonic()
    with images["batch"].run(
        log, ["run", "--to", "2", *small], mounts={"/app/outputs": outputs}
    ) as process:
        assert process.wait(600) == 0, log.read_text()[-3000:]
    print(f"\nnotebooks 01 and 02 in their container: {time.monotonic() - began:.0f} s")
    written = Outputs(outputs)
    assert written.companies.is_file() and written.labelled.is_file()
    assert (written.notebooks / "02_label.ipynb").stat().st_uid == 1000
