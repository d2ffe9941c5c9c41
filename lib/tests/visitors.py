"""A served dashboard and a browser for it, and what a test asks of the page that is open."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO

import psutil
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from sqlalchemy import create_engine, text

from starwise.collect.browser import browser
from starwise.postgres import EmbeddedPostgres

AXE = files("axe_core_python") / "axe.min.js"


@dataclass
class Served:
    """A running `starwise dashboard`."""

    process: subprocess.Popen
    page: str
    api: str
    data: Path
    said: str  # on its standard output when it had started

    def rows(self) -> list:
        # By its socket, and not as one more process that wants the server to stay.
        address = f"postgresql+psycopg2://postgres@/postgres?host={self.data}/postgres"
        with create_engine(address).connect() as connection:
            return connection.execute(text("SELECT * FROM reviews ORDER BY created_at")).all()

    def kernels(self) -> list[psutil.Process]:
        """Return the visitors' kernels, those that wait for a visitor included."""
        everyone = psutil.Process(self.process.pid).children(recursive=True)
        forks = [process for process in everyone if _said(process, "forkserver")]
        return [process for process in forks if any(process.ppid() == one.pid for one in forks)]

    def service(self) -> psutil.Process:
        """Return the process that scores and stores."""
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if "api" in child.cmdline())

    def kill_postgres(self) -> None:
        """SIGKILL to the database's main process; its helpers notice and follow."""
        pid = int((self.data / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        until(lambda: not EmbeddedPostgres(self.data).is_running())

    def start_postgres(self) -> None:
        EmbeddedPostgres(self.data).start()


def _said(process: psutil.Process, word: str) -> bool:
    try:
        return word in " ".join(process.cmdline())
    except psutil.Error:
        return False


@contextmanager
def dashboard(outputs: Path, log: IO[str] | None = None, **settings: str) -> Iterator[Served]:
    """Run `starwise dashboard` on free ports with a new database; `log` takes its stderr."""
    data = Path(tempfile.mkdtemp(prefix="starwise-served-", dir="/tmp"))
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "STARWISE_API_URL", "STARWISE_ADMIN_TOKEN")
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "starwise", "dashboard", "--port=0", "--api-port=0"],
        env=environment | {"STARWISE_DATA": str(data), "STARWISE_OUTPUTS": str(outputs)} | settings,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        said = ""
        while "Ctrl-C stops both." not in said:
            line = process.stdout.readline()
            assert line, f"the dashboard did not start: {said}"
            said += line
        page, api = (
            re.search(rf"{what} at +(\S+)", said)[1] for what in ("dashboard is", "service is")
        )
        yield Served(process, page, api, data, said)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        process.stdout.close()
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """One dashboard for all tests: each leaves it as it found it."""
    with dashboard(tmp_path_factory.mktemp("outputs")) as running:
        yield running


@pytest.fixture(scope="session")
def window():
    """One browser for all tests."""
    with browser("", "--window-size=900,1000") as driver:
        yield driver


@pytest.fixture
def page(served, window):
    """The page as a new visitor sees it, in a tab of its own."""
    with tab(window):
        window.get_log("browser")  # what earlier tests provoked is theirs
        visit(window, served.page)
        yield window


@contextmanager
def tab(driver: WebDriver) -> Iterator[WebDriver]:
    first = driver.window_handles[0]
    driver.switch_to.new_window("tab")
    try:
        yield driver
    finally:
        for handle in driver.window_handles:
            if handle != first:
                driver.switch_to.window(handle)
                driver.close()
        driver.switch_to.window(first)


def visit(driver: WebDriver, url: str) -> None:
    driver.get(url)
    is_open(driver)


def is_open(driver: WebDriver) -> None:
    ready = "body:not(.sw-waiting) .starwise [role=radio]"
    until(lambda: driver.find_elements(By.CSS_SELECTOR, ready))


def until(holds: Callable[[], object], seconds: float = 60) -> object:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about in time")


def button(driver: WebDriver, name: str):
    return next(b for b in driver.find_elements(By.TAG_NAME, "button") if b.text == name)


def box(driver: WebDriver):
    return driver.find_element(By.TAG_NAME, "textarea")


def write(driver: WebDriver, words: str) -> None:
    """Put a text into the box as pasting does, whatever its letters are."""
    driver.execute_script(
        "const box = document.querySelector('textarea'); box.value = arguments[0];"
        "box.dispatchEvent(new InputEvent('input', {bubbles: true}))",
        words,
    )


def shown(driver: WebDriver, selector: str) -> str:
    """Return the text of the first such element, in one step: a page that changes as it is read
    would leave us holding an element that is gone."""
    script = "return document.querySelector(arguments[0])?.innerText ?? ''"
    return driver.execute_script(script, selector).strip()


def score(driver: WebDriver) -> int:
    """Return the points shown, -1 for none."""
    points = shown(driver, ".sw-number")
    return int(points.split()[0]) if points else -1


def stars(driver: WebDriver) -> int:
    script = """
        const checked = document.querySelector("[role=radio][aria-checked=true]");
        return checked ? parseInt(checked.getAttribute("aria-label")) : 0;
    """
    return driver.execute_script(script)


def notice(driver: WebDriver) -> str:
    script = """
        const lines = document.querySelectorAll(".sw-notice [role]");
        return [...lines].map((line) => line.textContent).join("");
    """
    return driver.execute_script(script)


def submit(driver: WebDriver) -> None:
    until(lambda: button(driver, "Submit").is_enabled())
    button(driver, "Submit").click()


def brand(driver: WebDriver) -> str:
    return re.fullmatch(r"What do you think of (.+)\?", shown(driver, "h1"))[1]


def resize(page, width: int, scheme: str = "light", height: int = 900) -> None:
    """Give the open page a size in pixels and a colour scheme."""
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},  # no colour on its way to another
    ]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def violations(page) -> list[str]:
    """Return what axe-core finds serious or critical on the open page, in words."""
    page.execute_script(AXE.read_text("utf-8"))
    found = page.execute_async_script(
        "const done = arguments[0]; axe.run().then((result) => done(result.violations))"
    )
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
