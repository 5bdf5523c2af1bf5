"""Access: API keys, the sessions of people who use one on a page, and the rate limit of a key."""

from modelwatch.access.grants import EVERYTHING, SCOPES, Grant, Throttle
from modelwatch.access.known_keys import KnownKeys
from modelwatch.access.tokens import NewToken, Token, hash_of, new_token, parse_token
from modelwatch.storage.secrets.api_keys import Scope

__all__ = [
    "EVERYTHING",
    "SCOPES",
    "Grant",
    "KnownKeys",
    "NewToken",
    "Scope",
    "Throttle",
    "Token",
    "hash_of",
    "new_token",
    "parse_token",
]
