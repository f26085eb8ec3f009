"""The refusals with which the host declines to start."""


class StartRefused(Exception):
    """The app cannot be run as it is set up; the message says why, for a person."""
