"""Run the embedded server with the flags of tensorflow_model_server (`python -m serving`)."""

import logging
import os
import sys

from serving import process_limits

OPEN_FILES = 65_536  # one for each connection


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stderr)

    from serving.embedded import flags, ports

    options = flags.parse(sys.argv[1:])
    try:
        ports.check(options.host, options.port, options.rest_api_port)  # importing TensorFlow below takes seconds
    except OSError as error:
        sys.exit(f"serving: {error}")

    process_limits.allow_open_files(OPEN_FILES)
    process_limits.limit_heaps()
    from serving.embedded import server, status

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # hides the loader's deprecation warning
    try:
        server.run_until_terminated(options)
    except (status.StatusError, OSError, RuntimeError) as error:
        sys.exit(f"serving: {error}")


if __name__ == "__main__":
    main()
