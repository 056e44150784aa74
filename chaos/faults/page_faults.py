"""The web page on a disk that is full, and with pictures from the future."""

import os
import pathlib
import time

import requests
import web_app

from chaos import site
from chaos.faults import run_faults, small_disk
from chaos.outcomes import Outcome

DISK_MIB = 560  # the page accepts photos while 500 MB are free
UPLOADS = 3


def run(folder: pathlib.Path) -> list[Outcome]:
    """Return the outcome of all faults of the page."""
    model = web_app.ModelServer()
    model.start()
    try:
        with small_disk.mounted(folder / "disk", DISK_MIB) as is_mounted:
            rows = [Outcome("disk full under the page: skipped, needs root", 0)]
            if is_mounted:
                rows = [full_disk(folder / "disk", model)]
        return [*rows, future_files(folder, model)]
    finally:
        model.stop()


def full_disk(disk: pathlib.Path, model: web_app.ModelServer) -> Outcome:
    """Fill the disk of the page: it must refuse photos, but delete some, and accept photos later, with space."""
    page = site.Site(disk / "data", "", model.target)
    with page.recording_failures():
        page.create()
        uploads = [_upload(page, seed) for seed in range(UPLOADS)]
        small_disk.fill(disk, 0)
        refused = _post(page, UPLOADS)
        if refused.status_code != 503 or refused.json()["error"] != "full":
            page.failures.append(f"upload to a full disk: {refused.status_code} {refused.text[:200]}")
        page.failures += _delete(page, uploads[0])
        page.stop()
        page.start()
        page.failures += _delete(page, uploads[1])
        small_disk.free(disk)
        _upload(page, UPLOADS)
        page.failures += _check(page, expected=UPLOADS - 2 + 1)
    return Outcome("disk full under the page", 4, failures=tuple(page.failures))


def future_files(folder: pathlib.Path, model: web_app.ModelServer) -> Outcome:
    """Give the page's files a time in the future, as after the clock is set back."""
    page = site.Site(folder / "future" / "data", "", model.target)
    page.data.parent.mkdir()
    with page.recording_failures():
        page.create()
        kept, deleted = (_upload(page, seed) for seed in range(2))
        page.stop()
        run_faults.date(page.data, run_faults.FUTURE_SECONDS)
        page.start()
        page.failures += _delete(page, deleted)
        _upload(page, 2)
        answer = requests.get(f"{page.address}/api/results/{kept['id']}", timeout=60)
        if not answer.ok or answer.json()["state"] != "done":
            page.failures.append(f"result with a picture from the future: {answer.status_code} {answer.text[:200]}")
        page.failures += _check(page, expected=2)
    return Outcome("page with files from the future", 1, failures=tuple(page.failures))


def _post(page: site.Site, seed: int) -> requests.Response:
    files = {"image": ("photo.jpg", web_app.photo(seed=seed))}
    return requests.post(f"{page.address}/api/classify", files=files, timeout=60)


def _upload(page: site.Site, seed: int) -> dict[str, str]:
    """Send a photo that must be accepted; return the answer."""
    answer = _post(page, seed)
    assert answer.status_code in (200, 202), f"{answer.status_code} {answer.text[:200]}"
    return answer.json()


def _delete(page: site.Site, upload: dict[str, str]) -> list[str]:
    """Delete an upload; return what is wrong with the answer."""
    headers = {"Authorization": f"Bearer {upload['token']}"}
    answer = requests.delete(f"{page.address}/api/results/{upload['id']}", headers=headers, timeout=60)
    return [] if answer.status_code == 204 else [f"deletion: {answer.status_code} {answer.text[:200]}"]


def _check(page: site.Site, expected: int) -> list[str]:
    """Return what is wrong with the pictures, of which `expected` must be left, each with its row."""
    pictures = [path for path in (page.data / "uploads").glob("*/*.jpg") if not path.name.endswith(".small.jpg")]
    for path in pictures:
        os.utime(path, (time.time() - 3600,) * 2)  # doctor leaves new ones
    printed = page.flask("doctor")
    if len(pictures) == expected and printed == site.NOTHING_FOUND:
        return []
    return [f"{len(pictures)} pictures instead of {expected}; doctor: {printed}"]
