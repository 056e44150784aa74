"""Start of the program: the only module of the pipeline that sets environment variables."""

import io
import os
import pathlib
import sys
import tempfile

# open closed standard streams; otherwise the next file would get such a file descriptor, and the output with it
for descriptor in (0, 1, 2):
    try:
        os.fstat(descriptor)
    except OSError:
        os.open(os.devnull, os.O_RDWR)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
# TensorFlow enables oneDNN only on some CPUs; on the others it is 1.3 to 1.5 times faster with it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Otherwise TensorFlow reserves the memory of all GPUs, and none is left for the processes that train on them.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# Beam connects to localhost by gRPC, which would use the proxy of http_proxy. gRPC ignores NO_PROXY in upper case.
excluded = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
os.environ.setdefault("no_grpc_proxy", ",".join(filter(None, (excluded, "localhost", "127.0.0.1"))))


def has_home() -> bool:
    """Return whether the user has a home that can be written to."""
    try:
        return os.access(pathlib.Path.home(), os.W_OK | os.X_OK)
    except RuntimeError:  # neither HOME nor an entry in passwd
        return False


def temporary_home() -> str:
    """Return a folder below TMPDIR that only this user can open; it is made at the first start."""
    folder = pathlib.Path(tempfile.gettempdir(), f"pilah-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid == os.getuid():
            return str(folder)
    except OSError:
        pass  # another user's file or link has this name
    return tempfile.mkdtemp(prefix="pilah-")


if not has_home():  # as in a container with another user id; Keras, OpenVINO, Kaggle and matplotlib need one
    os.environ["HOME"] = temporary_home()

from pipeline.cli import app  # noqa: E402  # after the variables, which libraries read when they are imported


def main() -> None:
    """Run the command; if standard output cannot be written, say so in one line on standard error."""
    try:
        try:
            app(prog_name="python -m pipeline")
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:  # of --help and --version; commands print their errors themselves
        if "--debug" in sys.argv:
            raise
        if sys.stdout is not None:  # Python writes what is left of it when it ends, and would fail again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(
            f"pilah: Standard output cannot be written ({error.strerror or error}). Free some space, or redirect it."
        )


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it is closed
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack characters of a file name
    main()
