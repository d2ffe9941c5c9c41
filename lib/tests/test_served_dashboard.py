"""The served dashboard in a real browser, from the first letter to the row in the table."""

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from visitors import button, dashboard, is_open, notice, resize, score, shown, stars, tab, until

from starwise.dashboard.brands import practice_brands
from starwise.postgres import EmbeddedPostgres

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MARKUP = "<img src=x onerror=\"document.title='pwned'\"> $x^2$ </textarea><script>1</script>"
KIND = "Excellent! Friendly people, quick delivery, I love it."


def test_a_visitor_writes_chooses_submits_and_the_row_is_there(served, page):
    before = len(served.rows())
    question = shown(page, "h1")
    brand = re.fullmatch(r"What do you think of (.+)\?", question)[1]
    assert brand in {brand.name for brand in practice_brands()} and page.title == "Starwise"
    box = page.find_element(By.TAG_NAME, "textarea")
    assert not button(page, "Submit").is_enabled() and score(page) == -1

    box.send_keys(KIND)
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


def test_letters_typed_while_the_page_still_opens_stay(served, window):
    with tab(window) as driver:
        driver.get(served.page)
        box = until(lambda: driver.find_elements(By.CSS_SELECTOR, ".starwise textarea"))[0]
        driver.execute_script(
            "arguments[0].value = 'Lovely'; arguments[0].dispatchEvent(new Event('input'))", box
        )
        until(lambda: score(driver) >= 0)
        time.sleep(0.5)
        assert box.get_attribute("value") == "Lovely"


NEWS_FIRST = """
  const Real = WebSocket;
  const piece = (buffer) => { // of the whole state, as a message of its own
    const view = new DataView(buffer), at = (i) => Number(view.getBigUint64(8 * (i + 1), true));
    const part = new Uint8Array(buffer, at(4), at(5) - at(4));
    const content = JSON.parse(new TextDecoder().decode(part));
    content.data.state = { hint: content.data.state.hint };
    const told = new TextEncoder().encode(JSON.stringify(content));
    const made = new Uint8Array(at(4) + told.length);
    made.set(new Uint8Array(buffer, 0, at(4)));
    made.set(told, at(4));
    new DataView(made.buffer).setBigUint64(8 * 6, BigInt(made.length), true);
    return made.buffer;
  };
  window.WebSocket = class extends Real {
    set onmessage(heard) {
      super.onmessage = (event) => {
        const whole = new TextDecoder().decode(event.data).includes('"fixed"');
        if (!whole || window.newsFirst) return heard(event);
        window.newsFirst = true;
        heard({ data: piece(event.data) });
        setTimeout(() => heard(event), 300);
      };
    }
  };
"""


def test_news_before_the_whole_state_does_not_leave_the_page_waiting(served, window):
    """One page of some hundreds stood still for it: there was nothing yet to draw from."""
    with tab(window) as driver:
        before = {"source": NEWS_FIRST}
        made = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", before)
        try:
            driver.get(served.page)
            until(lambda: driver.find_elements(By.CSS_SELECTOR, ".starwise textarea"))
            assert driver.execute_script("return window.newsFirst")
        finally:
            driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_the_keyboard_alone_reaches_everything(served, page):
    before = len(served.rows())
    named = []
    page.execute_script("document.activeElement.blur(); window.focus()")
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
        resize(page, width)
        assert page.execute_script("return document.body.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(
    "path",
    [
        "/?template=nonexistent",
        "/?voila-theme=x",
        "/..%2f..%2fetc%2fpasswd",
        "/assets/00000000/..%2fform.py",
        "/assets/00000000/view.py",
        "/model.safetensors",
        "/voila/static/../../page.py",
        "/voila/labextensions/anywidget/package.json",
        "/api/kernels",
        "/05_dashboard.ipynb",
        "/voila/files/05_dashboard.ipynb",
        "/voila/files/../lib/pyproject.toml",
        "/.env",
        "/voila/tree",
        "/api/contents",
    ],
)
def test_nothing_but_the_page_is_served(served, path):
    began = time.monotonic()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(served.page + path, timeout=20)
    assert refused.value.code in (403, 404) and time.monotonic() - began < 10
    body = refused.value.read().decode()
    assert "Traceback" not in body and "starwise.dashboard" not in body


def test_the_page_is_refused_twice_on_a_port_in_words(served):
    port = served.page.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "starwise", "dashboard", f"--port={port}", "--api-port=0"]
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.returncode == 2
    assert again.stderr == (
        f"starwise dashboard: port {port} is in use on 127.0.0.1: "
        "stop the other program, or choose another port.\n"
    )


def test_closed_tabs_leave_no_kernel(served, window):
    before = len(served.kernels())
    first = window.current_window_handle
    with tab(window):
        for _ in range(20):
            window.switch_to.new_window("tab")
            window.get(served.page)
        is_open(window)
        # The one that waits for the next visitor may be on its way to one of these.
        until(lambda: len(served.kernels()) >= 20 + min(before, 1))
    assert window.current_window_handle == first
    # One waits for the next visitor. Twice the promised time: this machine may be busy.
    until(lambda: len(served.kernels()) <= max(before, 1), 60)


def test_an_operator_reads_where_everything_is_and_in_the_log_only_what_matters(tmp_path, window):
    token = "a long random word"
    with (
        open(tmp_path / "log", "w+") as errors,
        dashboard(tmp_path, errors, STARWISE_ADMIN_TOKEN=token) as served,
    ):
        assert f"The administrator's page is at {served.api}/admin" in served.said
        with tab(window) as page:
            page.get(served.page)
            is_open(page)
            page.find_element(By.TAG_NAME, "textarea").send_keys(KIND)
            until(lambda: score(page) > 50)
            button(page, "Submit").click()
            until(lambda: notice(page).startswith("Saved."))
            page.get(f"{served.api}/admin")
            page.find_element(By.ID, "token").send_keys(token + "\n")
            until(lambda: KIND in shown(page, ".review .text"))
        until(lambda: len(served.kernels()) <= 1)
        served.process.terminate()
        assert served.process.wait(30) == 0
        said, log = served.said + served.process.stdout.read(), (tmp_path / "log").read_text()
    assert token not in said + log and KIND not in said + log
    line = re.compile(r"20\S+ \S+ ((GET|POST) /\S* \d+ \d+ ms|the administrator signed in)")
    assert [one for one in log.splitlines() if not line.fullmatch(one)] == []


def test_sigterm_leaves_nothing(tmp_path):
    with dashboard(tmp_path) as served:
        launcher = psutil.Process(served.process.pid)
        urllib.request.urlopen(served.page, timeout=30).read()
        assert "set STARWISE_ADMIN_TOKEN to a long random word" in served.said
        family = [launcher, *launcher.children(recursive=True)]
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 0
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []
        assert not EmbeddedPostgres(served.data).is_running()
        for url in (served.page, served.api):
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=2)
