"""Files in the state folder that survive a crash at any moment."""

import os
from pathlib import Path


def replace_file(path: Path, text: str, *, private: bool = False) -> None:
    """Write `text` in one step: a crash leaves the old file or the new one, never half of it.

    A `private` file is readable by its owner only.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    mode = 0o600 if private else 0o644
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
