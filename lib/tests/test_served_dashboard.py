"""The served dashboard in a real browser, from the first letter to the row in the table."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from sqlalchemy import create_engine, text

from starwise.collect.browser import browser
from starwise.dashboard.brands import INVENTED
from starwise.postgres import EmbeddedPostgres

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MARKUP = "<img src=x onerror=\"document.title='pwned'\"> $x^2$ </textarea><script>1</script>"


@dataclass
class Served:
    """A running `starwise dashboard`."""

    process: subprocess.Popen
    page: str
    api: str
    data: Path

    def rows(self) -> list:
        # By its socket, and not as one more process that wants the server to stay.
        address = f"postgresql+psycopg2://postgres@/postgres?host={self.data}/postgres"
        with create_engine(address).connect() as connection:
            return connection.execute(text("SELECT * FROM reviews ORDER BY created_at")).all()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """`starwise dashboard` on free ports with a new database; at the end nothing may be left."""
    data = Path(tempfile.mkdtemp(prefix="starwise-served-", dir="/tmp"))
    outputs = tmp_path_factory.mktemp("outputs")
    environment = os.environ | {"STARWISE_DATA": str(data), "STARWISE_OUTPUTS": str(outputs)}
    for name in ("DATABASE_URL", "STARWISE_API_URL", "STARWISE_ADMIN_TOKEN"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "starwise", "dashboard", "--port=0", "--api-port=0"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = ""
    while "The service is at" not in said:
        line = process.stdout.readline()
        assert line, f"the dashboard did not start: {said}"
        said += line
    page, api = (
        re.search(rf"{what} at +(\S+)", said)[1] for what in ("dashboard is", "service is")
    )
    yield Served(process, page, api, data)
    if process.poll() is None:
        process.terminate()
        process.wait(30)
    shutil.rmtree(data, ignore_errors=True)


@pytest.fixture
def page(served):
    with browser() as driver:
        driver.get(served.page)
        until(lambda: driver.find_elements(By.CSS_SELECTOR, ".starwise [role=radio]"))
        yield driver


def until(holds: Callable[[], object], seconds: float = 30) -> object:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about in time")


def button(driver: WebDriver, name: str):
    return next(b for b in driver.find_elements(By.TAG_NAME, "button") if b.text == name)


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
    return shown(driver, ".sw-notice")


def test_a_visitor_writes_chooses_submits_and_the_row_is_there(served, page):
    before = len(served.rows())
    question = shown(page, "h1")
    brand = re.fullmatch(r"What do you think of (.+)\?", question)[1]
    assert brand in {brand.name for brand in INVENTED} and page.title == "Starwise"
    box = page.find_element(By.TAG_NAME, "textarea")
    assert not button(page, "Submit").is_enabled() and score(page) == -1

    box.send_keys("Excellent! Friendly people, quick delivery, I love it.")
    until(lambda: score(page) > 60 and stars(page) >= 4)
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys("Terrible. It arrived broken, nobody answers, I want my money back.")
    until(lambda: 0 <= score(page) < 40 and stars(page) <= 2)
    assert button(page, "Submit").is_enabled()

    page.find_element(By.CSS_SELECTOR, "[aria-label='3 stars']").click()
    until(lambda: "Your rating: 3 stars" in shown(page, ".sw-stars"))
    low = score(page)
    box.send_keys(Keys.CONTROL, "a")
    written = "Excellent! I love it. " + MARKUP
    box.send_keys(written)
    until(lambda: score(page) > low)
    assert stars(page) == 3, "stars that a visitor chose are not overwritten"

    submit = button(page, "Submit")
    page.execute_script("for (let i = 0; i < 3; i++) arguments[0].click()", submit)
    until(lambda: notice(page).startswith("Saved."))
    rows = served.rows()
    assert len(rows) == before + 1, "three clicks, one row"
    row = rows[-1]
    assert (row.brand, row.review, row.rating) == (brand, written, 3)
    assert abs(100 * row.sentiment - score(page)) <= 1 and row.suggested_rating in range(1, 6)

    assert box.get_attribute("value") == written and page.title == "Starwise"
    assert not page.find_elements(By.CSS_SELECTOR, ".starwise img[src=x], .starwise script")

    button(page, "Review another brand").click()
    until(lambda: shown(page, "h1") != question)
    until(lambda: box.get_attribute("value") == "" and score(page) == -1 and stars(page) == 0)
    assert not button(page, "Submit").is_enabled() and notice(page) == ""


def test_letters_typed_while_the_page_still_opens_stay(served):
    with browser() as driver:
        driver.get(served.page)
        box = until(lambda: driver.find_elements(By.CSS_SELECTOR, ".starwise textarea"))[0]
        driver.execute_script(
            "arguments[0].value = 'Lovely'; arguments[0].dispatchEvent(new Event('input'))", box
        )
        until(lambda: score(driver) >= 0)
        time.sleep(0.5)
        assert box.get_attribute("value") == "Lovely"


def test_the_keyboard_alone_reaches_everything(served, page):
    before = len(served.rows())
    named = []
    for _ in range(8):
        page.switch_to.active_element.send_keys(Keys.TAB)
        focus = page.switch_to.active_element
        named.append(focus.get_attribute("aria-label") or focus.text)
    assert named[1].startswith("Your review of ") and "Review another brand" in named

    page.find_element(By.TAG_NAME, "textarea").send_keys("Good value, kind people.")
    until(lambda: stars(page))
    page.switch_to.active_element.send_keys(Keys.TAB)
    page.switch_to.active_element.send_keys(Keys.HOME)
    until(lambda: stars(page) == 1)
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    until(lambda: stars(page) == 2)
    for wanted in ("Use the suggestion", "Submit"):
        page.switch_to.active_element.send_keys(Keys.TAB)
        assert page.switch_to.active_element.text.startswith(wanted)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    until(lambda: notice(page).startswith("Saved."))
    assert [row.rating for row in served.rows()[before:]] == [2]
    until(lambda: page.switch_to.active_element.text == "Review another brand")


def test_only_the_dashboard_is_on_the_page_and_nothing_comes_from_elsewhere(served, page):
    said = page.find_element(By.TAG_NAME, "body").text
    assert said.startswith("Starwise\nWhat do you think of ")
    assert page.find_elements(By.TAG_NAME, "textarea")[1:] == []
    entries = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    elsewhere = [
        url for url in page.execute_script(entries) if not url.startswith((served.page, "data:"))
    ]
    assert elsewhere == []
    errors = [line for line in page.get_log("browser") if line["level"] == "SEVERE"]
    assert errors == []
    for width in (320, 1280):
        page.set_window_size(width, 800)
        assert page.execute_script("return document.body.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(
    "path",
    [
        "/?template=nonexistent",
        "/05_dashboard.ipynb",
        "/voila/files/05_dashboard.ipynb",
        "/voila/files/../lib/pyproject.toml",
        "/.env",
        "/voila/tree",
        "/api/contents",
    ],
)
def test_nothing_but_the_page_is_served(served, path):
    try:
        with urllib.request.urlopen(served.page + path, timeout=20) as answer:
            body = answer.read().decode()
        assert path.startswith("/?template") and "What do you think" not in body
    except urllib.error.HTTPError as refused:
        assert refused.code in (403, 404)
        assert "Traceback" not in refused.read().decode()


def test_the_page_is_refused_twice_on_a_port_in_words(served):
    port = served.page.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "starwise", "dashboard", f"--port={port}", "--api-port=0"]
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.returncode == 2
    assert again.stderr == (
        f"starwise dashboard: port {port} is in use on 127.0.0.1: "
        "stop the other program, or choose another port.\n"
    )


def is_kernel(process: psutil.Process) -> bool:
    try:
        return "ipykernel_launcher" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def test_closed_tabs_leave_no_kernel_and_sigterm_leaves_nothing(served):
    launcher = psutil.Process(served.process.pid)

    def kernels() -> int:
        return sum(map(is_kernel, launcher.children(recursive=True)))

    with browser() as driver:
        before = kernels()
        driver.get(served.page)
        until(lambda: driver.find_elements(By.CSS_SELECTOR, ".starwise [role=radio]"))
        assert kernels() == before + 1
        driver.get("about:blank")
        until(lambda: kernels() == before)

    family = [launcher, *launcher.children(recursive=True)]
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    assert not EmbeddedPostgres(served.data).is_running()
    for url in (served.page, served.api):
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=2)
