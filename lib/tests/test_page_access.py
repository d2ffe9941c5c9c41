"""The page is for everybody: small screens, keyboards, screen readers, and both colour schemes."""

import pytest
from selenium.webdriver.common.by import By
from visitors import button, notice, resize, score, shown, stars, submit, until, violations, write

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDTHS = (320, 768, 1440)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_from_the_empty_page_to_the_saved_review(page, scheme):
    for width in WIDTHS:
        resize(page, width, scheme)
        assert violations(page) == []
    write(page, "Lovely people, but it arrived broken and late. Never again!")
    until(lambda: page.find_elements(By.CSS_SELECTOR, ".sw-marks li"))
    assert violations(page) == []
    submit(page)
    until(lambda: notice(page).startswith("Saved."))
    for width in WIDTHS:
        resize(page, width, scheme)
        assert violations(page) == []


def test_every_control_is_visible_named_and_large_enough_on_a_small_phone(page):
    resize(page, 320)
    write(page, "Lovely people, but it arrived broken and late. Never again!")
    until(lambda: stars(page))
    assert page.execute_script("return document.documentElement.scrollWidth") <= 320
    controls = page.find_elements(By.CSS_SELECTOR, "textarea, button, a")
    for control in (one for one in controls if one.is_displayed()):
        assert control.accessible_name.strip()
        place = control.rect
        assert place["x"] >= 0 and place["x"] + place["width"] <= 320
        if control.tag_name == "button":
            assert place["height"] >= 32 and place["width"] >= 32


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_on_the_page_lies_over_anything_else(page, width):
    resize(page, width)
    parts = ".sw-brand, textarea, .sw-examples, .sw-marks li, .sw-gauge, .sw-stars, .sw-actions"
    for words in ("", "Lovely people, but it arrived broken and late. Never again!"):
        write(page, words)
        marked = ".sw-marks li" if words else ".sw-marks.sw-none"
        until(lambda one=marked: page.find_elements(By.CSS_SELECTOR, one))
        found = page.find_elements(By.CSS_SELECTOR, parts)
        places = [part.rect for part in found if part.is_displayed()]
        for number, one in enumerate(places):
            for other in places[number + 1 :]:
                (left, right) = sorted((one, other), key=lambda place: place["x"])
                beside = left["x"] + left["width"] <= right["x"] + 0.5
                assert beside or one["y"] + one["height"] <= other["y"] + 0.5


def marked(page) -> dict[str, str]:
    """Return the words that count, as soon as they belong to the text, and what is said of each."""
    return page.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('.sw-marks:not(.sw-stale) li')]"
        ".map((one) => [one.querySelector('bdi').textContent, one.innerText]))"
    )


def test_the_words_that_count_are_told_by_more_than_colour_and_follow_the_text(page):
    # One word decides each text: whatever network reads it, that word moves it far.
    for words, word, arrow, way in (
        ("The lamp is wonderful.", "wonderful", "▲", "raises the score"),
        ("The lamp is terrible.", "terrible", "▼", "lowers the score"),
    ):
        write(page, words)
        told = until(lambda word=word: marked(page).get(word))
        assert arrow in told and way in told
    assert "▲ raises the score" in shown(page, ".sw-legend")
    mark = page.find_element(By.CSS_SELECTOR, ".sw-marks").rect
    text = page.find_element(By.TAG_NAME, "textarea").rect
    assert mark["y"] >= text["y"] + text["height"], "never over the caret"

    write(page, "")
    until(lambda: not page.find_elements(By.CSS_SELECTOR, ".sw-marks li"))


def test_an_example_is_tried_with_one_click_and_the_stars_go_back_to_the_suggestion(page):
    button(page, "Let down").click()
    until(lambda: 0 <= score(page) < 50 and stars(page) <= 2)
    suggested = stars(page)
    page.find_element(By.CSS_SELECTOR, "[aria-label='5 stars']").click()
    until(lambda: stars(page) == 5 and "Use the suggestion" in shown(page, ".sw-stars"))
    page.find_element(By.CSS_SELECTOR, ".sw-link").click()
    until(lambda: stars(page) == suggested and "Suggested" in shown(page, ".sw-stars"))


def test_the_stars_take_a_touch(page):
    star = page.find_element(By.CSS_SELECTOR, "[aria-label='4 stars']")
    place = star.rect
    point = {"x": place["x"] + place["width"] / 2, "y": place["y"] + place["height"] / 2}
    top = page.execute_script("return window.scrollY")
    point["y"] -= top
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    until(lambda: "Your rating: 4 stars" in shown(page, ".sw-stars"))
