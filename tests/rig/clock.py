"""A clock that can be set while the parts of the local cloud run by it, without root."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from localcloud.parts import Command, Part, Site


class Clock:
    """Its parts see the real time, and whatever that was moved by.

    The monotonic clock is left alone, as it is when somebody sets a machine's clock.
    """

    def __init__(self, file: Path) -> None:
        package = find_spec("libfaketime")
        assert package is not None
        assert package.origin is not None
        sources = Path(package.origin).parent / "vendor" / "libfaketime" / "src"
        self._file, self._library = file, sources / "libfaketime.so.1"
        self.set(0)

    def set(self, ahead_s: int) -> None:
        """From now on the time is so many seconds ahead of the real one, or behind it."""
        scratch = self._file.with_suffix(".new")
        scratch.write_text(f"{ahead_s:+d}\n")
        scratch.chmod(0o644)  # the database's user has to read it
        scratch.replace(self._file)

    def governed(self, part: Part) -> Part:
        """The part, running by this clock."""
        surroundings = {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

        def command(site: Site) -> Command:
            usual = part.command(site)
            # By `env` and not by the settings: the library belongs into the part alone, not into
            # the launcher, which may be another user.
            words = [f"{name}={value}" for name, value in surroundings.items()]
            return replace(usual, arguments=["/usr/bin/env", *words, *usual.arguments])

        return replace(part, command=command)
