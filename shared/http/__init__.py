"""The HTTP border: authenticated, validated calls in; JSON, ETags and problem details out."""

from shared.http.api import Api, Operation
from shared.http.call import Call, Reply
from shared.http.content import Body, Page, Query
from shared.http.tags import decode_cursor, encode_cursor, etag_of, version_of

__all__ = [
    "Api",
    "Body",
    "Call",
    "Operation",
    "Page",
    "Query",
    "Reply",
    "decode_cursor",
    "encode_cursor",
    "etag_of",
    "version_of",
]
