"""One local cloud for the whole test session, and everything a test needs to use and disturb it."""
