"""Secrets that are known from the start."""

from types import SimpleNamespace

from pydantic import SecretStr

from shared.secrets import NamedSecret, Secrets
from shared.secrets.environment import Environment


def known(value: str) -> NamedSecret:
    """A secret with that value, for good."""
    return Secrets(Environment(SimpleNamespace(secret=SecretStr(value)))).named("secret")
