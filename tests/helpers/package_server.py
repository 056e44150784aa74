"""Web servers on this machine for tests: one that replaces a package registry, and one that never answers."""

import contextlib
import http.server
import io
import socket
import tarfile
import threading
from collections.abc import Iterator, Mapping


class Server(http.server.ThreadingHTTPServer):
    """A server of `contents` (path -> bytes, or URL to redirect to), which records its requests.

    Attributes:
        requests: path and headers of each request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents: dict[str, bytes | str] = {}
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"http://{self.host}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        content = self.server.contents.get(self.path)
        if isinstance(content, str):
            self.send_response(302)
            self.send_header("Location", content)
            content = b""
        else:
            self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Yield the URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return a .tar.gz archive of name -> content, as registries serve it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@contextlib.contextmanager
def trickling() -> Iterator[str]:
    """Yield the URL of a server whose response never ends and has a byte every 50 ms."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopped = threading.Event()

        def respond() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                while not stopped.wait(0.05):
                    connection.sendall(b".")

        thread = threading.Thread(target=respond)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            thread.join()
