"""How often one address may upload, and how often it may try an operator's token."""

import ipaddress

import flask_limiter
from flask import Flask, current_app
from flask_limiter.util import get_remote_address

IPV6_PREFIX = 64  # bits that one connection is given: it may make up all others


def counted_address() -> str:
    """The address that this request is counted by; the /64 of an IPv6 one."""
    given = get_remote_address()
    try:
        address = ipaddress.IPv6Address(given)
    except ValueError:  # IPv4, or what a proxy wrote instead
        return given
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address.packed, IPV6_PREFIX), strict=False))


limiter = flask_limiter.Limiter(counted_address, storage_uri="memory://")
SIGN_IN_RATE = "10 per minute"


def init_app(app: Flask) -> None:
    limiter.init_app(app)


def upload_rate() -> str:
    return current_app.config["PILAH"].upload_rate


uploads = limiter.shared_limit(upload_rate, scope="uploads", methods=["POST"])
sign_ins = limiter.limit(SIGN_IN_RATE, methods=["POST"])
