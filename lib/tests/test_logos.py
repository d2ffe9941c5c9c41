"""Logos drawn from names: whatever the name, its letters stay off their frame."""

import re
from itertools import product
from xml.etree import ElementTree

import pytest

from starwise.dashboard.brands import practice_brands
from starwise.logos import initials, monogram


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Brightleaf Books", "BB"),
        ("Harbour", "H"),
        ("Ärger & Söhne GmbH", "ÄS"),
        ("ßtraße", "S"),
        ("(Acme) 'n' Sons", "AN"),
        ("3M", "3"),
        ("… & !", "?"),
        ("<b>&", "B"),
    ],
)
def test_the_letters_are_the_first_of_the_first_two_words(name, letters):
    assert initials(name) == letters
    drawing = ElementTree.fromstring(monogram(name))
    assert drawing.attrib["aria-label"] == name and monogram(name) == monogram(name)
    assert [one.text for one in drawing.iter() if one.tag.endswith("text")] == [letters]


@pytest.mark.browser
def test_the_letters_of_no_logo_touch_their_frame(window, tmp_path):
    names = [brand.name for brand in practice_brands()]
    names += [f"{a} {b}" for a, b in product("IWMQÆЖЩ7中", repeat=2)] + list("IWMQÆЖЩ7中?")
    sheet = tmp_path / "logos.html"
    drawings = "".join(map(monogram, names))
    sheet.write_text(f"<meta charset=utf-8><style>svg {{ width: 64px }}</style>{drawings}", "utf-8")
    window.get(sheet.as_uri())
    boxes = window.execute_script(
        "return [...document.querySelectorAll('text')].map((one) => {"
        " const box = one.getBBox(); return [one.textContent, box.x, box.x + box.width]; })"
    )
    assert len(boxes) == len(names)
    # The narrowest shape is solid from 9 to 55 where the letters are.
    assert [box for box in boxes if not 9 + 2 < box[1] < box[2] < 55 - 2] == []
    sizes = {float(size) for size in re.findall(r'font-size="([\d.]+)"', drawings)}
    assert min(sizes) > 14, "and all can be read"
