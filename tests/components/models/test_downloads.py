import base64
import time

import package_server
import pytest

from components.models import downloads


@pytest.fixture
def server():
    with package_server.serving() as server:
        yield server


def test_content_is_written(server, tmp_path):
    server.contents["/weights.h5"] = b"weights"
    downloads.download(f"{server.url}/weights.h5", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"weights"


def test_error_status_raises_with_its_number(server, tmp_path):
    with pytest.raises(OSError, match="HTTP 404"):
        downloads.download(f"{server.url}/weights.h5", tmp_path / "file")


def test_silent_host_is_waited_for_once(monkeypatch):
    monkeypatch.setattr(downloads, "_silent_hosts", set())  # another test may reuse the port
    monkeypatch.setattr(downloads, "RESPONSE_SECONDS", 0.5)
    with package_server.silent() as url:
        start = time.monotonic()
        for _ in range(20):
            with pytest.raises(TimeoutError, match="did not answer"):
                downloads.connect(f"{url}/weights.h5")
        assert time.monotonic() - start < 5


def test_name_lookup_that_hangs_times_out(monkeypatch):
    monkeypatch.setattr(downloads, "_silent_hosts", set())
    monkeypatch.setattr(downloads, "RESPONSE_SECONDS", 0.5)
    monkeypatch.setattr(downloads.urllib.request.OpenerDirector, "open", lambda *args, **kwargs: time.sleep(3))
    with pytest.raises(TimeoutError, match=r"hangs\.invalid did not answer within 0\.5 s"):
        downloads.connect("http://hangs.invalid/weights.h5")


def test_response_that_is_too_large_raises(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_BYTES", 5)
    server.contents["/weights.h5"] = b"weights"
    with pytest.raises(OSError, match="larger than 5 bytes"):
        downloads.download(f"{server.url}/weights.h5", tmp_path / "file")


def test_download_that_trickles_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "DOWNLOAD_SECONDS", 0.5)
    with package_server.trickling() as url:
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="takes longer"):
            downloads.download(f"{url}/weights.h5", tmp_path / "file")
        assert time.monotonic() - start < 5


def test_password_is_sent_to_its_host_and_not_to_redirects(server):
    with package_server.serving() as other:
        server.contents["/private"], other.contents["/elsewhere"] = f"{other.url}/elsewhere", b"content"
        with downloads.connect(f"http://us%40er:secret@{server.host}/private") as response:
            assert response.read() == b"content"
    ((_, sent),), ((_, redirected),) = server.requests, other.requests
    assert sent["Authorization"] == f"Basic {base64.b64encode(b'us@er:secret').decode()}"
    assert "Authorization" not in redirected
