"""Run the model server and the web page together, without Docker; one Ctrl-C stops both (`python -m web`)."""

import argparse
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from components.base import version

SERVING_CONFIG = pathlib.Path(__file__).parents[1] / "serving" / "config"
GRACE_SECONDS = 40.0  # longer than either server takes to drain
PR_SET_PDEATHSIG = 1  # from Linux's sys/prctl.h
libc = ctypes.CDLL(None)


def main() -> int:
    parser = argparse.ArgumentParser("python -m web", description=__doc__)
    parser.add_argument("--version", action="version", version=f"pilah {version.VERSION}")
    parser.add_argument("--model_base_path", required=True, help="Folder with the numbered versions of the model.")
    parser.add_argument("--port", type=int, default=8000, help="Port of the web page.")
    parser.add_argument("--grpc_port", type=int, default=8500, help="gRPC port of the model server.")
    parser.add_argument("--rest_api_port", type=int, default=8501, help="REST port of the model server.")
    args = parser.parse_args()
    if not pathlib.Path(args.model_base_path).is_dir():
        parser.error(f"--model_base_path must be a folder (got {args.model_base_path}). Create a model with: make run")
    model = {"SERVING_TARGET": f"localhost:{args.grpc_port}", "MODEL_FOLDER": args.model_base_path}
    environment = {"PILAH_ENV": "development", **os.environ, **model}
    upgrade = [sys.executable, "-m", "flask", "--app", "web", "db", "upgrade"]
    if exit_code := subprocess.run(upgrade, env=environment, check=False).returncode:
        return exit_code  # flask has printed the reason
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signal_number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(signal_number, lambda *_: sys.exit(0))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command in (_serving(args), _web(args)):
            processes.append(_start(command, environment))
        address = f"http://localhost:{args.port}{environment.get('SCRIPT_NAME', '')}"
        print(f"web page at {address} (Ctrl-C stops it and the model server)", file=sys.stderr)
        while all(process.poll() is None for process in processes):
            time.sleep(0.2)
        return next(process.returncode for process in processes if process.returncode is not None)
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(processes)


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start `command` in its own session, so that Ctrl-C reaches it only as SIGTERM."""
    return subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=_terminate_with_parent)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Let all processes drain; kill them after the grace period or on another Ctrl-C."""
    for process in processes:
        process.terminate()
    try:
        for process in processes:
            process.wait(GRACE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        for process in processes:
            process.kill()


def _terminate_with_parent() -> None:
    """Let the kernel send SIGTERM to this process when its parent ends, even if it is killed; only on Linux."""
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _serving(args: argparse.Namespace) -> list[str]:
    flags = ["--model_name", "pilah", "--model_base_path", args.model_base_path, "--port", str(args.grpc_port)]
    flags += ["--rest_api_port", str(args.rest_api_port), "--enable_batching"]
    flags += ["--batching_parameters_file", str(SERVING_CONFIG / "batching_cpu.config")]
    flags += ["--monitoring_config_file", str(SERVING_CONFIG / "monitoring.config")]
    return [sys.executable, "-m", "serving", *flags]


def _web(args: argparse.Namespace) -> list[str]:
    bind = f"0.0.0.0:{args.port}"
    return [sys.executable, "-m", "web.server", "--bind", bind]


if __name__ == "__main__":
    sys.exit(main())
