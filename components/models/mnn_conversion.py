"""Convert a frozen graph for MNN and run it once, in a separate process: mnn_conversion.py GRAPH MODEL SIZE_PX.

The process is separate because the converter and TensorFlow register the same protocol buffers, and loading both aborts
a process. MNN's command mnnconvert is not used because it installs a package and reports conversions over the network.
"""

import sys

import _tools  # MNN's converter
import MNN
import numpy as np

graph, model, size_px = sys.argv[1:]
_tools.mnnconvert(["mnnconvert", "-f", "TF", "--modelFile", graph, "--MNNModel", model, "--bizCode", "pilah"])
interpreter = MNN.Interpreter(model)  # raises if the conversion failed
session = interpreter.createSession({"backend": "CPU", "precision": "high", "numThread": 1})
pixels = np.zeros((1, int(size_px), int(size_px), 3), np.uint8)
interpreter.resizeTensor(interpreter.getSessionInput(session), pixels.shape)
interpreter.resizeSession(session)
interpreter.runSession(session)  # crashes this process, not the run, if the CPU lacks an instruction
