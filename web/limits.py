"""Rate limits per address for uploads and for sign-ins of the operator."""

import ipaddress

import flask_limiter
from flask import Flask, current_app
from flask_limiter.util import get_remote_address

IPV6_PREFIX = 64  # bits assigned to a connection, which can choose the others freely


def counted_address() -> str:
    """Return the address under which this request is counted; for IPv6, its /64 network."""
    remote = get_remote_address()
    try:
        address = ipaddress.IPv6Address(remote)
    except ValueError:  # IPv4, or another identifier from a proxy
        return remote
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address.packed, IPV6_PREFIX), strict=False))


limiter = flask_limiter.Limiter(counted_address, storage_uri="memory://")
SIGN_IN_RATE = "10 per minute"


def init_app(app: Flask) -> None:
    limiter.init_app(app)


def upload_rate() -> str:
    return current_app.config["PILAH"].upload_rate


uploads = limiter.shared_limit(upload_rate, scope="uploads", methods=["POST"])
sign_ins = limiter.limit(SIGN_IN_RATE, methods=["POST"])
