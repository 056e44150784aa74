"""Classify photos with LiteRT: python classify.py PHOTO...

Needs: pip install numpy pillow ai-edge-litert
"""

import json
import pathlib
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

folder = pathlib.Path(__file__).parent
description = json.loads((folder / "description.json").read_text(encoding="utf-8"))
labels = np.array((folder / "labels.txt").read_text(encoding="utf-8").splitlines())
size, rule = description["input"]["size_px"], description["prediction_sets"]
interpreter = Interpreter(str(folder / description["model"]))
interpreter.allocate_tensors()
(taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
for path in sys.argv[1:]:
    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    pixels = np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR))
    interpreter.set_tensor(taken["index"], pixels[np.newaxis])
    interpreter.invoke()
    scores = interpreter.get_tensor(given["index"])[0]
    powers = (np.maximum(scores, rule["min_probability"]) / scores.max()) ** (1 / rule["temperature"])
    in_set = (powers / powers.sum() >= rule["thresholds"]) | (scores == scores.max())
    print(f"{path}: {labels[scores.argmax()]} {scores.max():.4f}, set {'/'.join(labels[in_set])}")
