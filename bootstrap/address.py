"""This machine's address as the world sees it, from which alone a cluster may be reached over SSH."""

import ipaddress
from dataclasses import replace

from bootstrap.settings import Settings
from fruits.errors import BadArgument

ASKED = "https://checkip.amazonaws.com"  # AWS's own: answers with the address from which it is asked
SECONDS = 10


def with_address(settings: Settings) -> Settings:
    """The same, with the address to which SSH is open filled in where it is needed and was not given. Raises `BadArgument`."""
    if settings.access.way != "ssh" or settings.access.cidr:
        return settings
    import requests

    try:
        answer = requests.get(ASKED, timeout=SECONDS)
        answer.raise_for_status()
        address = ipaddress.ip_address(answer.text.strip())
    except (requests.RequestException, ValueError) as failed:
        raise BadArgument(f"{ASKED} does not say this machine's address: {failed}", "give [access] cidr") from failed
    return replace(settings, access=replace(settings.access, cidr=f"{address}/{address.max_prefixlen}"))
