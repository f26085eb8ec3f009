"""Log lines of the host and of user code, with the invocation they belong to."""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from typing import Literal

from localcloud.functions import running
from localcloud.functions.running import Running
from localcloud.functions.worker import invocation_in_thread

LEVELS = {
    "trace": 5,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}
"""Azure's level names."""

host_log = logging.getLogger("localcloud.functions")


def current_invocation() -> Running | None:
    """The invocation in whose code we are, on the event loop or in a thread of the worker."""
    found = running.current.get()
    if found is None and (invocation_id := invocation_in_thread()) is not None:
        found = running.by_id.get(invocation_id)
    return found


class LogLevels:
    """`logging.logLevel` of host.json: a category takes the level of its longest known prefix."""

    def __init__(self, levels: Mapping[str, str]) -> None:
        self._levels = {
            name.lower(): LEVELS.get(level.lower(), logging.INFO) for name, level in levels.items()
        }
        self._known: dict[str, int] = {}

    def of(self, category: str) -> int:
        """The lowest level that `category` logs."""
        if (level := self._known.get(category)) is None:
            level = self._known[category] = self._find(category.lower())
        return level

    def _find(self, category: str) -> int:
        while category:
            if (level := self._levels.get(category)) is not None:
                return level
            category = category.rpartition(".")[0]
        return self._levels.get("default", logging.INFO)

    def lowest(self) -> int:
        """The lowest level that any category logs."""
        return min([*self._levels.values(), self._levels.get("default", logging.INFO)])


class _ByCategory(logging.Filter):
    def __init__(self, levels: LogLevels) -> None:
        super().__init__()
        self._levels = levels

    def filter(self, record: logging.LogRecord) -> bool:
        tag = record.tag = current_invocation()
        if tag is None:
            category = "Host.General"
        elif record.name == host_log.name:
            category = f"Function.{tag.function.name}"
        else:
            category = f"Function.{tag.function.name}.User"
        return record.levelno >= self._levels.of(category)


def _utc(record: logging.LogRecord) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{moment}.{int(record.msecs):03d}Z"


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        tag: Running | None = getattr(record, "tag", None)
        where = f" [{tag.function.name} {tag.invocation_id}]" if tag else ""
        text = f"{_utc(record)} {record.levelname} functions{where} {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


_RESET = "\x1b[0m"
_COLOURS = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[31m"}
_DIM, _CYAN, _YELLOW, _GREEN = "\x1b[2m", "\x1b[36m", "\x1b[33m", "\x1b[32m"
_LISTED = re.compile(r"^(  )([^ :]+)(?=: )", re.MULTILINE)
_URL = re.compile(r"https?://\S+")


class _Terminal(logging.Formatter):
    """For a person's eyes; with colours unless the output is no terminal or NO_COLOR is set."""

    def __init__(self) -> None:
        super().__init__()
        self._colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        if getattr(record, "plain", False):
            return f"\n{self._listing(text)}\n"
        tag: Running | None = getattr(record, "tag", None)
        # The host's own lines name the function already.
        who = f"{tag.function.name}: " if tag and record.name != host_log.name else ""
        time = f"[{_utc(record)}]"
        if not self._colours:
            return f"{time} {who}{text}"
        colour = _COLOURS.get(record.levelno, "")
        return f"{_DIM}{time}{_RESET} {_CYAN}{who}{_RESET}{colour}{text}{_RESET if colour else ''}"

    def _listing(self, text: str) -> str:
        if not self._colours:
            return text
        named = _LISTED.sub(f"\\1{_YELLOW}\\2{_RESET}", text)
        return _URL.sub(f"{_GREEN}\\g<0>{_RESET}", named)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        tag: Running | None = getattr(record, "tag", None)
        line = {
            "time": _utc(record),
            "level": record.levelname,
            "part": "functions",
            "logger": record.name,
            "message": record.getMessage(),
        }
        if tag:
            line |= {
                "function": tag.function.name,
                "invocation_id": tag.invocation_id,
                "trace_id": tag.trace_id,
            }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _formatter(style: Literal["text", "json", "terminal"]) -> logging.Formatter:
    match style:
        case "json":
            return _Json()
        case "terminal":
            return _Terminal()
    return _Text()


def configure(levels: LogLevels, *, style: Literal["text", "json", "terminal"]) -> None:
    """Send every record, the app's included, to standard error.

    `style` is text for files, json for programs (an object a line), or terminal for people.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_ByCategory(levels))
    handler.setFormatter(_formatter(style))
    logging.basicConfig(level=levels.lowest(), handlers=[handler], force=True)
    # Chatty at Information, about their own workings, once per request or message.
    for name in ("azure", "httpx", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Looking up the caller of each record costs more than writing it, and nothing shows it.
    logging._srcfile = None  # noqa: SLF001 - the documented switch
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
