"""What a person is told a session runs on: a browser and a system, no more of the User-Agent."""

from functools import lru_cache

# The first that occurs counts: every browser claims to be those that came before it.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)
UNKNOWN = "Unknown device"
READ_LENGTH = 512


def device_name(user_agent: str | None) -> str:
    """Such as `Firefox on Windows`; `Unknown device` for what is no browser that we know."""
    return _name((user_agent or "")[:READ_LENGTH])


@lru_cache(maxsize=1024)
def _name(user_agent: str) -> str:
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if browser is None:
        return UNKNOWN
    return browser if system is None else f"{browser} on {system}"


def _first(known: tuple[tuple[str, str], ...], user_agent: str) -> str | None:
    return next((name for mark, name in known if mark in user_agent), None)
