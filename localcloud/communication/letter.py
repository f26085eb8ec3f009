"""How the HTML of an email is shown: as the stranger's page that it is."""

import re
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


def shown(html: str) -> str:
    """The HTML with links that open in a new tab, because the frame may go nowhere."""
    head = _HEAD.search(html)
    at = head.end() if head else 0
    return html[:at] + _TARGET + html[at:]
