"""From the bytes of a page to its text, or an error where they are not what they claim to be.

html = read_text(body, "text/html; charset=utf-8", url)

A page in the wrong encoding can look right and read wrong, and no layout would notice. So a page is
UTF-8 if it can be, else what it declares, and in both cases to the last byte.
"""

import codecs
import re

from starwise.collect.errors import EncodingError

_DECLARED = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", flags=re.IGNORECASE)
_HEAD_BYTES = 1024  # where a page may declare its own encoding


def read_text(body: bytes, content_type: str, url: str) -> str:
    """Return the text of a page; raises EncodingError naming the encoding that it breaks."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    declared = _DECLARED.search(content_type) or _DECLARED.search(
        body[:_HEAD_BYTES].decode("latin-1")
    )
    name = declared[1].lower() if declared else "utf-8"
    # As browsers do: what calls itself Latin 1 is Windows' extension of it.
    name = {"iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252"}.get(name, name)
    try:
        return body.decode(codecs.lookup(name).name)
    except (LookupError, UnicodeDecodeError, ValueError):
        raise EncodingError(url, name) from None
