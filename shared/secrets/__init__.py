"""The product's secrets: where they come from, how long they are kept, and how they stay unseen."""

from shared.secrets.keeping import NamedSecret, Secrets
from shared.secrets.secret import Secret, SecretMissing, SecretUnavailable, StoreAway
from shared.secrets.stores import store_of

__all__ = [
    "NamedSecret",
    "Secret",
    "SecretMissing",
    "SecretUnavailable",
    "Secrets",
    "StoreAway",
    "store_of",
]
