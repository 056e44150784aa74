"""`python -m web`: model server and web page together, without Docker; one Ctrl-C ends both."""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time

CONFIG = pathlib.Path(__file__).with_name("gunicorn_config.py")
SERVING_CONFIG = pathlib.Path(__file__).parents[1] / "serving" / "config"
GRACE_SECONDS = 40.0  # a little more than either server takes to drain


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
    commands = (_serving(given), _web(given))
    processes = [subprocess.Popen(command, env=environment) for command in commands]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"web page at http://localhost:{given.port} (Ctrl-C ends it and the model server)", file=sys.stderr)
    try:
        while all(process.poll() is None for process in processes):
            time.sleep(0.2)
        return next(process.returncode for process in processes if process.returncode is not None)
    except KeyboardInterrupt:
        return 0
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


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
