"""Classify photos with ONNX Runtime: python classify.py PHOTO...

Needs: pip install numpy pillow onnxruntime
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime 1.29 and later would report its use to Microsoft

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

folder = pathlib.Path(__file__).parent
description = json.loads((folder / "description.json").read_text(encoding="utf-8"))
labels = np.array((folder / "labels.txt").read_text(encoding="utf-8").splitlines())
size, rule = description["input"]["size_px"], description["prediction_sets"]
session = onnxruntime.InferenceSession(folder / description["model"])
for path in sys.argv[1:]:
    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    pixels = np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR))
    scores = session.run(None, {"pixels": pixels[np.newaxis]})[0][0]
    powers = (np.maximum(scores, rule["min_probability"]) / scores.max()) ** (1 / rule["temperature"])
    in_set = (powers / powers.sum() >= rule["thresholds"]) | (scores == scores.max())
    print(f"{path}: {labels[scores.argmax()]} {scores.max():.4f}, set {'/'.join(labels[in_set])}")
