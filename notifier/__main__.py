"""Starts a replica of the notifier: `python -m notifier`."""

import logging
import sys
import time

import uvloop
from pydantic import ValidationError

from notifier.app import create_app
from notifier.server import serve
from notifier.settings import Settings
from shared.pii import mask_logs


class _UtcFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)


def _configure_logging() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _UtcFormatter(
            "%(asctime)s.%(msecs)03dZ %(levelname)s notifier %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for talkative in ("httpx", "azure"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    mask_logs()


def main() -> None:
    """Serve until told to stop; a wrong setting ends it at once, by name."""
    _configure_logging()
    try:
        settings = Settings.from_environment()
    except ValidationError as wrong:
        sys.exit(str(wrong))
    app, registry = create_app(settings)
    try:
        uvloop.run(serve(app, registry, settings))
    except OSError as taken:
        sys.exit(f"cannot listen on {settings.notifier_host}:{settings.notifier_port}: {taken}")


if __name__ == "__main__":
    main()
