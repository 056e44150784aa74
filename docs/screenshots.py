"""Take the pictures of docs/images/: every page, narrow and wide, light and dark, and the report of a run.

    python -m docs.screenshots [RUN]

RUN is a finished run, runs/demo by default. It needs Chromium (apt-get install chromium) and no model server: the
scores on the pages are made up here.
"""

import datetime
import hashlib
import io
import json
import logging
import pathlib
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, Literal

import werkzeug.serving
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from PIL import Image, ImageFilter
from playwright import sync_api

import web
from components.demo import synthetic_photos
from web import pictures, uploads
from web.database import State, Upload, db

IMAGES = pathlib.Path(__file__).parent / "images"
SITE = "pilah.example"  # what the pages show as their address, on every machine
EXAMPLE_RUN = "runs/demo"
REPORT_SIZE: sync_api.ViewportSize = {"width": 1280, "height": 800}  # its first screen
WIDTHS_PX: dict[int, dict[str, Any]] = {
    360: {"is_mobile": True, "has_touch": True, "device_scale_factor": 1.5},
    1280: {},
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
VISITOR = "0" * 32
SEED = 7
COLOURS = 256  # of a picture's palette: keeps each below 100 kB
NEWEST = datetime.datetime(2026, 3, 14, 2, 30)
ROWS = (  # of the history, the newest first: class, probability, the visitor's correction
    ("glass", 0.934, None),
    ("plastic", 0.571, "glass"),
    ("cardboard", 0.982, None),
    (None, None, None),
    ("metal", 0.887, None),
    ("paper", 0.764, "cardboard"),
    ("trash", 0.655, None),
)


def main() -> None:
    report_path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else EXAMPLE_RUN, "report", "index.html").resolve()
    if not report_path.exists():
        sys.exit(f"{report_path} is missing. Make a run first, or name one.")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_api.sync_playwright() as playwright:
        classes = sorted({name for name, _, _ in ROWS if name})
        pathlib.Path(folder, "model.json").write_text(json.dumps({"classes": classes}))
        own = {"pilah_data": folder, "model_folder": folder, "serving_target": "localhost:9"}
        app = web.create_app({"pilah_env": "development", **own})
        logging.disable(logging.INFO)  # a line a request
        rows = _add_rows(app)
        server = werkzeug.serving.make_server("localhost", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                "--no-sandbox",
                f"--host-resolver-rules=MAP {SITE}:80 localhost:{server.server_port}",
                f"--unsafely-treat-insecure-origin-as-secure=http://{SITE}",
            ],
        )
        for name, page in _pages(app, browser, rows):
            _write(IMAGES / f"{name}.png", _whole(page))
        report = browser.new_page(viewport=REPORT_SIZE)
        report.goto(report_path.as_uri())
        _write(IMAGES / "report.png", report.screenshot())
        server.shutdown()


def _pages(app: Flask, browser: sync_api.Browser, rows: list[str]) -> Iterator[tuple[str, sync_api.Page]]:
    """Each page as it should be seen, under the name of its picture."""
    paths = {"home": "/", "classify": "/classify", "result": f"/result/{rows[0]}", "corrected": f"/result/{rows[1]}"}
    paths |= {"waiting": f"/result/{rows[3]}", "history": "/history", "operator": "/operator", "error": "/nothing"}
    sessions = app.session_interface
    assert isinstance(sessions, SecureCookieSessionInterface)
    serializer = sessions.get_signing_serializer(app)
    assert serializer
    for width, options in WIDTHS_PX.items():
        for scheme in SCHEMES:
            context = browser.new_context(
                viewport={"width": width, "height": 740},
                color_scheme=scheme,
                locale="en-GB",
                timezone_id="Asia/Jakarta",
                **options,
            )
            context.add_cookies(
                [{"name": "session", "value": serializer.dumps({"visitor": VISITOR}), "url": f"http://{SITE}"}]
            )
            for name, path in paths.items():
                page = context.new_page()
                page.goto(f"http://{SITE}{path}", wait_until="networkidle")
                if name == "classify":
                    photo: sync_api.FilePayload = {
                        "name": "bottle.jpg",
                        "mimeType": "image/jpeg",
                        "buffer": _photo("glass", 1),
                    }
                    page.set_input_files("#image", photo)
                    page.wait_for_selector("#preview:visible")
                yield f"{name}-{width}-{scheme}", page
                page.close()
            context.close()


def _whole(page: sync_api.Page) -> bytes:
    """All of the page: on a higher screen, since Playwright's own way forgets that a phone is touched."""
    height = page.evaluate("document.documentElement.scrollHeight")
    size = page.viewport_size
    assert size
    page.set_viewport_size({"width": size["width"], "height": height})
    return page.screenshot()


def _add_rows(app: Flask) -> list[str]:
    """Ids of `ROWS`."""
    ids = [hashlib.sha256(str(index).encode()).hexdigest()[:32] for index in range(len(ROWS))]
    with app.app_context():
        db.create_all()
        for index, (class_name, score, corrected_class) in enumerate(ROWS):
            picture = pictures.plain(_photo(corrected_class or class_name or "trash", index + 1), 1_000_000)
            uploads.service().store.add(ids[index], picture)
            time = NEWEST - index * datetime.timedelta(hours=5, minutes=13)
            answer: dict[str, Any] = {"state": State.WAITING}
            if class_name and score:
                answer = {"state": State.DONE, "class_name": class_name, "score": score, "model_version": 3}
                answer |= {"scores": _scores(class_name, score), "corrected_class": corrected_class}
            db.session.add(Upload(id=ids[index], visitor=VISITOR, created_at=time, **answer))
        db.session.commit()
    return ids


def _scores(class_name: str, score: float) -> dict[str, float]:
    """What is left of 1 halves from class to class."""
    others = [name for name in synthetic_photos.CLASSES if name != class_name]
    shares = [2.0**-place for place in range(len(others))]
    left = {name: (1 - score) * share / sum(shares) for name, share in zip(others, shares, strict=True)}
    return {name: score if name == class_name else left[name] for name in synthetic_photos.CLASSES}


def _photo(class_name: str, index: int) -> bytes:
    stream = io.BytesIO()
    photo = synthetic_photos.draw(class_name, index, SEED).filter(
        ImageFilter.MedianFilter(3)
    )  # less noise: smaller pictures
    photo.resize([5 * side for side in synthetic_photos.SIZE_PX], Image.Resampling.BICUBIC).save(
        stream, "JPEG", quality=90
    )
    return stream.getvalue()


def _write(path: pathlib.Path, png: bytes) -> None:
    with Image.open(io.BytesIO(png)) as image:
        palette = image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
        palette.save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    main()
