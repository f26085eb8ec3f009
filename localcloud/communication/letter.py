"""How the HTML of an email is shown: as the stranger's page that it is."""

import base64
import re
from collections.abc import Mapping
from typing import Final

SANDBOX: Final = "allow-popups allow-popups-to-escape-sandbox"
"""Of the frame: no scripts, no forms, no origin; a link opens in a new tab."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
        f"base-uri 'none'; frame-ancestors 'self'; sandbox {SANDBOX}"
    )
}
"""No scripts and nothing from elsewhere, even when it is opened outside of its frame."""

_HEAD: Final = re.compile(r"<head(?:\s[^>]*)?>", re.IGNORECASE)
_TARGET: Final = '<base target="_blank">'
_INLINE: Final = re.compile(r"cid:([^\s\"'<>()]+)", re.IGNORECASE)


def shown(html: str, images: Mapping[str, str]) -> str:
    """The HTML with links that open in a new tab, because the frame may go nowhere.

    `images` are the pictures that the email brings with it, as data URLs by their content id.
    """
    head = _HEAD.search(html)
    at = head.end() if head else 0
    with_images = _INLINE.sub(lambda found: images.get(found[1], found[0]), html[at:])
    return html[:at] + _TARGET + with_images


def data_url(content_type: str, content: bytes) -> str:
    """A picture as an address of its own, without the parameters of its type."""
    kind = content_type.partition(";")[0].strip()
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
