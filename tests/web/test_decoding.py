"""The child processes that decode uploads: their limits, and how the page continues after a failure."""

import io
import pathlib
import signal
import threading

import pytest
import upload_files
import web_app
from PIL import Image

from web import decoding, pictures

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
PROC = pathlib.Path("/proc")


@pytest.fixture
def decoder():
    return decoding.Decoder(upload_files.MAX_PIXELS)


def reason(decoder, upload):
    with pytest.raises(pictures.BadPictureError) as caught:
        decoder.plain(upload)
    return caught.value.reason


def descriptors(process_id):
    return len([*(PROC / process_id / "fd").iterdir()])


def test_child_returns_the_same_jpeg_as_in_process(decoder):
    assert decoder.plain(web_app.photo()) == pictures.plain(web_app.photo(), upload_files.MAX_PIXELS)


def test_child_raises_the_same_refusal_as_in_process(decoder):
    for upload in (b"", b"text", upload_files.png(100_000, 100_000), upload_files.jpeg_of_scans(101)):
        with pytest.raises(pictures.BadPictureError) as in_child:
            decoder.plain(upload)
        with pytest.raises(pictures.BadPictureError) as in_page:
            pictures.plain(upload, upload_files.MAX_PIXELS)
        assert vars(in_child.value) == vars(in_page.value)


@pytest.mark.parametrize(
    ("limit", "value"), [("CPU_SECONDS", 1e-3), ("WALL_SECONDS", -1.0), ("MEMORY_BYTES", 20_000_000)]
)
def test_upload_beyond_a_limit_is_refused_and_the_next_is_decoded(decoder, limit, value, monkeypatch):
    upload = upload_files.saved(Image.new("RGBA", (900, 900)), "PNG")
    with monkeypatch.context() as patched:
        patched.setattr(decoding, limit, value)
        assert reason(decoder, upload) == "costly"
    assert decoder.plain(upload)


def test_crashed_child_is_logged_and_its_photo_refused(decoder, monkeypatch, caplog):
    monkeypatch.setattr(decoding, "LIMIT_SIGNALS", set())  # treat SIGPROF as a crash
    monkeypatch.setattr(decoding, "CPU_SECONDS", 1e-3)
    upload = upload_files.saved(Image.effect_noise((900, 900), 80), "PNG")
    assert reason(decoder, upload) == "broken"
    assert f"exit code {-signal.SIGPROF}" in caplog.text


def test_messages_of_decoders_stay_out_of_the_pages_log(decoder, capfd):
    damaged = bytearray(upload_files.saved(upload_files.drawn("RGB"), "TIFF", compression="tiff_deflate"))
    damaged[8:16] = b"\x5a" * 8  # libtiff writes a line about this to standard error
    with pytest.raises(OSError):
        Image.open(io.BytesIO(damaged)).load()
    assert "ZIPDecode" in capfd.readouterr().err
    decoding.close()  # so that the next process writes to the captured standard error
    assert reason(decoder, bytes(damaged)) == "broken"
    assert capfd.readouterr().err == ""


def test_killed_decoding_process_is_restarted(decoder):
    decoder.plain(web_app.photo())
    process = decoding._process._process
    process.kill()
    process.wait()
    assert decoder.plain(web_app.photo())
    assert decoding._process._process.pid != process.pid


def test_hanging_decoding_process_is_replaced(decoder, monkeypatch):
    decoder.plain(web_app.photo())
    process = decoding._process._process
    process.send_signal(signal.SIGSTOP)
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "WALL_SECONDS", 0.1)
        patched.setattr(decoding, "HANG_SECONDS", 0.0)
        patched.setattr(decoding, "END_SECONDS", 0.1)
        assert reason(decoder, web_app.photo()) == "busy"
    assert process.returncode == -signal.SIGKILL
    assert decoder.plain(web_app.photo())


def test_decoding_process_ends_with_the_page_and_has_an_empty_environment(decoder):
    decoder.plain(web_app.photo())
    process = decoding._process._process
    assert (PROC / str(process.pid) / "environ").read_bytes() == b""
    assert descriptors(str(process.pid)) < 12  # it inherits only one of the page's files and sockets
    decoding.close()
    assert process.returncode == 0


def test_ended_children_leave_no_process_or_descriptor(decoder):
    decoder.plain(web_app.photo())
    before, process_id = descriptors("self"), str(decoding._process._process.pid)
    for _ in range(3):
        decoder.plain(web_app.photo())
    assert descriptors("self") == before
    web_app.wait_until(lambda: not (PROC / process_id / "task" / process_id / "children").read_text())


@pytest.fixture
def full_app(make_app, monkeypatch):
    """Yield a page that decodes a photo until the fixture ends, and has no room for another."""
    monkeypatch.setattr(decoding, "AT_ONCE", 1)
    monkeypatch.setattr(decoding, "MAX_QUEUED", 0)
    app = make_app()
    started, finish = threading.Event(), threading.Event()
    run = decoding._run
    monkeypatch.setattr(decoding, "_run", lambda *arguments: (started.set(), finish.wait(), run(*arguments))[2])
    first = threading.Thread(target=web_app.classify, args=(app, web_app.photo()))
    first.start()
    started.wait()
    yield app
    finish.set()
    first.join()


def test_upload_beyond_the_queue_is_503_at_once(full_app):
    answer = web_app.classify(full_app, web_app.photo())
    page = web_app.Browser(full_app).upload()
    assert (answer.status_code, answer.json["error"]) == (503, "busy")
    assert page.status_code == 503 and "Too many photos are being processed" in page.text
    for headers in (answer.headers, page.headers):
        assert int(headers["Retry-After"]) >= pictures.RETRY_AFTER_SECONDS  # more if the rate limit ends later
    assert full_app.test_client().get("/healthz").status_code == 200


def test_upload_that_waits_too_long_is_503(decoder, monkeypatch):
    monkeypatch.setattr(decoding, "QUEUE_SECONDS", 0.01)
    for _ in range(decoding.AT_ONCE):
        decoder._slots.acquire()
    assert reason(decoder, web_app.photo()) == "busy"


def test_costly_upload_is_explained_and_counted(make_app, monkeypatch):
    app = make_app()
    monkeypatch.setattr(decoding, "CPU_SECONDS", 1e-3)
    answer = web_app.classify(app, upload_files.saved(Image.new("L", (900, 900)), "PNG"))
    assert (answer.status_code, answer.json["error"]) == (400, "costly")
    assert "takes too much time or memory" in answer.json["detail"]
    assert web_app.rows(app) == web_app.files(app) == []
    assert 'pilah_uploads_total{outcome="costly"}' in app.test_client().get("/metrics").text
