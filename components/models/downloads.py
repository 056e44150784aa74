"""Downloads with timeouts for every step, so that an unreachable host fails within seconds."""

import base64
import http.client
import pathlib
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from components.base import artifacts

RESPONSE_SECONDS = 10.0  # for connecting and the first response
STALL_SECONDS = 20.0  # without any further data
DOWNLOAD_SECONDS = 3600.0  # for all of a file
MAX_BYTES = 2_000_000_000  # the weights of ConvNeXtXLarge have 1.4 GB
_BLOCK_BYTES = 1 << 20
_silent_hosts: set[str] = set()  # hosts that did not answer and are not tried again


def connect(url: str, opener: urllib.request.OpenerDirector | None = None) -> http.client.HTTPResponse:
    """Request `url`, which may contain a user and password, and return the response.

    RESPONSE_SECONDS is the limit for name lookup, all addresses of the host and redirects together.

    Raises:
        OSError: the host does not answer in time, cannot be reached, or responds with an error.
    """
    host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    if host in _silent_hosts:
        raise TimeoutError(f"{host} did not answer before")
    results: queue.SimpleQueue = queue.SimpleQueue()
    arguments = (_request(url), opener or urllib.request.build_opener(), results)
    threading.Thread(target=_open, args=arguments, daemon=True).start()
    try:
        result = results.get(timeout=RESPONSE_SECONDS)
    except queue.Empty:
        _silent_hosts.add(host)
        raise TimeoutError(f"{host} did not answer within {RESPONSE_SECONDS:g} s") from None
    if isinstance(result, Exception):
        raise result
    return result


def download(url: str, path: pathlib.Path, opener: urllib.request.OpenerDirector | None = None) -> None:
    """Download `url` to `path`.

    Raises:
        OSError: see `connect`; or the response stalls, takes longer than DOWNLOAD_SECONDS, or is larger than MAX_BYTES.
    """
    deadline = time.monotonic() + DOWNLOAD_SECONDS
    with connect(url, opener) as response, artifacts.naming(path), path.open("wb") as file:
        while block := response.read1(_BLOCK_BYTES):  # what has arrived: `read` would wait for a whole block
            file.write(block)
            if time.monotonic() > deadline:
                raise TimeoutError(f"the download takes longer than {DOWNLOAD_SECONDS:g} s")
            if file.tell() > MAX_BYTES:
                raise OSError(f"the response is larger than {MAX_BYTES:,} bytes")


def _request(url: str) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl(), headers={"User-Agent": "pilah"})
    if login:  # not sent to hosts that the response redirects to
        encoded = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {encoded}")
    return request


def _open(request: urllib.request.Request, opener: urllib.request.OpenerDirector, results: queue.SimpleQueue) -> None:
    try:
        results.put(opener.open(request, timeout=STALL_SECONDS))
    except urllib.error.HTTPError as error:
        error.close()
        results.put(OSError(f"HTTP {error.code} {error.reason}"))
    except Exception as error:  # invalid address, network, TLS or HTTP error
        results.put(error)
