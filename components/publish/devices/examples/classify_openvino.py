"""Classify photos with OpenVINO: python classify.py PHOTO...

Needs: pip install numpy pillow openvino
"""

import json
import pathlib
import sys

import numpy as np
import openvino
from PIL import Image, ImageOps

folder = pathlib.Path(__file__).parent
description = json.loads((folder / "description.json").read_text(encoding="utf-8"))
labels = np.array((folder / "labels.txt").read_text(encoding="utf-8").splitlines())
size, rule = description["input"]["size_px"], description["prediction_sets"]
precision = {"INFERENCE_PRECISION_HINT": "f32"}  # some CPUs would compute in bfloat16
model = openvino.Core().compile_model(folder / description["model"], "CPU", precision)
for path in sys.argv[1:]:
    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    pixels = np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR))
    scores = model(pixels[np.newaxis])[0][0]
    powers = (np.maximum(scores, rule["min_probability"]) / scores.max()) ** (1 / rule["temperature"])
    in_set = (powers / powers.sum() >= rule["thresholds"]) | (scores == scores.max())
    print(f"{path}: {labels[scores.argmax()]} {scores.max():.4f}, set {'/'.join(labels[in_set])}")
