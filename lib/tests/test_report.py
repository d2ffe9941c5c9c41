"""The report: executed notebooks as pages that read well, load nothing and run nothing."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from starwise.paths import Outputs
from starwise.report.book import BookError, write_book
from starwise.report.cells import code, prose, shown
from starwise.report.chapter import read_chapters

EVIL = (
    "<img src=x onerror=\"document.title='owned'\"> $E=mc^2$ </pre><script>document.title='owned'"
)
ESCAPED = "&lt;img src=x onerror="


def notebook(title: str, *cells, **papermill) -> nbformat.NotebookNode:
    question = f"# {title}\n\n**How does it read?**\n\n| | |\n|---|---|\n| reads | `a.csv` |\n"
    made = new_notebook(cells=[new_markdown_cell(question), *cells])
    made.metadata["papermill"] = papermill
    return made


def cell(source: str, *outputs, **metadata):
    return new_code_cell(source, outputs=list(outputs), metadata=metadata)


def picture() -> str:
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(6, 3))
    figure.add_subplot().plot([1, 3, 2])
    file = io.BytesIO()
    figure.savefig(file)
    plt.close(figure)
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def outputs(own_outputs) -> Outputs:
    """Two executed notebooks, one with everything that a reviewer may write."""
    table = pd.DataFrame({"review": [EVIL], "brand": ["A brand with a very long name " * 3]})
    own_outputs.notebooks.mkdir(parents=True)
    first = notebook(
        "01 · Collect",
        new_markdown_cell("## A first heading\n\nWe go on in [02_label](02_label.ipynb)."),
        cell("print(review)", new_output("stream", name="stdout", text=EVIL)),
        cell("table", new_output("display_data", {"text/html": table.to_html()})),
        cell("looks", new_output("display_data", {"text/html": table.style.to_html()})),
        cell("said", new_output("display_data", {"text/markdown": EVIL})),
        cell("plain", new_output("execute_result", {"text/plain": EVIL})),
        cell("draw()", new_output("display_data", {"image/png": picture()})),
        cell("go()", new_output("display_data", {"application/javascript": "alert(1)"})),
        cell("x = 'a long line' " * 30),
        start_time="2026-11-24T09:00:00+00:00",
        end_time="2026-11-24T09:01:15+00:00",
        duration=75.0,
    )
    trace = ["\x1b[0;31mValueError\x1b[0m: " + EVIL]
    second = notebook(
        "02 · Label",
        new_markdown_cell(
            "## What broke\n\n| their switch | here | what it does |\n|---|---|---|\n"
            '| `ignore_center`, `group_labels` | `three_stars = "left out"` | leaves them out |\n'
        ),
        cell("1 / 0", new_output("error", ename="ValueError", evalue=EVIL, traceback=trace)),
        exception=True,
    )
    nbformat.write(first, own_outputs.notebooks / "01_collect.ipynb")
    nbformat.write(second, own_outputs.notebooks / "02_label.ipynb")
    return own_outputs


@pytest.fixture
def first_page(outputs):
    return write_book(read_chapters(outputs.notebooks), outputs, outputs.report)


def test_what_a_reviewer_wrote_is_text_in_every_kind_of_output():
    table = pd.DataFrame({"review": [EVIL]})
    kinds = [
        new_output("stream", name="stdout", text=EVIL),
        new_output("stream", name="stderr", text=EVIL),
        new_output("error", ename="E", evalue=EVIL, traceback=[EVIL]),
        new_output("display_data", {"text/plain": EVIL}),
        new_output("display_data", {"text/html": table.to_html()}),
        new_output("display_data", {"text/html": table.style.to_html()}),
        new_output("display_data", {"text/html": table.to_html(escape=False)}),
        new_output("display_data", {"text/markdown": EVIL}),
    ]
    for output in kinds:
        text = shown(output)
        assert ESCAPED in text and "<img" not in text and "<script" not in text, output
        assert "$E=mc^2$" in text, output
    assert "<img" not in code(f"'{EVIL}'")
    assert shown(new_output("display_data", {"application/javascript": "alert(1)"})) == ""


def test_prose_keeps_its_markup_and_leads_to_the_next_chapter():
    text = prose("## A *heading*\n\n- [next](02_label.ipynb#top), [out](https://example.com/a)\n")
    assert "<em>heading</em>" in text and "<li>" in text
    assert 'href="02_label.html#top"' in text and 'href="https://example.com/a"' in text
    assert "href" not in prose("[x](javascript:alert(1))")


def test_a_long_name_in_a_table_may_be_broken_between_its_parts():
    text = prose("| reads |\n|---|\n| `models/my_run/model.json` |\n")
    assert "<code>models/<wbr/>my_<wbr/>run/<wbr/>model.<wbr/>json</code>" in text


def test_a_chapter_knows_its_title_its_question_and_its_sections(outputs):
    first, second = read_chapters(outputs.notebooks)
    assert (first.title, first.question) == ("01 · Collect", "How does it read?")
    assert [words for _, words in first.sections] == ["A first heading"]
    assert first.seconds == 75 and not first.failed and second.failed
    assert 'alt="Figure: A first heading"' in first.picture


def test_the_book_replaces_the_former_one_and_nothing_else(outputs, first_page, tmp_path):
    (outputs.notebooks / "02_label.ipynb").unlink()
    write_book(read_chapters(outputs.notebooks), outputs, outputs.report)
    names = sorted(path.name for path in outputs.report.iterdir())
    assert names == ["01_collect.html", "book.css", "index.html"]
    assert not list(outputs.root.glob(".report-*"))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.doc").write_text("years of work")
    with pytest.raises(BookError, match="holds something that is no report"):
        write_book(read_chapters(outputs.notebooks), outputs, mine)
    assert (mine / "thesis.doc").exists()


def test_it_says_what_the_models_are_worth_and_lives_without_that(outputs):
    outputs.metrics.write_text(
        '{"models": [{"name": "network", "balanced_accuracy": 0.9, "macro_f1": 0.8},'
        '{"name": "<b>own</b>", "balanced_accuracy": 0.5, "macro_f1": 0.4}],'
        '"verdict": {"serves": "network", "reason": "it is better"}}'
    )
    index = write_book(read_chapters(outputs.notebooks), outputs, outputs.report).read_text()
    assert "the network of this run" in index and "0.900" in index and "it is better" in index
    assert "&lt;b&gt;own" in index
    outputs.metrics.write_text('{"models": 3}')
    index = write_book(read_chapters(outputs.notebooks), outputs, outputs.report).read_text()
    assert "What came of it" not in index and "01 · Collect" in index


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-P", "-m", "starwise", "report", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_says_where_to_begin(outputs, tmp_path):
    done = run("--to", str(tmp_path / "my book"))
    assert done.returncode == 0, done.stderr
    assert "2 chapters" in done.stdout
    assert (tmp_path / "my book/index.html").as_uri() in done.stdout


def test_without_a_run_it_says_what_to_run_first():
    said = run()
    assert said.returncode == 2 and not said.stdout
    assert "no notebook has run yet" in said.stderr and "./run_all.sh" in said.stderr
    assert not os.path.exists(Outputs.default().root)


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    driver = os.environ.get("STARWISE_CHROMEDRIVER") or shutil.which("chromedriver")
    if not driver:
        pytest.skip("there is no chromedriver on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ.get("STARWISE_CHROME", "")
    for argument in ("--headless=new", "--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


def size(browser, width: int, scheme: str = "light") -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.mark.browser
def test_in_a_browser_without_a_network_it_reads_well_and_runs_nothing(browser, first_page):
    browser.get_log("performance")
    browser.get_log("browser")
    for width, scheme in ((320, "light"), (360, "dark"), (1440, "light")):
        size(browser, width, scheme)
        for name in ("index.html", "01_collect.html", "02_label.html"):
            browser.get((first_page.parent / name).as_uri())
            assert browser.title.endswith("Starwise") or "report of a run" in browser.title
            wide = (
                "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert browser.execute_script(wide) <= 0, (name, width)
            # A review in a table is read without moving it.
            assert all(
                browser.execute_script(
                    "return [...document.querySelectorAll('td.words')]"
                    ".map(td => td.getBoundingClientRect().right <= innerWidth)"
                )
            )
            # Nor does a table in the prose hide its last column.
            hidden = (
                "return [...document.querySelectorAll('.prose table')]"
                ".map(table => table.offsetWidth - table.parentElement.clientWidth)"
            )
            assert max(browser.execute_script(hidden), default=0) <= 0, (name, width)
            dark = browser.execute_script(
                "return getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 128"
            )
            assert dark == (scheme == "dark")
            assert all(
                browser.execute_script("return [...document.images].map(i => i.naturalWidth > 0)")
            )
    asked = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    assert asked and all(url.startswith(("file:", "data:")) for url in asked)
    complaints = [entry["message"] for entry in browser.get_log("browser")]
    assert not complaints


@pytest.mark.browser
def test_the_policy_of_a_page_holds_even_where_markup_slipped_through(browser, first_page):
    page = first_page.parent / "02_label.html"
    page.write_text(page.read_text().replace("</main>", EVIL.partition(" $")[0] + "</main>"))
    browser.get(page.as_uri())
    assert browser.title == "02 · Label · Starwise"
    assert "Content Security Policy" in "".join(
        entry["message"] for entry in browser.get_log("browser")
    )


@pytest.mark.browser
def test_one_goes_from_page_to_page(browser, first_page):
    size(browser, 360)
    browser.get(first_page.as_uri())
    browser.find_element("link text", "01 · Collect").click()
    browser.find_element("css selector", "[rel=next]").click()
    assert browser.title.startswith("02")
    browser.find_element("css selector", ".menu summary").click()
    browser.find_element("link text", "01 · Collect").click()
    assert browser.title.startswith("01")
    browser.find_element("link text", "Starwise").click()
    assert "report of a run" in browser.title
