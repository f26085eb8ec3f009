"""The named values of the policies that follow from where the local cloud's parts are."""

from collections.abc import Iterable, Mapping

from localcloud.identity.directory import CLIENTS, EMPLOYEES


def addresses(
    functions_url: str, notifier_url: str, identity_url: str, admin_network: str
) -> dict[str, str]:
    """Where backends and tokens are, and who may administer: `admin_network` is `first-last`.

    ValueError when it is not.
    """
    first, dash, last = admin_network.partition("-")
    if not dash:
        raise ValueError(f"{admin_network!r} is not `first-last`")
    identity = identity_url.rstrip("/")
    clients = f"{identity}/{CLIENTS.id}/v2.0"
    return {
        "platform-url": functions_url.rstrip("/"),
        "notifier-url": notifier_url.rstrip("/"),
        "clients-openid-config": f"{clients}/.well-known/openid-configuration",
        "clients-issuer": clients,
        "employees-authority": identity,
        "employees-tenant-id": EMPLOYEES.id,
        "admin-network-from": first.strip(),
        "admin-network-to": last.strip(),
    }


def sign_in(named: Mapping[str, str]) -> dict[str, str]:
    """Where people sign in, by the name of their tenant, for the pages that let them."""
    authority = named["employees-authority"]
    return {
        "clients": f"{authority}/{CLIENTS.id}/oauth2/v2.0",
        "employees": f"{authority}/{EMPLOYEES.id}/oauth2/v2.0",
    }


def parsed(named: Iterable[str]) -> dict[str, str]:
    """Values given as `name=value`. ValueError for anything else."""
    values = {}
    for each in named:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise ValueError(f"{each!r} is not `name=value`")
        values[name] = value
    return values
