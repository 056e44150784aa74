"""Preload module of a Dask worker, which prepares it for the tasks of a run."""

import os
import tempfile
from typing import TYPE_CHECKING

from components.base import machine

if TYPE_CHECKING:
    import distributed

GPU_NUMBER = "PILAH_GPU"  # environment variable with the number of the GPU that the worker uses


def dask_setup(worker: "distributed.Worker") -> None:
    """Let the worker use one GPU, or as many cores as it has threads, and import what its tasks need.

    A worker with a GPU computes deterministically, as runs on one machine do.
    """
    # Dask removes this folder when the worker ends, or the next one starts after a kill
    tempfile.tempdir = worker.local_directory
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if GPU_NUMBER in os.environ:
            tf.config.set_visible_devices(gpus[int(os.environ[GPU_NUMBER])], "GPU")
        tf.config.experimental.enable_op_determinism()
    else:
        machine.limit_cores(worker.state.nthreads)
        tf.config.threading.set_intra_op_parallelism_threads(worker.state.nthreads)
        tf.config.threading.set_inter_op_parallelism_threads(worker.state.nthreads)
    from pipeline import cluster_check

    cluster_check.prepare()
