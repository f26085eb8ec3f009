"""What the host makes of a text that an HTTP function returned: Azure looks whether it is JSON."""

import json
from collections.abc import Mapping
from typing import Any

_TEXT = "text/plain; charset=utf-8"
_OK = 200

Sniffed = tuple[int, dict[str, str], str]
"""Status, headers with the content type, body."""


def sniff(text: str) -> Sniffed:
    """The response that Azure makes of `text`.

    A JSON object with `body` is a response in itself, with `headers` and `status` or `statusCode`;
    names in any case. Other JSON is written anew, as .NET writes it. The rest is plain text.
    Only strict JSON counts, where Azure's parser is more lenient.
    """
    try:
        content: Any = json.loads(text)
    except ValueError:
        return _OK, {"content-type": _TEXT}, text
    if isinstance(content, dict):
        plain = {key.lower(): value for key, value in content.items()}
        if "body" in plain:
            return _stated(plain)
    return _OK, {"content-type": _TEXT}, _rewritten(content)


def _stated(plain: Mapping[str, Any]) -> Sniffed:
    stated = plain.get("headers")
    given = stated if isinstance(stated, dict) else {}
    headers = {name.lower(): _scalar(value) for name, value in given.items()}
    headers.setdefault("content-type", _TEXT)
    body = plain["body"]
    match body:
        case dict():
            text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        case list():
            text = "System.Collections.Generic.List`1[System.Object]"  # as Azure has it: a trap
        case _:
            text = _scalar(body)
    return _status(plain.get("statuscode", plain.get("status"))), headers, text


def _status(stated: object) -> int:
    if isinstance(stated, str) and stated.strip().lstrip("+-").isdigit():
        return int(stated)
    return stated if isinstance(stated, int) and not isinstance(stated, bool) else _OK


def _rewritten(content: Any) -> str:
    if isinstance(content, (dict, list)):
        return json.dumps(content, ensure_ascii=False, indent=2)
    return _scalar(content)


def _scalar(value: object) -> str:
    if value is None:
        return ""
    return str(value)
