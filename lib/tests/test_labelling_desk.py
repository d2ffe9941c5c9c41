"""The labelling desk in a real browser, served by a real Voila and in a real JupyterLab."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from starwise.collect.browser import browser
from starwise.label.journal import Journal

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MARKUP = (
    "<img src=x onerror=\"document.title='pwned'\"> $x^2$ </script><b>so</b>\nand a second line"
)
NOTEBOOK = f"""
import pandas as pd
from starwise.labeller import Desk, DeskView
reviews = pd.DataFrame({{"id": [f"r{{n}}" for n in range(6)], "label": "good"}})
reviews["text"] = "Review number " + reviews["id"]
reviews.loc[0, "text"] = {MARKUP!r}
reviews.loc[4, "text"] = "Very " * 400
DeskView(Desk(reviews, "labels.jsonl"))
"""


def until(condition: Callable, seconds: float = 60):
    """Wait until a condition holds, and return what it gave."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := condition():
                return found
        except StaleElementReferenceException:
            pass
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = new_notebook(cells=[new_code_cell(NOTEBOOK)], metadata=kernel)
    nbformat.write(notebook, folder / "desk.ipynb")
    return folder


@contextmanager
def server(folder: Path, *command: str) -> Iterator[tuple[psutil.Process, str]]:
    port = free_port()
    home = folder / "home"  # nobody's own settings
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home)}
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--no-browser", f"--port={port}", "--ip=127.0.0.1"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    family = psutil.Process(process.pid)
    try:
        until(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "server.log").read_text()
        yield family, f"http://127.0.0.1:{port}"
    finally:
        members = [family, *family.children(recursive=True)]
        for member in members:
            if member.is_running():
                member.kill()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def kernels(family: psutil.Process) -> list[psutil.Process]:
    return [process for process in family.children(recursive=True) if _is_kernel(process)]


def _is_kernel(process: psutil.Process) -> bool:
    try:
        return "ipykernel" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False


@pytest.fixture(scope="module")
def voila(folder):
    with server(folder, "voila", "desk.ipynb", "--show_tracebacks=True") as served:
        yield served


@pytest.fixture
def labels(folder) -> Callable[[], dict[str, str]]:
    (folder / "labels.jsonl").unlink(missing_ok=True)

    def read() -> dict[str, str]:
        journal = Journal(folder / "labels.jsonl")
        journal.refresh()
        return journal.labels

    return read


def desk(driver: WebDriver):
    """Return the desk once it shows a review."""
    found = driver.find_elements(By.CSS_SELECTOR, ".sw-desk[data-id]:not([data-id=''])")
    return found[0] if found else None


def shown(driver: WebDriver) -> str:
    found = driver.find_elements(By.CSS_SELECTOR, ".sw-desk")
    return found[0].get_attribute("data-id") if found else ""


def part(driver: WebDriver, name: str) -> str:
    return driver.find_element(By.CSS_SELECTOR, f".sw-desk-{name}").text


def test_keys_label_undo_and_skip_and_texts_are_only_text(voila, labels):
    with browser() as driver:
        driver.get(voila[1])
        page = until(lambda: desk(driver))
        assert driver.find_element(By.CSS_SELECTOR, ".sw-desk-text").text == MARKUP
        assert driver.title != "pwned" and not page.find_elements(By.CSS_SELECTOR, "img, b")
        page.click()
        page.send_keys("1")
        until(lambda: shown(driver) == "r1")
        assert labels() == {"r0": "bad"}
        assert "the stars say good" in part(driver, "notice")
        page.send_keys("3")
        until(lambda: shown(driver) == "r2")
        page.send_keys("s")
        until(lambda: shown(driver) == "r3")
        page.send_keys("u")
        until(lambda: shown(driver) == "r1")
        assert labels() == {"r0": "bad"} and part(driver, "count") == "1 of 6 labelled"
        for place, key in enumerate("2222", start=1):
            page.send_keys(key)
            until(lambda done=place: part(driver, "count") == f"{1 + done} of 6 labelled")
        assert shown(driver) == "r2", "the skipped one comes last"
        driver.find_element(By.CSS_SELECTOR, ".sw-desk-good").click()
        until(lambda: "All done" in part(driver, "text"))
        assert len(labels()) == 6 and "kappa" in part(driver, "agreement")
        for width in (320, 1280):
            driver.set_window_size(width, 800)
            assert driver.execute_script("return document.body.scrollWidth <= window.innerWidth")


