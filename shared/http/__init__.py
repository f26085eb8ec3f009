"""The HTTP border: authenticated, validated calls in; JSON, ETags and problem details out."""

from shared.http.api import Api, Operation
from shared.http.call import Call, Reply
from shared.http.content import Body, Page, Query
from shared.http.disclosure import AccessLog, Discloses, Disclosure
from shared.http.routing import Route
from shared.http.tags import decode_cursor, encode_cursor, etag_of, version_of
from shared.http.versions import Deprecated

__all__ = [
    "AccessLog",
    "Api",
    "Body",
    "Call",
    "Deprecated",
    "Discloses",
    "Disclosure",
    "Operation",
    "Page",
    "Query",
    "Reply",
    "Route",
    "decode_cursor",
    "encode_cursor",
    "etag_of",
    "version_of",
]
