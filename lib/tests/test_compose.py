"""compose.yaml: valid, without a secret, and what it says runs: a typed review reaches Postgres."""

import os
import re
import shutil
import stat
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack

import pytest
import yaml
from compose import RefusedError, read_compose, read_env, stage
from debian import programs
from selenium.webdriver.common.by import By
from sqlalchemy import create_engine, text
from test_proxy import SCORE, free_port, until

from starwise.collect.browser import browser

OURS = {"api", "dashboard", "dashboard-2", "proxy", "batch"}


@pytest.fixture
def somewhere(project, tmp_path):
    """A folder with a space in its name, and what `./run_all.sh env` needs in it."""
    folder = tmp_path / "star wise"
    folder.mkdir()
    for name in ("run_all.sh", ".env.example"):
        shutil.copy(project / name, folder)
    return folder


def make_env(folder):
    # Not a word of the tests' own environment: the command has to do without one.
    return subprocess.run(
        [folder / "run_all.sh", "env"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture
def env(somewhere):
    assert make_env(somewhere).returncode == 0
    return read_env(somewhere / ".env")


def test_the_file_is_valid_by_the_schema_of_compose(project):
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    answer = subprocess.run(
        [sys.executable, *command, str(project / "compose.yaml")], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_one_command_makes_secrets_that_nobody_else_has_or_reads(somewhere):
    assert make_env(somewhere).returncode == 0
    file = somewhere / ".env"
    first = read_env(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secrets = first["STARWISE_DB_PASSWORD"], first["STARWISE_ADMIN_TOKEN"]
    assert all(re.fullmatch(r"[0-9a-f]{48}", secret) for secret in secrets)
    assert secrets[0] != secrets[1]
    file.unlink()
    assert make_env(somewhere).returncode == 0
    assert not set(secrets) & set(read_env(file).values())
    assert sorted(path.name for path in somewhere.iterdir()) == [
        ".env", ".env.example", "run_all.sh",
    ]  # fmt: skip


@pytest.mark.parametrize("there", ["a file", "a link to nowhere"])
def test_secrets_that_are_there_are_not_written_over(somewhere, there):
    file = somewhere / ".env"
    if there == "a file":
        file.write_text("STARWISE_DB_PASSWORD=mine\n")
    else:
        file.symlink_to(somewhere / "elsewhere")
    answer = make_env(somewhere)
    assert answer.returncode == 1 and "there already" in answer.stderr
    assert there != "a file" or read_env(file) == {"STARWISE_DB_PASSWORD": "mine"}
    assert not (somewhere / "elsewhere").exists()


def test_without_secrets_or_with_the_examples_nothing_starts(project):
    for given in ({}, read_env(project / ".env.example")):
        with pytest.raises(RefusedError, match=r"make \.env with \./run_all\.sh env"):
            read_compose(project / "compose.yaml", given)


def test_the_file_holds_no_secret_and_gives_each_to_who_needs_it(project, env):
    raw = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    for name, service in raw.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|DATABASE_URL", variable):
                assert ":?" in value, f"{name}: {variable} has a value that would do without .env"
    services = read_compose(project / "compose.yaml", env)["services"]
    told = {name: str(service) for name, service in services.items()}
    knows = {name for name, words in told.items() if env["STARWISE_DB_PASSWORD"] in words}
    assert knows == {"db", "api", "admin"}
    knows = {name for name, words in told.items() if env["STARWISE_ADMIN_TOKEN"] in words}
    assert knows == {"api", "admin"}


def test_only_the_dashboards_port_is_published_and_to_this_machine_only(project, env):
    services = read_compose(project / "compose.yaml", env)["services"]
    started = {name for name, service in services.items() if not service.get("profiles")}
    assert started == {"db", "api", "dashboard"}
    published = {name: services[name]["ports"] for name in started if "ports" in services[name]}
    assert published == {"dashboard": ["127.0.0.1:8866:8866"]}
    assert services["batch"]["profiles"] == ["batch"]
    assert services["admin"]["profiles"] == ["admin"]
    assert services["admin"]["ports"] == ["127.0.0.1:8000:8000"]
    assert "dashboard" not in str(services["db"]["networks"] + services["batch"]["networks"])
    assert not {"store"} & {*services["dashboard"]["networks"], *services["proxy"]["networks"]}


def test_each_part_is_limited_restarted_and_waits_for_the_health_of_what_it_needs(project, env):
    services = read_compose(project / "compose.yaml", env)["services"]
    for name, service in services.items():
        assert service["mem_limit"] and service["cpus"], name
        assert service["restart"] == ("no" if name == "batch" else "unless-stopped")
        for other, wish in service.get("depends_on", {}).items():
            assert wish["condition"] == "service_healthy"
            healthy = (
                services[other].get("healthcheck")
                or stage(project / "Dockerfile", services[other]["build"]["target"]).health
            )
            assert healthy, f"{name} waits for {other}, which cannot say how it is"
    assert {"db"} == set(services["api"]["depends_on"])
    assert {"api"} == set(services["dashboard"]["depends_on"])
    for name in OURS:
        service = services[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["build"]["target"] == service["image"].removeprefix("starwise-")


@pytest.mark.slow
@pytest.mark.browser
def test_a_review_typed_in_a_browser_arrives_in_postgres_over_tcp_with_its_password(
    project, env, debian_postgres, tmp_path
):
    """The three services as processes: compose.yaml's environment, the Dockerfile's commands.

    Only the addresses differ, `db:5432` and `api:8000` being ports of this machine here.
    """
    services = read_compose(project / "compose.yaml", env)["services"]
    given = services["db"]["environment"]
    user, database, password = (given[f"POSTGRES_{what}"] for what in ("USER", "DB", "PASSWORD"))
    administrator = create_engine(
        debian_postgres.address().replace("postgresql:", "postgresql+psycopg2:"),
        isolation_level="AUTOCOMMIT",
    )
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'"))
        connection.execute(text(f"CREATE DATABASE {database} OWNER {user}"))
    ports = {"db:5432": debian_postgres.port, "api:8000": free_port(), "dashboard": free_port()}

    def here(words: str) -> str:
        for name in ("db:5432", "api:8000"):
            words = words.replace(name, f"127.0.0.1:{ports[name]}")
        return words

    def healthy(command: list[str], port: int, was: str) -> bool:
        words = [word.replace(was, str(port)) for word in command]
        words[0] = words[0].replace("python3", sys.executable)
        clean = {"PATH": os.environ["PATH"], "PGPORT": str(port), **python}
        return subprocess.run(words, env=clean, capture_output=True).returncode == 0

    # What the images set, and no variable of the tests' own.
    python = {"PYTHONPATH": str(project / "lib"), "PYTHONSAFEPATH": "1", "HOME": str(tmp_path)}
    check = services["db"]["healthcheck"]["test"]
    assert check[:2] == ["CMD", "pg_isready"]
    assert healthy([str(programs() / "pg_isready"), *check[2:]], ports["db:5432"], "5432")

    logs = {}
    try:
        with ExitStack() as stack:
            for name, was, port in (
                ("api", "8000", ports["api:8000"]),
                ("dashboard", "8866", ports["dashboard"]),
            ):
                image = stage(project / "Dockerfile", services[name]["build"]["target"])
                command = [*image.entrypoint, *(services[name].get("command") or image.command)]
                command = [word.replace(was, str(port)) for word in command]
                environment = services[name]["environment"]
                environment = {key: here(value) for key, value in environment.items()}
                assert command[0] == "python3"
                logs[name] = tmp_path / f"{name}.log"
                process = subprocess.Popen(
                    [sys.executable, *command[1:]],
                    cwd=tmp_path,
                    env={"PATH": os.environ["PATH"], "STARWISE_OUTPUTS": str(tmp_path), **python}
                    | environment,
                    stdout=stack.enter_context(open(logs[name], "w")),
                    stderr=subprocess.STDOUT,
                )
                stack.callback(process.wait, 30)
                stack.callback(process.terminate)
                # As depends_on has it: the next one starts when this one is healthy.
                until(lambda i=image, p=port, w=was: healthy(i.health, p, w), 90)

            written = "Excellent! Friendly people, and it came a day early."
            with browser() as driver:
                driver.get(f"http://127.0.0.1:{ports['dashboard']}/")
                box = until(lambda: driver.find_elements(By.CSS_SELECTOR, ".starwise textarea"))[0]
                box.send_keys(written)
                until(lambda: driver.execute_script(SCORE).strip())
                submit = (
                    "[...document.querySelectorAll('button')].find(b => b.innerText == 'Submit')"
                )
                until(lambda: driver.execute_script(f"return !({submit}).disabled"))
                driver.execute_script(f"({submit}).click()")
                notice = "return document.querySelector('.sw-notice')?.innerText ?? ''"
                until(lambda: driver.execute_script(notice).startswith("Saved"))

            address = here(services["api"]["environment"]["DATABASE_URL"])
            engine = create_engine(address.replace("postgresql:", "postgresql+psycopg2:"))
            with engine.connect() as connection:
                row = connection.execute(text("SELECT * FROM reviews")).one()
            engine.dispose()
            assert row.review == written and 0 <= row.sentiment <= 1

            token = services["api"]["environment"]["STARWISE_ADMIN_TOKEN"]
            asked = urllib.request.Request(
                f"http://127.0.0.1:{ports['api:8000']}/api/reviews",
                headers={"Authorization": f"Bearer {token}"},
            )
            with urllib.request.urlopen(asked, timeout=10) as answer:
                assert written in answer.read().decode()
        for name, log in logs.items():
            said = log.read_text()
            assert password not in said and token not in said, f"{name} told a secret"
    finally:
        time.sleep(0.5)  # the closed connections are gone
        with administrator.connect() as connection:
            connection.execute(text(f"DROP DATABASE {database} WITH (FORCE)"))
            connection.execute(text(f"DROP ROLE {user}"))
        administrator.dispose()