def test_a_long_text_scrolls_and_the_buttons_stay_in_place_on_a_dark_phone_too(folder, labels):
    served = server(folder, "voila", "desk.ipynb", "--theme=dark")
    with served as (_, url), browser("", "--window-size=360,700") as driver:
        driver.get(url)
        page = until(lambda: desk(driver))
        style = "return getComputedStyle(document.querySelector('.sw-desk')).colorScheme"
        assert driver.execute_script(style) == "dark", "or its bar to scroll with is white"

        def place() -> tuple[int, int]:
            good = driver.find_element(By.CSS_SELECTOR, ".sw-desk-good").rect
            return good["x"], good["y"]

        before = place()
        for number in range(5):  # one text of this desk is long
            page.send_keys("s")
            until(lambda number=number: shown(driver) == f"r{number + 1}")
            assert place() == before


def test_the_kernel_killed_after_each_click_loses_no_label_and_undo_restores(voila, labels):
    family, url = voila
    with browser() as driver:
        for place, (id, word) in enumerate([("r0", "bad"), ("r1", "average"), ("r2", "good")]):
            driver.get(url)
            until(lambda: desk(driver))
            assert shown(driver) == id
            page = desk(driver)
            page.click()
            page.send_keys(str(place + 1))
            # The moment that the label is on the disk: perhaps before the page has heard of it.
            until(lambda id=id: id in labels())
            for kernel in kernels(family):
                os.kill(kernel.pid, signal.SIGKILL)
            assert labels()[id] == word and len(labels()) == place + 1
        driver.get(url)
        until(lambda: desk(driver))
        assert part(driver, "count") == "3 of 6 labelled" and shown(driver) == "r3"
        desk(driver).send_keys("u")
        until(lambda: shown(driver) == "r2")
        assert labels() == {"r0": "bad", "r1": "average"}


def test_two_windows_work_side_by_side_on_different_reviews(voila, labels, folder):
    with browser() as one, browser() as two:
        for driver in (one, two):
            driver.get(voila[1])
            until(lambda driver=driver: desk(driver))
        assert (shown(one), shown(two)) == ("r0", "r1")
        for _ in range(3):
            for driver in (one, two):
                before = shown(driver)
                if before:
                    desk(driver).send_keys("1")
                    until(lambda driver=driver, before=before: shown(driver) != before)
        assert len(labels()) == 6
        written = (folder / "labels.jsonl").read_text("utf-8")
        assert written.count('"act": "label"') == 6, "none lost, none doubled"


def test_in_jupyterlab_the_keys_are_the_desks_and_not_the_notebooks(folder, labels):
    options = ["--allow-root", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]
    served = server(folder, "jupyterlab", *options)
    with served as (family, url), browser("", "--window-size=1280,900") as driver:
        driver.get(f"{url}/lab/tree/desk.ipynb")
        until(lambda: kernels(family))

        asked = float("-inf")

        def desk_of_the_cell():
            nonlocal asked
            # JupyterLab drops what is to be run before its page has its kernel: ask again then.
            if time.monotonic() > asked + 10:
                for cell in driver.find_elements(By.CSS_SELECTOR, ".jp-Notebook .cm-content"):
                    cell.click()
                    cell.send_keys(Keys.CONTROL, Keys.ENTER)
                    asked = time.monotonic()
            return desk(driver)

        page = until(desk_of_the_cell)
        page.click()
        for place, key in enumerate("123"):
            page.send_keys(key)
            until(lambda done=place: shown(driver) == f"r{done + 1}")
        page.send_keys("u")
        until(lambda: shown(driver) == "r2")
        assert labels() == {"r0": "bad", "r1": "average"}
        # In command mode 1, 2 and 3 would have made the cell a heading.
        assert not driver.find_elements(By.CSS_SELECTOR, ".jp-MarkdownCell")
        assert len(driver.find_elements(By.CSS_SELECTOR, ".jp-CodeCell")) == 1
