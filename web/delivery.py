"""The delivery of pages and static files: addresses with a content hash, a year's cache, and gzip."""

import functools
import gzip
import hashlib
import io
import pathlib
import secrets
from typing import Any

from flask import Flask, Response, request

HASH_PARAMETER = "v"
HASH_LENGTH = 12  # hexadecimal digits
IMMUTABLE = "public, max-age=31536000, immutable"  # a year, the longest that caches are asked for
COMPRESSED = {  # types of text; photos are compressed already
    "text/html",
    "text/css",
    "text/javascript",
    "application/json",
    "image/svg+xml",
}
MIN_BYTES = 500  # shorter answers fit into one packet either way
MAX_PADDING_BYTES = 100


def init_app(app: Flask) -> None:
    """Add content hashes to the addresses of static files, and compress answers."""
    static = pathlib.Path(app.static_folder or "")

    @app.url_defaults
    def add_hash(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and HASH_PARAMETER not in values:
            values[HASH_PARAMETER] = content_hash(static / values["filename"])

    @app.after_request
    def deliver(response: Response) -> Response:
        path = None
        is_file = request.endpoint == "static" and request.method in ("GET", "HEAD")
        if is_file and request.view_args and response.status_code in (200, 206, 304):
            path = static / request.view_args["filename"]
            is_current = request.args.get(HASH_PARAMETER) == content_hash(path)
            response.headers["Cache-Control"] = IMMUTABLE if is_current else "no-cache"
        return _compressed(response, path)


def content_hash(path: pathlib.Path) -> str | None:
    """Return the hash of a file's content in its address, or None for a file that does not exist."""
    try:
        return _hash(path, path.stat().st_mtime_ns)
    except OSError:
        return None


@functools.lru_cache
def _hash(path: pathlib.Path, mtime_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:HASH_LENGTH]


def _compressed(response: Response, path: pathlib.Path | None) -> Response:
    """Compress a complete answer of text if the browser accepts gzip; `path` is its static file, if it is one."""
    if response.mimetype not in COMPRESSED or response.status_code in (204, 206):
        return response
    response.vary.add("Accept-Encoding")
    if response.status_code == 304:  # has no content
        return response
    is_stream = response.is_streamed and path is None
    if is_stream or not request.accept_encodings["gzip"] or response.headers.get("Content-Encoding"):
        return response
    if path is None:
        content = response.get_data()
        if len(content) < MIN_BYTES:
            return response
        response.set_data(_padded_gzip(content))
    else:
        response.direct_passthrough = False
        response.close()  # the open file
        response.set_data(_file_gzip(path, path.stat().st_mtime_ns))
    response.headers["Content-Encoding"] = "gzip"
    response.headers.pop("Accept-Ranges", None)  # ranges are of the plain file
    etag, _ = response.get_etag()
    if etag:
        response.set_etag(etag, weak=True)  # of the same content in another encoding; still found by If-None-Match
    return response


@functools.lru_cache
def _file_gzip(path: pathlib.Path, mtime_ns: int) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)


def _padded_gzip(content: bytes) -> bytes:
    """Compress a page, with a file name of random length, so that its size does not betray its secrets (BREACH)."""
    stream = io.BytesIO()
    padding = "p" * secrets.randbelow(MAX_PADDING_BYTES)
    with gzip.GzipFile(padding, "wb", compresslevel=6, fileobj=stream, mtime=0) as file:
        file.write(content)
    return stream.getvalue()
