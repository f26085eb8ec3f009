"""What the API's documents say about the whole: titles, conventions, the parts."""

TITLES = {
    "external": "Order platform for customers",
    "internal": "Order platform for employees",
    "partners": "Order platform for partners",
    "platform": "Order platform",
}

CONVENTIONS = """\
Orders, products, customers, payments and notifications.

**Errors** are `application/problem+json` (RFC 9457) with a stable `code`; somebody else's things \
are answered like missing ones, 404. **Money** is whole minor units beside an ISO 4217 currency: \
1299 EUR is 12.99 €. **Times** are ISO 8601 in UTC. **Lists** have `items` and a `next_cursor`, \
which asks for the following page. **Changes** of what has a version need its `ETag` in \
`If-Match`. **Unsafe requests** with an `Idempotency-Key` can be repeated: the same key and body \
get the first answer again, another body 422. Unknown fields and parameters are refused.

**Compatibility.** Within a version, operations, fields of answers, codes and new optional \
parameters may be added: ignore what you do not know. Everything else comes with a new version; \
what goes away is announced by `Deprecation` and `Sunset` headers (RFC 9745, RFC 8594).
"""

SERVICES = {
    "admin": "Running the platform.",
    "analytics": "Figures about the business.",
    "api-docs": "These documents.",
    "audit": "What happened, in a chain that cannot be altered unnoticed.",
    "customers": "People who buy, and what they agreed to.",
    "health": "Whether the platform serves.",
    "notifications": "What people are told, where and when.",
    "orders": "Placing, following, moving and calling off orders.",
    "payments": "Confirming, looking at and giving back money.",
    "products": "The catalogue and its stock.",
    "sessions": "Where a person is signed in.",
}
"""What each part is for, by the first word of its paths."""
