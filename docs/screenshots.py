"""Take the pictures of docs/images/ that show the page, on a phone, and the report of a run.

    python -m docs.screenshots [RUN]

RUN is a finished run, runs/demo by default. It needs Chromium (apt-get install chromium) and no model server: the
scores, prediction sets and heat map on the pages are made up here. The model card is that of ResNet50 with the thesis's
photos; the results of each certainty are of the frozen model in docs/trust.md.
"""

import datetime
import hashlib
import io
import json
import logging
import math
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
from serving import client
from web import model_card, pictures, uploads
from web.database import State, Upload, db

IMAGES = pathlib.Path(__file__).parent / "images"
SITE = "pilah.example"  # what the pages show as their address, on every machine
EXAMPLE_RUN = "runs/demo"
REPORT_SIZE: sync_api.ViewportSize = {"width": 1280, "height": 800}  # its first screen
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 1.5,
}
VISITOR = "0" * 32
SEED = 7
SET_SCORE = 0.15  # of the classes in a prediction set
HEATMAP = [[max(0.0, 1 - math.hypot(row - 4, column - 3) / 4) for column in range(7)] for row in range(7)]
COLOURS = 256  # of a picture's palette: keeps each below 150 kB
NEWEST = datetime.datetime(2026, 3, 14, 2, 30)
ROWS: tuple[tuple[dict[str, float], dict[str, str]], ...] = (
    # of the history, the newest first: scores of the likeliest classes, the visitor's answer
    ({"glass": 0.964, "metal": 0.021, "plastic": 0.013}, {}),
    ({"metal": 0.660, "glass": 0.197, "plastic": 0.122}, {}),
    ({"paper": 0.380, "trash": 0.340, "cardboard": 0.240}, {}),
    ({"paper": 0.660, "trash": 0.197, "cardboard": 0.122}, {"corrected_class": "metal"}),
    ({}, {}),
    ({"cardboard": 0.982, "paper": 0.012}, {"feedback": "confirmed"}),
    ({"plastic": 0.655, "glass": 0.210, "metal": 0.101}, {"feedback": "several"}),
)
PICTURES: dict[str, tuple[str | int, Literal["light", "dark"]]] = {  # name -> path, or row of a result; scheme
    "home": ("/", "light"),
    "sure": (0, "light"),
    "unsure": (2, "light"),
    "corrected": (3, "light"),
    "heatmap": (0, "light"),
    "history": ("/history", "dark"),
    "about": ("/about", "light"),
}
VERSION = 3
MATRIX = (  # of scenario 7 of the thesis's photos, as in docs/results-details.md
    (373, 0, 5, 23, 1, 1),
    (1, 444, 37, 0, 14, 2),
    (1, 14, 381, 0, 4, 9),
    (20, 2, 6, 540, 4, 22),
    (0, 39, 22, 5, 401, 13),
    (2, 4, 13, 15, 7, 96),
)
CARD: dict[str, Any] = {
    "synthetic": False,
    "random_weights": False,
    "photos": 2521,
    "right": 2235,
    "folds": 5,
    "f1": 0.863,
    "f1_low": 0.847,
    "f1_high": 0.878,
    "coverage": 0.95,
    "certainty": [
        {"name": "sure", "answers": 1850, "right": 1775},
        {"name": "unsure", "answers": 645, "right": 607},
        {"name": "untypical", "answers": 26, "right": 19},
    ],
    "classes": [
        {
            "name": name,
            "photos": sum(row),
            "right": row[number],
            "precision": row[number] / sum(any_row[number] for any_row in MATRIX),
            "recall": row[number] / sum(row),
            "f1": 2 * row[number] / (sum(row) + sum(any_row[number] for any_row in MATRIX)),
        }
        for number, (name, row) in enumerate(zip(synthetic_photos.CLASSES, MATRIX, strict=True))
    ],
    "confusion_matrix": MATRIX,
}


