"""Notices that an app's files have changed."""

import os
from collections.abc import Iterator
from pathlib import Path

_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})
_SETTINGS = ("host.json", "local.settings.json")

Snapshot = frozenset[tuple[str, int, int]]
"""Path, time of change in ns, and size of every file that counts."""


def snapshot(script_root: Path) -> Snapshot:
    """The app's Python files, `host.json` and `local.settings.json`, as they are now.

    Hidden folders, virtual environments and installed packages do not count.
    """
    paths = [*_python_files(str(script_root)), *(str(script_root / name) for name in _SETTINGS)]
    found = []
    for path in paths:
        try:
            facts = os.stat(path)  # noqa: PTH116 - many files, twice a second
        except OSError:
            continue
        found.append((path, facts.st_mtime_ns, facts.st_size))
    return frozenset(found)


def _python_files(folder: str) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    if any(entry.name == "pyvenv.cfg" for entry in entries):
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _SKIPPED:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _python_files(entry.path)
        elif entry.name.endswith(".py"):
            yield entry.path
