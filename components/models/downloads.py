"""Downloads that end on every network: on one that drops packets, an address fails after seconds."""

import base64
import http.client
import pathlib
import queue
import threading
import urllib.error
import urllib.parse
import urllib.request

ANSWER_SECONDS = 10.0  # for connecting and the first answer
STALL_SECONDS = 20.0  # for each further block
MAX_BYTES = 500_000_000
_BLOCK_BYTES = 1 << 20
_silent_hosts: set[str] = set()  # those that did not answer, which need not be waited for again


def connect(url: str, opener: urllib.request.OpenerDirector | None = None) -> http.client.HTTPResponse:
    """Request `url`, which may hold a user and password, and return the answer.

    Name lookup, each address of the host and redirects have ANSWER_SECONDS together.

    Raises:
        OSError: no answer in time, none at all, or an error as the answer.
    """
    host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    if host in _silent_hosts:
        raise TimeoutError(f"{host} did not answer before")
    answers: queue.SimpleQueue = queue.SimpleQueue()
    arguments = (_request(url), opener or urllib.request.build_opener(), answers)
    threading.Thread(target=_open, args=arguments, daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        _silent_hosts.add(host)
        raise TimeoutError(f"{host} did not answer within {ANSWER_SECONDS:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def download(url: str, path: pathlib.Path, opener: urllib.request.OpenerDirector | None = None) -> None:
    """Write what `url` answers to `path`.

    Raises:
        OSError: see `connect`; or the answer stalls, or is larger than MAX_BYTES.
    """
    with connect(url, opener) as response, path.open("wb") as file:
        while block := response.read(_BLOCK_BYTES):
            file.write(block)
            if file.tell() > MAX_BYTES:
                raise OSError(f"the answer is larger than {MAX_BYTES:,} bytes")


def _request(url: str) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl(), headers={"User-Agent": "pilah"})
    if login:  # and not where the answer redirects to another host
        encoded = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {encoded}")
    return request


def _open(request: urllib.request.Request, opener: urllib.request.OpenerDirector, answers: queue.SimpleQueue) -> None:
    try:
        answers.put(opener.open(request, timeout=STALL_SECONDS))
    except urllib.error.HTTPError as error:
        error.close()
        answers.put(OSError(f"HTTP {error.code} {error.reason}"))
    except Exception as error:  # of the address, the network, TLS or HTTP
        answers.put(error)
