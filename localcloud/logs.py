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
    """Every line written after this call, with its file, for as long as the caller asks."""
    return _new_lines([_Tail(file) for file in files])


class _Tail:
    """One file's lines from a position on."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._position = _size(file)
        self._unfinished = ""

    def read(self) -> list[str]:
        """The lines that were completed since the last call."""
        size = _size(self.file)
        if size < self._position:  # rotated
            self._position = 0
        if size == self._position:
            return []
        with self.file.open(errors="replace") as reader:
            reader.seek(self._position)
            text = self._unfinished + reader.read()
            self._position = reader.tell()
        *lines, self._unfinished = text.split("\n")
        return lines


def _new_lines(tails: Sequence[_Tail]) -> Iterator[tuple[Path, str]]:
    while True:
        for tail in tails:
            for line in tail.read():
                yield tail.file, line
        time.sleep(_POLL_S)


def _append_only(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
