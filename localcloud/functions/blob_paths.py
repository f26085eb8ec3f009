"""Where a blob is: `container/name`, or a URL such as Event Grid tells."""

from urllib.parse import unquote, urlsplit


def location_of(path: str) -> tuple[str, str]:
    """The container and the name of the blob at `path`. ValueError when it names none.

    The account of a URL is not looked at; where it stands first in the path, as emulators have it,
    it is left out.
    """
    if path.startswith(("http://", "https://")):
        parts = urlsplit(path)
        path = unquote(parts.path).lstrip("/")
        if "." not in (parts.hostname or "") or (parts.hostname or "").replace(".", "").isdigit():
            path = path.partition("/")[2]
    container, _, name = path.lstrip("/").partition("/")
    if not container or not name:
        raise ValueError(f"the path {path!r} names no blob: it is `container/name`")
    return container, name
