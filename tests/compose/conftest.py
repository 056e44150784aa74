"""One running project for all tests of this folder, which run in the order of `ORDER`."""

import time

import compose_debian
import compose_engine
import compose_images
import compose_packages
import compose_project
import pytest

ORDER = [
    *("test_start", "test_uploads", "test_outages", "test_versions", "test_administration", "test_security"),
    "test_cluster",
]


def pytest_collection_modifyitems(items):
    """Order the tests of this folder, of which the later ones use what the earlier ones made."""
    ours = [item for item in items if item.path.stem in ORDER]
    ours.sort(key=lambda item: ORDER.index(item.path.stem))
    for position, item in zip([i for i, item in enumerate(items) if item.path.stem in ORDER], ours, strict=True):
        items[position] = item


@pytest.fixture(scope="session")
def say(request):
    """Return say(text), which prints a line at once."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    start = time.monotonic()

    def say(text):
        with capture.global_and_fixture_disabled():
            print(f"{time.monotonic() - start:6.0f} s  {text}", flush=True)

    return say


@pytest.fixture(scope="session")
def project(request, tmp_path_factory, say):
    """Yield the project with its images built, in the engine's network."""
    if not request.config.getoption("compose"):
        pytest.skip("needs the option --compose: make compose-test")
    if reason := compose_engine.missing():
        pytest.skip(f"make compose-test {reason}")
    with compose_engine.started() as network:
        say("the engine runs")
        compose_packages.download(compose_debian.CACHE / "packages")
        compose_images.prepare()
        say("the base images are there")
        with network:
            project = compose_project.Project(tmp_path_factory.mktemp("checkout"))
            project.remove()
            project.build()
            for image in (compose_images.PYTHON, compose_images.POSTGRES, compose_images.SERVING):
                say(f"{image} is {'a stand-in' if compose_images.is_stand_in(image) else 'the real image'}")
            yield project
            project.remove()
            compose_images.remove_untagged()
