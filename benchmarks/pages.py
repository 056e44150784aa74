"""Size and speed of the pages' first visit in Chromium: `python -m benchmarks.pages`.

Every page is opened by a new browser on a phone of 360 px with a slow 4G network, as Chromium's developer tools emulate
it. The page runs as in `make serve`, on made-up answers: no model server is needed.
"""

import argparse
import contextlib
import io
import os
import pathlib
import shutil
import tempfile
from typing import Any

from playwright import sync_api

from benchmarks.serving import show
from benchmarks.web import website
from components.demo import synthetic_photos

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
SLOW_4G = {  # the preset of Chromium's developer tools
    "offline": False,
    "latency": 562.5,  # milliseconds from a request to its answer: 3.75 round trips of 150 ms
    "downloadThroughput": 1.6e6 * 0.9 / 8,  # bytes a second
    "uploadThroughput": 0.75e6 * 0.9 / 8,
}
OBSERVE = """
  window.shift = 0; window.largest = 0; window.element = "";
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      window.largest = entry.startTime;
      window.element = entry.element?.tagName ?? "";
    }
  }).observe({ type: "largest-contentful-paint", buffered: true });
"""
SETTLED_MS = 1000  # after the last request, for late shifts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-folder", type=pathlib.Path, help="Folder of the served versions: RUN/served/pilah.")
    parser.add_argument("--address", help="Address of a running page, instead of one that is started for this.")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        address = args.address
        if not address:
            if args.model_folder:
                os.environ["MODEL_FOLDER"] = str(args.model_folder.absolute())
            data = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            address, _, _ = stack.enter_context(website(data, "localhost:9"))
        print(f"{'what':58} {'figure':>12}   bound")
        measure(address)


def measure(address: str) -> None:
    """Show the figures of the public pages, and of the result and history of a photo that waits for its answer."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for path in ("/", "/classify", "/about", "/privacy"):
            first_visit(browser, address, path)
        context = browser.new_context(**PHONE, java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{address}/classify")
        page.set_input_files("#image", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo()})
        page.locator("#send").click()
        page.wait_for_url("**/result/*")
        for path in (page.url.removeprefix(address), "/history"):
            first_visit(browser, address, path, context.storage_state())
        browser.close()


def photo() -> bytes:
    stream = io.BytesIO()
    synthetic_photos.draw("glass", 9, 7).resize((1024, 768)).save(stream, "JPEG")
    return stream.getvalue()


def first_visit(browser: sync_api.Browser, address: str, path: str, state: sync_api.StorageState | None = None) -> None:
    """Open a page with an empty cache on a slow network and show its bytes, largest paint and layout shift."""
    context = browser.new_context(**PHONE, storage_state=state)
    context.add_init_script(OBSERVE)
    page = context.new_page()
    network = context.new_cdp_session(page)
    received: list[float] = []
    network.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", SLOW_4G)
    page.goto(f"{address}{path}", wait_until="networkidle")
    page.wait_for_timeout(SETTLED_MS)
    largest_s, shift, element = page.evaluate("[window.largest / 1000, window.shift, window.element]")
    name = "/result" if path.startswith("/result") else path
    show(f"{name}: bytes of {len(received)} responses", f"{sum(received) / 1000:.1f} kB", "<= 80 kB without the photo")
    show(f"  largest contentful paint ({element})", f"{largest_s:.2f} s", "<= 1.5 s")
    show("  layout shift", f"{shift:.3f}", "<= 0.05")
    context.close()


if __name__ == "__main__":
    main()
