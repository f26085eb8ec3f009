"""The refusals with which the host declines to start."""

NEEDS_STORE = 3
"""Exit code of a host that was started by `functions start` and lacks a database."""

NEEDS_ACCOUNT = 4
"""Exit code of a host that was started by `functions start` and lacks a storage account."""

RECYCLE = 200
"""Exit code of a host that wants to be started anew, as Azure's workers have it."""


class StartRefused(Exception):
    """The app cannot be run as it is set up; the message says why, for a person."""


class StoreMissing(StartRefused):
    """The app uses Durable Functions, and no database is set for them."""


class AccountMissing(StartRefused):
    """The app uses storage, and no account is set for it but perhaps the emulator's."""
