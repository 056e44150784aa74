"""Where the program starts: the only place of the pipeline that touches environment variables."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
# TensorFlow turns oneDNN on by itself only for some CPUs; 1.3 to 1.5 times the photos a second on the others.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# else TensorFlow takes all memory of all GPUs, and the processes that train on them find none
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

from pipeline.cli import app

if __name__ == "__main__":
    app(prog_name="python -m pipeline")
