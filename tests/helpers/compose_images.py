"""Stand-ins for the images that docker-compose.yml and the Dockerfiles name, where the engine has no real ones.

Their names are those of the real images, because the files are tested unchanged. They carry the label `LABEL`.
"""

import hashlib
import inspect
import pathlib
import subprocess

import compose_debian
import compose_engine
import compose_packages

PYTHON, POSTGRES, SERVING = "python:3.13-slim", "postgres:17.6", "tensorflow/serving:2.20.0"
LABEL = "pilah.stand-in"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FILES = pathlib.Path(__file__).parents[1] / "compose" / "standins"


def is_stand_in(image: str) -> bool:
    return bool(_label(image))


def prepare() -> None:
    """Make the stand-ins for Python's and PostgreSQL's images that are missing or older than what they are made of."""
    base = repr((compose_debian.RELEASE, compose_debian.PACKAGES, compose_debian.NOT_PACKED))
    python = _digest(base, compose_packages.PIP_CONF)
    if _label(PYTHON) not in (python, ""):
        with compose_debian.base() as root:
            (root / "etc" / "pip.conf").write_text(compose_packages.PIP_CONF)
            _import(root, PYTHON, f"LABEL {LABEL}={python}")
    files = [path.read_text() for path in (FILES / "docker-entrypoint.sh", FILES / "postgres.Dockerfile")]
    postgres = _digest(base, inspect.getsource(_add_postgres), *files)
    if _label(POSTGRES) not in (postgres, ""):
        with compose_debian.base() as root:
            _add_postgres(root)
            _import(root, "pilah-stand-in:postgres", f"ENV PATH={PATH}")
            _build(POSTGRES, "postgres.Dockerfile", postgres)


def prepare_serving(pipeline_image: str, proxy: str) -> None:
    """Make the stand-in for TensorFlow Serving from the image of the pipeline, if there is no other one.

    Args:
        proxy: value of HTTP_PROXY for pip.
    """
    if _label(SERVING) == "":
        return
    values = (f"BASE={pipeline_image}", f"PACKAGES={compose_packages.for_serving()}", f"HTTP_PROXY={proxy}")
    arguments = [word for value in values for word in ("--build-arg", value)]
    _build(SERVING, "serving.Dockerfile", "embedded", *arguments)


def remove_untagged() -> None:
    """Remove the stand-ins and images of earlier runs that newer ones have replaced."""
    compose_engine.docker("image", "prune", "--force", "--filter", f"label={LABEL}")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _build(image: str, dockerfile: str, label: str, *options: str) -> None:
    options = ("--label", f"{LABEL}={label}", "--tag", image, "--file", str(FILES / dockerfile), *options)
    compose_engine.docker("build", *options, FILES)


def _label(image: str) -> str | None:
    """Return the label of a stand-in, "" for a real image, and None if the engine has no such image."""
    command = ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', image]
    done = subprocess.run(command, capture_output=True, text=True)
    return None if done.returncode else done.stdout.strip()


def _add_postgres(root: pathlib.Path) -> None:
    """Install PostgreSQL with the user ID of the official image."""
    compose_debian.call(["chroot", str(root), "groupadd", "--system", "--gid", "999", "postgres"])
    home = ["--home-dir", "/var/lib/postgresql", "--gid", "999", "--uid", "999"]
    compose_debian.call(["chroot", str(root), "useradd", "--system", *home, "postgres"])
    configuration = root / "etc" / "postgresql-common" / "createcluster.conf"
    configuration.parent.mkdir()
    configuration.write_text("create_main_cluster = false\n")
    compose_debian.install(root, "postgresql-17")


def _import(root: pathlib.Path, image: str, change: str) -> None:
    left_out = [f"--exclude=./{path}" for path in compose_debian.NOT_PACKED]
    with subprocess.Popen(["tar", "-C", root, *left_out, "-c", "."], stdout=subprocess.PIPE) as tar:
        compose_engine.run(["docker", "import", "--change", change, "-", image], stdin=tar.stdout)
    if tar.returncode:
        raise RuntimeError(f"tar ended with {tar.returncode}, so that {image} is incomplete.")
