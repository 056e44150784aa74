"""The client examples of README.md and docs/, run against the page and the embedded model server.

An example is a fenced block of Python or JavaScript, or the lines of another block that call curl or serving.client.
One that cannot run here has a comment with the reason above its fence: <!-- not run: REASON -->
"""

import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import conformance_server
import pytest
import tensorflow as tf
import web_app
import website

import web
from web.database import db

ROOT = web_app.ROOT
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<tag>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
SHELL_CLIENT = re.compile(r"\bcurl\b|\bserving\.client\b")
PROGRAMS = {"python": [sys.executable], "javascript": ["node"], "shell": ["bash", "-e", "-o", "pipefail"]}
SUFFIXES = {"python": ".py", "javascript": ".mjs", "shell": ".sh"}
TIMEOUT_SECONDS = 120


@dataclasses.dataclass(frozen=True)
class Example:
    """A client in the documentation.

    Args:
        not_run: why it cannot run in a test; "" where it can.
    """

    place: str
    language: str
    source: str
    not_run: str


def examples_in(text: str, name: str) -> list[Example]:
    examples = []
    for block in FENCE.finditer(text):
        language = {"py": "python", "js": "javascript"}.get(block["tag"], block["tag"])
        source = block["text"]
        if language not in ("python", "javascript"):
            commands = source.replace("\\\n", " ").splitlines(keepends=True)
            language, source = "shell", "".join(line for line in commands if SHELL_CLIENT.search(line))
        if source:
            place = f"{name}:{text.count(chr(10), 0, block.start('text'))}"
            examples.append(Example(place, language, source, block["reason"] or ""))
    return examples


EXAMPLES = [
    example
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for example in examples_in(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
]


class GlassClassifier(tf.Module):
    """A model with the signature of a pushed one, which takes every photo for glass."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.shape(image_bytes)[0]
        pixels = tf.map_fn(
            lambda photo: tf.reduce_max(tf.io.decode_image(photo)), image_bytes, fn_output_signature=tf.uint8
        )
        score = tf.where(pixels > 0, 0.75, 0.0)  # decoded, so that bytes of no picture are refused
        return {
            "scores": tf.stack([score, 1 - score], axis=1),
            "class_names": tf.tile([["glass", "metal"]], [rows, 1]),
        }


@pytest.fixture(scope="module")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[conformance_server.Embedded]:
    folder = tmp_path_factory.mktemp("served")
    tf.saved_model.save(module := GlassClassifier(), str(folder / "pilah" / "1"), signatures=module.serve)
    config = folder / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "pilah" base_path: "{folder}/pilah" model_platform: "tensorflow" }} }}'
    )
    server = conformance_server.start(config, folder / "log", batching=False)
    try:
        server.until_serving().close()
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


@pytest.fixture(scope="module")
def page(
    tmp_path_factory: pytest.TempPathFactory, model_server: conformance_server.Embedded
) -> Iterator[website.Website]:
    target = f"localhost:{model_server.port}"
    settings = {"pilah_data": str(tmp_path_factory.mktemp("page")), "serving_target": target, "database_url": ""}
    app = web.create_app({**web_app.SETTINGS, **settings, "serving_timeout_seconds": 60.0})
    with app.app_context():
        db.create_all()
    web_app.wait_until(app.extensions["pilah_uploads"].caller.is_ready)
    site = website.Website(app)
    yield site
    site.stop()


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with the photos of the examples, where curl fails for an answer of an error."""
    for seed, name in enumerate(("photo.jpg", "other.jpg")):
        (tmp_path / name).write_bytes(web_app.photo(seed=seed))
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    return tmp_path


def adapted(source: str, page: website.Website, model_server: conformance_server.Embedded) -> str:
    """Return `source` with the addresses of the servers under test, and the id and token of a photo on the page."""
    upload = web_app.classify(page.app, web_app.photo()).json
    replacements = {
        r"\.venv/bin/python\b": sys.executable,
        r"serving\.client classify": "serving.client classify --target localhost:8500",
        r"localhost:8000\b": page.address.removeprefix("http://"),
        r"localhost:8500\b": f"localhost:{model_server.port}",
        r"localhost:8501\b": f"localhost:{model_server.rest_port}",
        r"\bID\b": upload["id"],
        r"\bTOKEN\b": upload["token"],
    }
    for pattern, replacement in replacements.items():
        source = re.sub(pattern, replacement, source)
    return source


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.place)
def test_example_of_the_documentation_runs(example, page, model_server, folder):
    if example.not_run:
        pytest.skip(example.not_run)
    program = PROGRAMS[example.language]
    for name in {program[0], *re.findall(r"\bcurl\b", example.source)}:
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed")
    path = folder / f"example{SUFFIXES[example.language]}"
    path.write_text(adapted(example.source, page, model_server), encoding="utf-8")
    done = subprocess.run(
        [*program, str(path)],
        cwd=folder,
        env=web_app.environment(CURL_HOME=str(folder)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "photo.jpg" not in example.source or "glass" in done.stdout


def test_documentation_has_clients_in_each_language():
    assert {example.language for example in EXAMPLES if not example.not_run} == set(PROGRAMS)


def test_reason_above_a_fence_keeps_an_example_from_running():
    text = "<!-- not run: needs Docker -->\n```\ncurl localhost:8000\nls\n```\n\n```python\npass\n```\n\n```\nls\n```\n"
    assert examples_in(text, "page.md") == [
        Example("page.md:2", "shell", "curl localhost:8000\n", "needs Docker"),
        Example("page.md:7", "python", "pass\n", ""),
    ]
