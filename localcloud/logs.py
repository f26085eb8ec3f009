"""The parts' log files: opened for appending, kept small, read and followed."""

import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

SIZE_MAX = 10 * 1024 * 1024
_POLL_S = 0.2


def open_log(file: Path) -> IO[bytes]:
    """The file for appending, which is what lets `rotate` empty it under a running writer."""
    return os.fdopen(_append_only(file), "ab")


def log_handler(file: Path) -> logging.Handler:
    """Sends this process's own log records to the file."""
    return logging.StreamHandler(os.fdopen(_append_only(file), "a"))


def rotate(file: Path, size_max: int = SIZE_MAX) -> None:
    """Move the content of an overlong log to `<name>.1`, replacing the one before.

    The file itself stays, for its writer holds it open; lines written meanwhile may be lost.
    """
    try:
        if file.stat().st_size <= size_max:
            return
    except FileNotFoundError:
        return
    previous = file.with_suffix(".log.1")
    with file.open("rb") as source, open_log(previous) as target:
        target.truncate(0)
        while chunk := source.read(1 << 20):
            target.write(chunk)
    os.truncate(file, 0)


def last_lines(file: Path, count: int) -> list[str]:
    """The last lines of a log, oldest first; none when there is no log."""
    try:
        with file.open(errors="replace") as reader:
            return [line.rstrip("\n") for line in deque(reader, maxlen=count)]
    except FileNotFoundError:
        return []


def follow(files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Every line written from now on, with its file, until the caller stops asking."""
    positions = {file: _size(file) for file in files}
    unfinished = dict.fromkeys(files, "")
    while True:
        for file in files:
            if _size(file) < positions[file]:  # rotated or reset
                positions[file] = 0
            if _size(file) == positions[file]:
                continue
            with file.open(errors="replace") as reader:
                reader.seek(positions[file])
                text = unfinished[file] + reader.read()
                positions[file] = reader.tell()
            *lines, unfinished[file] = text.split("\n")
            for line in lines:
                yield file, line
        time.sleep(_POLL_S)


def _append_only(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
