"""Cells of an executed notebook as markup that runs nothing and loads nothing.

prose("# Title\n\nSome *words*.")
shown(output)      # '<div class="text"><pre>...</pre></div>', or "" for what a page cannot show

What a reviewer wrote may stand in any output. Text outputs are escaped; in HTML outputs only the
markup of tables and of plain text is left, and the rest, an image or a script too, is shown as the
text that it is. Nothing is taken for a formula.
"""

import base64
import html
import re
from itertools import zip_longest
from typing import Any

import bleach
from bleach.css_sanitizer import CSSSanitizer
from bs4 import BeautifulSoup
from nbconvert.filters import Highlight2HTML, ansi2html, markdown2html

_TEXT = {"p", "div", "span", "br", "hr", "b", "strong", "i", "em", "code", "pre", "sub", "sup"}
_LISTS = {"ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "details", "summary"}
_TABLES = {"table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td"}
_ATTRIBUTES = {"th": ["colspan", "rowspan", "scope"], "td": ["colspan", "rowspan"]}
_STYLES = ["color", "background-color", "font-weight", "font-style", "text-align", "width"]

_highlight = Highlight2HTML()
_outputs = bleach.Cleaner(
    tags=_TEXT | _LISTS | _TABLES,
    attributes={**_ATTRIBUTES, "*": ["style"]},
    css_sanitizer=CSSSanitizer(allowed_css_properties=_STYLES),
)
_prose = bleach.Cleaner(
    tags=_TEXT | _LISTS | _TABLES | {"a", "del", "dl", "dt", "dd"},
    attributes={**_ATTRIBUTES, "a": ["href", "title"], "*": ["id"]},
    protocols=["https", "http", "mailto"],
)


def prose(markdown: str) -> str:
    """Return a markdown cell as HTML; a link to another notebook leads to its chapter."""
    text = markdown2html(markdown)
    text = re.sub(r'<a class="anchor-link"[^>]*>.*?</a>', "", text)
    text = re.sub(r'(<a [^>]*href="(?!\w+:)[^"#]*?)\.ipynb\b', r"\1.html", text)
    return _scrolling_tables(_prose.clean(text))


def code(source: str, language: str = "python") -> str:
    """Return a code cell's source as highlighted HTML."""
    return _highlight(source, language)


def shown(output: dict[str, Any], caption: str = "") -> str:
    """Return one output of a code cell as HTML; a picture is described by its `caption`."""
    if output["output_type"] == "stream":
        kind = "text stderr" if output["name"] == "stderr" else "text"
        return f'<div class="{kind}"><pre>{ansi2html(output["text"])}</pre></div>'
    if output["output_type"] == "error":
        trace = ansi2html("\n".join(output["traceback"]))
        return f'<div class="text error"><pre>{trace}</pre></div>'
    data = output["data"]
    for kind in ("image/png", "image/jpeg", "image/svg+xml"):
        if kind in data:
            return _picture(kind, data[kind], caption)
    if "text/html" in data:
        # pandas describes the looks of a table, which are ours to choose.
        plain = re.sub(r"<style\b.*?</style>", "", data["text/html"], flags=re.DOTALL)
        return f'<div class="rich">{_scrolling_tables(_outputs.clean(plain))}</div>'
    if "text/markdown" in data:
        text = _outputs.clean(markdown2html(data["text/markdown"]))
        return f'<div class="rich">{_scrolling_tables(text)}</div>'
    if "text/plain" in data:
        return f'<div class="text"><pre>{ansi2html(data["text/plain"])}</pre></div>'
    return ""


def _picture(kind: str, data: str, caption: str) -> str:
    if kind == "image/svg+xml":
        data = base64.b64encode(data.encode()).decode()  # as an image no script in it runs
    data = "".join(data.split())
    alt = html.escape(caption, quote=True)
    source = html.escape(f"data:{kind};base64,{data}", quote=True)
    return f'<div class="picture"><img src="{source}" alt="{alt}"></div>'


def _scrolling_tables(text: str) -> str:
    """Let a table that is wider than a phone be moved sideways, and give sentences in it room.

    A column without numbers stands to the left, its heading too; the others stay to the right.
    """
    if "<table" not in text:
        return text
    soup = BeautifulSoup(text, "html.parser")
    for table in soup("table"):
        rows = [row.find_all(["td", "th"], recursive=False) for row in table("tr")]
        for column in zip_longest(*rows):
            cells = [cell for cell in column if cell is not None]
            told = [cell.get_text().strip() for cell in cells if cell.name == "td"]
            if any(len(each) > 25 for each in told):
                kind = "words"
            elif told and not any(re.match(r"[-+]?[\d.]|nan$", each) for each in told):
                kind = "names"
            else:
                continue
            for cell in cells:
                cell["class"] = kind
        for name in table("code"):
            parts = re.split(r"(?<=[_/.])(?=\w)", name.get_text())
            name.clear()
            for part in parts[:-1]:  # where a long name may be broken
                name.extend([part, soup.new_tag("wbr")])
            name.append(parts[-1])
        table.wrap(soup.new_tag("div", attrs={"class": "wide", "tabindex": "0"}))
    return str(soup)
