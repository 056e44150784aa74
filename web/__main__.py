"""`python -m web`: model server and web page together, without Docker; one Ctrl-C ends both."""

import argparse
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

CONFIG = pathlib.Path(__file__).with_name("gunicorn_config.py")
SERVING_CONFIG = pathlib.Path(__file__).parents[1] / "serving" / "config"
GRACE_SECONDS = 40.0  # a little more than either server takes to drain
PR_SET_PDEATHSIG = 1  # of Linux's sys/prctl.h
libc = ctypes.CDLL(None)


def main() -> int:
    parser = argparse.ArgumentParser("python -m web", description=__doc__)
    parser.add_argument("--model_base_path", required=True, help="folder of a run's numbered versions")
    parser.add_argument("--port", type=int, default=8000, help="of the web page")
    parser.add_argument("--grpc_port", type=int, default=8500)
    parser.add_argument("--rest_api_port", type=int, default=8501)
    given = parser.parse_args()
    if not pathlib.Path(given.model_base_path).is_dir():
        parser.error(f"--model_base_path must be a folder. Received: {given.model_base_path}. Make one with make run")
    served = {"SERVING_TARGET": f"localhost:{given.grpc_port}", "MODEL_FOLDER": given.model_base_path}
    environment = {"PILAH_ENV": "development", **os.environ, **served}
    subprocess.run([sys.executable, "-m", "flask", "--app", "web", "db", "upgrade"], env=environment, check=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda *_: sys.exit(0))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command in (_serving(given), _web(given)):
            processes.append(_start(command, environment))
        print(f"web page at http://localhost:{given.port} (Ctrl-C ends it and the model server)", file=sys.stderr)
        while all(process.poll() is None for process in processes):
            time.sleep(0.2)
        return next(process.returncode for process in processes if process.returncode is not None)
    except KeyboardInterrupt:
        return 0
    finally:
        _end(processes)


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """`command` in a session of its own: Ctrl-C is for us alone, since gunicorn would drop what is under way."""
    return subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=_end_with_parent)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Have all drain, and kill what does not in time, or at once where Ctrl-C comes again."""
    for process in processes:
        process.terminate()
    try:
        for process in processes:
            process.wait(GRACE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        for process in processes:
            process.kill()


def _end_with_parent() -> None:
    """Have this child get SIGTERM when its parent is gone, also where that was killed; Linux alone can do it."""
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _serving(given: argparse.Namespace) -> list[str]:
    flags = ["--model_name", "pilah", "--model_base_path", given.model_base_path, "--port", str(given.grpc_port)]
    flags += ["--rest_api_port", str(given.rest_api_port), "--enable_batching"]
    flags += ["--batching_parameters_file", str(SERVING_CONFIG / "batching_cpu.config")]
    flags += ["--monitoring_config_file", str(SERVING_CONFIG / "monitoring.config")]
    return [sys.executable, "-m", "serving", *flags]


def _web(given: argparse.Namespace) -> list[str]:
    bind = f"0.0.0.0:{given.port}"
    return [sys.executable, "-m", "gunicorn", "--config", str(CONFIG), "--bind", bind, "web:create_app()"]


if __name__ == "__main__":
    sys.exit(main())