def main() -> None:
    report_path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else EXAMPLE_RUN, "report", "index.html").resolve()
    if not report_path.exists():
        sys.exit(f"{report_path} is missing. Make a run first, or name one.")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_api.sync_playwright() as playwright:
        version = pathlib.Path(folder, str(VERSION))
        version.mkdir()
        (version / "model.json").write_text(json.dumps({"classes": synthetic_photos.CLASSES}))
        (version / model_card.FILE_NAME).write_text(json.dumps(CARD))
        own = {"pilah_data": folder, "model_folder": folder, "serving_target": "localhost:9"}
        app = web.create_app({"pilah_env": "development", **own})
        logging.disable(logging.INFO)  # a line a request
        rows = _add_rows(app)
        setattr(app.extensions["pilah_uploads"].caller, "explain", lambda photo, version: HEATMAP)  # noqa: B010
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
    """Yield each page of `PICTURES` with its name."""
    sessions = app.session_interface
    assert isinstance(sessions, SecureCookieSessionInterface)
    serializer = sessions.get_signing_serializer(app)
    assert serializer
    cookie: Any = {"name": app.config["SESSION_COOKIE_NAME"], "value": serializer.dumps({"visitor": VISITOR})}
    cookie["url"] = f"http://{SITE}"
    for name, (place, scheme) in PICTURES.items():
        context = browser.new_context(color_scheme=scheme, locale="en-GB", timezone_id="Asia/Jakarta", **PHONE)
        context.add_cookies([cookie])
        page = context.new_page()
        path = place if isinstance(place, str) else f"/result/{rows[place]}"
        path += "?heatmap=1" if name == "heatmap" else ""
        page.goto(f"http://{SITE}{path}", wait_until="networkidle")
        yield name, page
        context.close()


def _whole(page: sync_api.Page) -> bytes:
    """Return a picture of all of the page, on a higher screen, because `full_page` ignores that a phone is touched."""
    height = page.evaluate("document.documentElement.scrollHeight")
    size = page.viewport_size
    assert size
    page.set_viewport_size({"width": size["width"], "height": height})
    return page.screenshot()


def _add_rows(app: Flask) -> list[str]:
    """Add `ROWS` to the database and return their ids."""
    ids = [hashlib.sha256(str(index).encode()).hexdigest()[:32] for index in range(len(ROWS))]
    with app.app_context():
        db.create_all()
        for index, (scores, answer) in enumerate(ROWS):
            class_name = max(scores, key=lambda name: scores[name], default=None)
            photo = _photo(answer.get("corrected_class") or class_name or "trash", index + 1)
            uploads.service().store.add(ids[index], pictures.plain(photo, 1_000_000))
            time = NEWEST - index * datetime.timedelta(hours=5, minutes=13)
            result: dict[str, Any] = {"state": State.WAITING}
            if class_name:
                result = {"state": State.DONE, "class_name": class_name, "score": scores[class_name]}
                result |= {"scores": _all_scores(scores), "model_version": VERSION, **_set(scores), **answer}
            db.session.add(Upload(id=ids[index], visitor=VISITOR, created_at=time, **result))
        db.session.commit()
    return ids


def _set(scores: dict[str, float]) -> dict[str, Any]:
    """Return the columns of a prediction set of the likely classes."""
    classes = [name for name, score in scores.items() if score >= SET_SCORE]
    is_sure = len(classes) == 1
    return {
        "prediction_set": classes,
        "typicality": 0.5,
        "certainty": client.Certainty.SURE if is_sure else client.Certainty.UNSURE,
    }


def _all_scores(scores: dict[str, float]) -> dict[str, float]:
    """Share what is left of 1 among the other classes."""
    left = (1 - sum(scores.values())) / (len(synthetic_photos.CLASSES) - len(scores))
    return {name: scores.get(name, left) for name in synthetic_photos.CLASSES}


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
