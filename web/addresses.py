"""The address of a request's client, for the log, the limits and access to metrics."""

import ipaddress
from collections.abc import Iterable

from flask import request

IPV6_PREFIX = 64  # bits that a provider assigns to a connection; its clients choose the others
UNKNOWN = "unknown"  # shared by all clients without a valid address, so that inventing one evades no limit

FORWARDING_HEADERS = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Via")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse(text: str | None) -> Address | None:
    """Return the IP address in `text` without its port, zone and brackets, or None if there is none.

    Proxies may write 192.0.2.1:40001 or [2001:db8::1]:40001 to X-Forwarded-For. An IPv4 address in IPv6 form
    (::ffff:192.0.2.1) is returned as IPv4.
    """
    host = (text or "").strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def client() -> str:
    """Return the client's address for the log."""
    return str(parse(request.remote_addr) or UNKNOWN)


def rate_limit_key() -> str:
    """Return the address that rate limits count; for IPv6, its /64 network."""
    address = parse(request.remote_addr)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address.packed, IPV6_PREFIX), strict=False))
    return str(address or UNKNOWN)


def is_direct_from(networks: Iterable[Network]) -> bool:
    """Return whether the request came from a machine in `networks` without a proxy in between."""
    if any(name in request.headers for name in FORWARDING_HEADERS):
        return False
    peer = parse(request.environ.get("REMOTE_ADDR"))
    return peer is not None and any(peer in network for network in networks)
