"""A company's logo, drawn from its name: a monogram as SVG that needs no internet.

svg = monogram("Brightleaf Books")
"""

import hashlib
from xml.sax.saxutils import escape

# Ground and ink, all with a contrast of at least 4.5 to 1.
_COLOURS = (
    ("#1F2A44", "#F3D9A4"),
    ("#2A5C66", "#FBFAF7"),
    ("#7A3B2E", "#FBEBD8"),
    ("#3D4F2F", "#F2F0DC"),
    ("#5B3A6B", "#F6E9F7"),
    ("#8A5A12", "#FFF6E2"),
    ("#2F4B7C", "#E9F0FB"),
    ("#4A4A4A", "#F7F3EA"),
)
_SHAPES = (
    '<rect width="64" height="64" rx="14" fill="{0}"/>',
    '<circle cx="32" cy="32" r="32" fill="{0}"/>',
    '<path d="M32 0 64 32 32 64 0 32Z" fill="{0}"/><rect x="9" y="9" width="46" height="46" '
    'rx="10" fill="{0}"/>',
    '<path d="M0 20Q0 0 20 0H64V44Q64 64 44 64H0Z" fill="{0}"/>',
)

_SIZES = {1: 30, 2: 23}  # font size by the count of letters
_ROOM = 40  # for the letters, where the narrowest shape is 46 wide
# Of letters in font sizes, as the widest usual bold serif (DejaVu Serif) has them; no script has
# wider capitals than Cyrillic's.
_WIDTHS = {"IJ": 0.5, "ABCDEFGKLOPQRSTUVXYZ0123456789": 0.87, "HN": 0.95, "MW": 1.15}
_WIDEST = 1.35


def monogram(name: str) -> str:
    """Return a 64 x 64 SVG with the initials of `name`; the same name gives the same drawing."""
    # A digest and not hash(): the drawing must be the same in every process.
    digest = hashlib.sha256(name.encode()).digest()
    ground, ink = _COLOURS[digest[0] % len(_COLOURS)]
    shape = _SHAPES[digest[1] % len(_SHAPES)].format(ground)
    letters = initials(name)
    size = letter_size(letters)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" role="img" '
        f'aria-label="{escape(name, {chr(34): "&quot;"})}">{shape}'
        f'<text x="32" y="{32 + 0.35 * size:.1f}" text-anchor="middle" font-family="Georgia,serif" '
        f'font-size="{size:.1f}" font-weight="bold" fill="{ink}">{escape(letters)}</text></svg>'
    )


def initials(name: str) -> str:
    """Return the first letters or digits of the first two words that have any; else "?"."""
    words = ("".join(filter(str.isalnum, word)) for word in name.replace("&", " ").split())
    # Not all of upper(): the capital of one letter may be two, as that of ß is.
    return "".join(word[0].upper()[0] for word in words if word)[:2] or "?"


def letter_size(letters: str) -> float:
    """Return the font size that suits their count and keeps them off the frame."""
    return min(_SIZES[len(letters)], _ROOM / sum(map(_width, letters)))


def _width(letter: str) -> float:
    return next((width for some, width in _WIDTHS.items() if letter in some), _WIDEST)
