"""Who may come in at all: `check-header` and `ip-filter`."""

import ipaddress

from localcloud.gateway.policy.building import Builder, Step, check
from localcloud.gateway.policy.context import Context
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.policy.xml import Element

type _Range = tuple[int, int, int]
"""IP version, first and last address as numbers."""


def check_header(element: Element, builder: Builder) -> Step:
    """A header must be there, with one of the values if any are given.

    Source: https://learn.microsoft.com/azure/api-management/check-header-policy
    """
    check(
        element,
        required=("name", "failed-check-httpcode", "failed-check-error-message", "ignore-case"),
        children=("value",),
    )
    name = builder.attribute(element, "name")
    status = builder.number(element, "failed-check-httpcode", None, 400, 599)
    message = builder.attribute(element, "failed-check-error-message")
    fold = builder.flag(element, "ignore-case", default=False)
    allowed = {_folded(text, fold) for text in builder.constants(element, "value")}

    def step(context: Context) -> None:
        found = context.request.headers.get(name)
        if not found:
            raise Refusal(
                source="check-header", reason="HeaderNotFound", message=message, status=status
            )
        if allowed and _folded(found, fold) not in allowed:
            raise Refusal(
                source="check-header",
                reason="HeaderValueNotAllowed",
                message=message,
                status=status,
            )

    return step


def _folded(text: str, fold: bool) -> str:
    return text.lower() if fold else text


def ip_filter(element: Element, builder: Builder) -> Step:
    """Only (or all but) the given addresses and ranges; anyone else gets 403.

    Source: https://learn.microsoft.com/azure/api-management/ip-filter-policy
    """
    check(element, required=("action",), children=("address", "address-range"))
    allow = builder.choice(element, "action", "", "allow", "forbid") == "allow"
    ranges = [_range(child, builder) for child in element.children]
    if not ranges:
        raise element.fault("<ip-filter> needs an address or an address-range")

    def step(context: Context) -> None:
        caller = _number(context.request.ip)
        if caller is None:
            raise _refused(
                "FailedToParseCallerIP", "Failed to establish IP address for the caller."
            )
        version, number = caller
        inside = any(v == version and low <= number <= high for v, low, high in ranges)
        if inside is not allow:
            reason = "CallerIpNotAllowed" if allow else "CallerIpBlocked"
            raise _refused(reason, "Caller IP address is not allowed. Access denied.")

    return step


def _refused(reason: str, message: str) -> Refusal:
    return Refusal(source="ip-filter", reason=reason, message=message, status=403)


def _number(text: str) -> tuple[int, int] | None:
    """Version and number of an address; an IPv4 address inside IPv6 counts as what it is."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.version, int(address)


def _range(child: Element, builder: Builder) -> _Range:
    if child.tag == "address":
        check(child, text=True)
        texts = (builder.constant(child, child.text),) * 2
    else:
        check(child, required=("from", "to"))
        texts = (builder.attribute(child, "from"), builder.attribute(child, "to"))
    low, high = (_number(text) for text in texts)
    if low is None or high is None:
        raise child.fault(f"{texts[0]} – {texts[1]} is no address range")
    if low[0] != high[0] or low[1] > high[1]:
        raise child.fault(f"{texts[0]} – {texts[1]} is no address range")
    return low[0], low[1], high[1]
