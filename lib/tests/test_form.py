"""The form's scripts in a real browser with a kernel made of paper, which says things too late.

Between a click and its answer there are always news on their way that know nothing of the click.
Here the test says when which of them arrives.
"""

import json

import pytest
from selenium.webdriver.common.by import By
from visitors import button, score, shown, stars, tab

from starwise.dashboard.form import script, stylesheet

pytestmark = pytest.mark.browser

PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Form</title>
<style>%s</style><body><main><div id="form"></div></main><script type="module">
%s
const state = window.state = %s;
const listeners = {};
window.sent = [];
window.news = (changed) => { Object.assign(state, changed); listeners.change(); };
render({ el: document.getElementById("form"), model: {
  get: (name) => state[name], off() {}, on: (name, listener) => { listeners[name] = listener; },
  send: (message) => window.sent.push(message),
} });
</script></body></html>"""

SUGGESTED = {"rating": 2, "suggested": 2, "chosen": False}
STATE = {
    "fixed": {"limit": 100, "examples": [], "privacy": ""},
    **{"review": "1", "hint": "", "scored": 1, "marks": [], "current": False, "recent": []},
    "reading": {"sentiment": 0.3, "label": "bad"},
    "brand": {"name": "Brightleaf", "website": "", "label": "", "logo": "data:,"},
    **{"stars": SUGGESTED, "phase": "writing", "ready": True},
    "notice": {"kind": "", "text": ""},
}


@pytest.fixture
def form(window, tmp_path):
    """The form as a visitor sees it whose text suggests two stars."""
    path = tmp_path / "form.html"
    path.write_text(PAGE % (stylesheet(), script(), json.dumps(STATE)), "utf-8")
    with tab(window):
        window.get(path.as_uri())
        yield window


def choose(form, number: int) -> None:
    form.find_elements(By.CSS_SELECTOR, "[role=radio]")[number - 1].click()


def news(form, **changed) -> None:
    form.execute_script("window.news(arguments[0])", changed)


def chosen(number: int, suggested: int = 2) -> dict:
    return {"rating": number, "suggested": suggested, "chosen": True}


def test_news_that_were_on_their_way_do_not_take_back_the_stars_that_were_chosen(form):
    assert (stars(form), shown(form, ".sw-caption")) == (2, "Suggested: 2 stars")
    choose(form, 5)
    assert (stars(form), shown(form, ".sw-caption")) == (5, "Your rating: 5 stars")
    # The score of the letter before the click, and of the one before that: other suggestions.
    for late in (1, 3):
        news(form, stars={"rating": late, "suggested": late, "chosen": False}, scored=late)
        assert (stars(form), shown(form, ".sw-caption")) == (5, "Your rating: 5 stars")
        assert f"Use the suggestion ({late} star" in shown(form, ".sw-link"), "which goes on"
    news(form, stars=chosen(5, suggested=3))
    assert stars(form) == 5
    # Heard back: from now on the kernel's word counts again.
    news(form, stars=SUGGESTED)
    assert (stars(form), shown(form, ".sw-caption")) == (2, "Suggested: 2 stars")


def test_of_two_quick_choices_the_answer_to_the_first_does_not_take_back_the_second(form):
    choose(form, 4)
    choose(form, 5)
    news(form, stars=chosen(4))
    assert stars(form) == 5
    news(form, stars=chosen(5))
    assert stars(form) == 5
    sent = form.execute_script("return window.sent.filter((one) => one.kind === 'choose')")
    assert [one["stars"] for one in sent] == [4, 5]


def test_stars_given_back_to_the_suggestion_and_stars_that_were_saved_are_the_kernels(form):
    choose(form, 5)
    button(form, "Use the suggestion (2 stars)").click()
    news(form, stars=SUGGESTED)
    assert stars(form) == 2
    choose(form, 1)
    # Saved with an earlier attempt's stars: what is stored is shown, and not what was clicked last.
    news(form, phase="saved", stars=chosen(4))
    assert stars(form) == 4


TOUCHED = """
    window.touched = [];
    new MutationObserver((all) => window.touched.push(
      // A screen reader is told the score after a while, whatever else happens.
      ...all.filter(({ target }) => !target.classList?.contains("sw-aloud"))
        .map(({ attributeName, type }) => attributeName ?? type),
    )).observe(document.querySelector(".starwise"), {
      attributes: true, childList: true, characterData: true, subtree: true,
    });
"""


def test_the_first_score_is_there_at_once_and_a_later_one_moves_the_bar(form):
    """Ten frames of a fading button, ten of a bar: ten visitors' second letters waited for them."""
    moving = "return document.getAnimations().map((one) => one.effect.target.className)"
    pale = {"rating": 0, "suggested": 0, "chosen": False}
    news(form, reading=None, ready=False, stars=pale, scored=0)
    assert form.execute_script(moving) == [] and not button(form, "Submit").is_enabled()
    suggested = {"rating": 4, "suggested": 4, "chosen": False}
    good = {"sentiment": 0.8, "label": "good"}
    news(form, reading=good, ready=True, stars=suggested, scored=1)
    assert form.execute_script(moving) == [] and button(form, "Submit").is_enabled()
    news(form, reading={"sentiment": 0.3, "label": "bad"}, scored=2)
    assert form.execute_script(moving) == ["sw-fill sw-far"]


def test_a_letter_that_moves_no_score_changes_nothing_that_a_browser_would_draw(form):
    form.execute_script(TOUCHED)
    news(form, scored=2, reading={"sentiment": 0.301, "label": "bad"})
    assert form.execute_script("return window.touched") == ["data-scored"]
    news(form, scored=3, reading={"sentiment": 0.31, "label": "bad"})
    touched = form.execute_script("return window.touched")
    assert "style" in touched and "childList" not in touched, "the texts on the page stay in place"
    assert score(form) == 31
