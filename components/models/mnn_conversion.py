"""Convert a frozen graph for MNN and run it once: mnn_conversion.py GRAPH MODEL SIZE_PX, in a process of its own.

The converter and TensorFlow register the same protocol buffers, and a process that loads both is aborted. MNN's own
command mnnconvert is no substitute: it installs a package and reports each conversion over the network.
"""

import sys

import _tools  # MNN's converter
import MNN
import numpy as np

graph, model, size_px = sys.argv[1:]
_tools.mnnconvert(["mnnconvert", "-f", "TF", "--modelFile", graph, "--MNNModel", model, "--bizCode", "pilah"])
interpreter = MNN.Interpreter(model)  # raises where the conversion has failed
session = interpreter.createSession({"backend": "CPU", "precision": "high", "numThread": 1})
pixels = np.zeros((1, int(size_px), int(size_px), 3), np.uint8)
interpreter.resizeTensor(interpreter.getSessionInput(session), pixels.shape)
interpreter.resizeSession(session)
interpreter.runSession(session)  # ends this process, not the run, where the CPU lacks an instruction
