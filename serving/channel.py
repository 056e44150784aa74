"""Connect to a model server: check its address, retry calls, and recognize a port that speaks HTTP instead of gRPC."""

import json
import re
import socket

import grpc

_ADDRESS_PATTERN = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%\w]+\]):([0-9]{1,5})")
_PROBE_SECONDS = 1.0
MAX_ATTEMPTS = 5  # gRPC allows no more
# Only UNAVAILABLE is retried: the server did not answer such a call. The first wait is about 0.2 s, then it doubles.
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": MAX_ATTEMPTS,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
CHANNEL_OPTIONS = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),  # the model server is on the local network
    ("grpc.keepalive_time_ms", 60_000),  # notices a dead connection before the next call
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),  # the default of 1 s to 2 min is too long for a server that restarts
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


def connect(target: str, root_certificates: bytes | None) -> grpc.Channel:
    """Return a channel to `target` (HOST:PORT), with TLS unless `root_certificates` is None; b"" uses the system's."""
    if root_certificates is None:
        return grpc.insecure_channel(target, CHANNEL_OPTIONS)
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(root_certificates or None), CHANNEL_OPTIONS)


def check_address(text: str) -> None:
    """Raise ValueError with the rule if `text` is not HOST:PORT."""
    match = _ADDRESS_PATTERN.fullmatch(text)
    if not match or not 0 < int(match[1]) < 2**16:
        raise ValueError(f"must be HOST:PORT of the model server's gRPC port, such as localhost:8500 (got {text!r}).")


def http_error(address: str) -> str:
    """Return an error message if the server at `address` (HOST:PORT) speaks HTTP, else "".

    A gRPC call to such a server only ends at its deadline.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PROBE_SECONDS) as connection:
            connection.settimeout(_PROBE_SECONDS)
            connection.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            is_http = connection.recv(7) == b"HTTP/1."
    except (OSError, UnicodeError):  # UnicodeError: an invalid host name, such as a..b
        return ""
    if not is_http:
        return ""
    return (
        f"{address} speaks HTTP, not gRPC: it is the model server's REST port, or another program's port. "
        "Use the model server's gRPC port, 8500 by default."
    )
