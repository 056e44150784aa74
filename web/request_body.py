"""Discarding of what a request's handler did not read, so that its sender sees the answer and not a lost connection."""

import contextlib

from flask import Flask, Response, request

MAX_DISCARDED_BYTES = 64 * 1024 * 1024  # photos of phones are smaller
PIECE_BYTES = 64 * 1024


def init_app(app: Flask) -> None:
    """Read the rest of each request before its response, such as 413 or 429, goes out.

    Most clients, and proxies such as nginx, send all of a request before they look for the response. When a server
    closes the connection instead of reading on, they report a reset or 502.
    """

    @app.after_request
    def discard_rest(response: Response) -> Response:
        if request.environ.get("wsgi.input_terminated"):  # as by gunicorn; else a read could wait for ever
            left = MAX_DISCARDED_BYTES
            with contextlib.suppress(OSError):  # the client has gone, or sends nothing more
                while left > 0 and (piece := request.environ["wsgi.input"].read(PIECE_BYTES)):
                    left -= len(piece)
        return response
