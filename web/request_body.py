"""Discard the part of a request that its handler did not read, so that the client gets the response, not a reset."""

import contextlib

from flask import Flask, Response, request

MAX_DISCARDED_BYTES = 64 * 1024 * 1024  # more than a phone's photo
CHUNK_BYTES = 64 * 1024


def init_app(app: Flask) -> None:
    """Read the rest of each request before its response, such as 413 or 429, is sent.

    Most clients, and proxies such as nginx, send the whole request before they read the response. If the server closes
    the connection before that, they report a reset or 502.
    """

    @app.after_request
    def discard_rest(response: Response) -> Response:
        if request.environ.get("wsgi.input_terminated"):  # gunicorn sets it; without it, a read could wait forever
            left = MAX_DISCARDED_BYTES
            with contextlib.suppress(OSError):  # the client disconnected or stopped sending
                while left > 0 and (chunk := request.environ["wsgi.input"].read(CHUNK_BYTES)):
                    left -= len(chunk)
        return response
