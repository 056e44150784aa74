"""The start of a training process, without TensorFlow: importing it takes seconds, in which the parent may end."""

import multiprocessing.connection
import os
import signal
import threading
from multiprocessing.queues import SimpleQueue


def start(lifeline: multiprocessing.connection.Connection, gpu_numbers: "SimpleQueue[int]") -> None:
    """Let this process end when its parent closes the other end of `lifeline` or ends, then set up TensorFlow."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    import tensorflow as tf

    if see_one_gpu(gpu_numbers):
        tf.config.experimental.enable_op_determinism()  # as in the parent, so that searches are reproducible
        return
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def see_one_gpu(gpu_numbers: "SimpleQueue[int]") -> bool:
    """Make only the GPU with the next number visible to TensorFlow; return False if there are no GPUs.

    Call it before TensorFlow computes anything.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        tf.config.set_visible_devices(gpus[gpu_numbers.get()], "GPU")
    return bool(gpus)


def _end_with_parent(lifeline: multiprocessing.connection.Connection) -> None:
    multiprocessing.connection.wait([lifeline])
    os._exit(1)
