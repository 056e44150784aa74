"""Start of the program: the only module of the pipeline that sets environment variables."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
# TensorFlow enables oneDNN only on some CPUs; on the others it is 1.3 to 1.5 times faster with it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Otherwise TensorFlow reserves the memory of all GPUs, and none is left for the processes that train on them.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

from pipeline.cli import app

if __name__ == "__main__":
    app(prog_name="python -m pipeline")
