"""`python -m serving`: the embedded server, with the flags of tensorflow_model_server."""

import logging
import os
import sys


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both as it is imported
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stderr)

    from serving.embedded import flags, server, status

    given = flags.parse(sys.argv[1:])
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # the loader that TensorFlow Serving uses is called old
    try:
        server.run_until_terminated(given)
    except (status.StatusError, OSError, RuntimeError) as error:
        sys.exit(f"serving: {error}")


if __name__ == "__main__":
    main()
