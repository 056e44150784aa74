"""Exports for devices of small models, each run by its own program."""

import json
import subprocess
import sys
from typing import get_args

import keras
import numpy as np
import pytest
from PIL import Image

from components.base import artifacts, settings
from components.base.errors import NotFiniteError, PilahError
from components.data import resize
from components.models import head, prediction_sets, tta
from components.publish.devices import check, description, export, formats, litert, onnx_file

CLASSES = ["glass", "paper & foil", "trash"]
SIZE_PX, PHOTOS = 32, 60
FORMATS = get_args(settings.DeviceFormat)
SETS = {"coverage": 0.95, "temperature": 0.5, "thresholds": {"0.9": [0.0] * 3, "0.95": [0.2, 0.3, 0.4]}}
ORIGIN = export.Origin(CLASSES, 0.87, SETS, "0123456789abcdef", 3)


def member(seed, name="pilah", dtype="uint8"):
    """Return a convolution with a real head, whose weights are large enough for scores that differ."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((SIZE_PX, SIZE_PX, 3), dtype=dtype)
    x = keras.applications.resnet.preprocess_input(keras.ops.cast(pixels, "float32")) / 127.5  # with constants
    x = keras.layers.Conv2D(8, 5, 3, activation="relu")(x)
    x = keras.layers.BatchNormalization()(x, training=False)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(x)
    classifier = head.build(8, 3, optimizer="Adam", dropout=0.5, learning_rate=1e-3, weight_decay=0.0, seed=seed)
    model = keras.Model(pixels, classifier(pooled), name=name)
    model.set_weights([3 * weights if weights.ndim > 1 else weights for weights in model.get_weights()])
    return model


def averaged_members():
    """Return two averaged members on a shared layer whose activations are float16, as of --ensemble 2."""
    pixels = keras.Input((SIZE_PX, SIZE_PX, 3), dtype="uint8", name="pixels")
    activations = keras.ops.cast(keras.ops.cast(pixels, "float32") / 2, "float16")
    trunk = keras.Model(pixels, activations, name="trunk")(pixels)
    members = [member(seed, f"member_{seed}", "float16") for seed in range(2)]
    scores = keras.ops.mean(keras.ops.stack([model(trunk) for model in members]), axis=0)
    return keras.Model(pixels, scores, name="pilah")


MODELS = {"one": lambda: member(1), "averaged": averaged_members, "views": lambda: tta.averaged(member(1), 4)}


@pytest.fixture(scope="module")
def model():
    return member(1)


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(1)
    noise = rng.integers(-60, 60, (PHOTOS, SIZE_PX, SIZE_PX, 3))
    return np.clip(rng.integers(0, 256, (PHOTOS, 1, 1, 3)) + noise, 0, 255).astype(np.uint8)


def clear(model, pixels):
    """Return the photos of whose class `model` is sure; int8 may change the class of others."""
    return pixels[np.diff(np.sort(model(pixels, training=False).numpy()))[:, -1] > 0.1]


def write(name, model, pixels, to):
    """Export `model`, and let its own classes be the actual ones."""
    labels = model(pixels, training=False).numpy().argmax(axis=1)
    photos = export.Photos(labels, lambda rows: iter(np.array_split(pixels[list(rows)], 2)))
    return export.export(model, name, origin=ORIGIN, photos=photos, to=to, progress=lambda done, total: None)


@pytest.fixture(scope="module")
def exported(model, pixels, tmp_path_factory):
    """Return format -> folder of its export."""
    folder = tmp_path_factory.mktemp("exports")
    for name in FORMATS:
        write(name, model, clear(model, pixels), folder / name)
    return {name: folder / name for name in FORMATS}


def run(folder, *paths):
    command = [sys.executable, folder / "classify.py", *paths]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder.parent)


@pytest.mark.parametrize("name", FORMATS)
def test_program_of_the_export_names_the_class_and_the_set_of_each_photo(name, exported, model, tmp_path):
    rng, paths = np.random.default_rng(2), []
    for number in range(6):
        colours = Image.fromarray(rng.integers(0, 256, (3, 4, 3)).astype(np.uint8))
        photo = colours.resize((90, 70), Image.Resampling.BICUBIC)
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by a quarter
        paths.append(tmp_path / f"{number}.png")
        photo.transpose(Image.Transpose.ROTATE_90).save(paths[-1], exif=exif)
    upright = [Image.open(path).transpose(Image.Transpose.ROTATE_270) for path in paths]
    for path, photo in zip(paths, upright, strict=True):
        photo.save(path.with_suffix(".upright.png"))
    squares = [
        resize.decode_and_resize(path.with_suffix(".upright.png").read_bytes(), SIZE_PX).numpy() for path in paths
    ]
    scores = model(np.stack(squares), training=False).numpy()
    in_set = prediction_sets.members(scores, prediction_sets.Rule(0.5, np.array([0.2, 0.3, 0.4])))
    process = run(exported[name], *paths)
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert len(lines) == 6
    for line, path, row, members in zip(lines, paths, scores, in_set, strict=True):
        shown, _, answer = line.partition(": ")
        label, score = answer.partition(", set ")[0].rsplit(" ", 1)
        assert shown == str(path)
        if np.sort(row)[-1] - np.sort(row)[-2] > 0.1:  # quantization may change closer ones
            assert label == CLASSES[row.argmax()]
        assert float(score) == pytest.approx(row.max(), abs=0.06 if name == "litert-int8" else 0.02)
        if name != "litert-int8":
            assert line.endswith(f", set {'/'.join(np.array(CLASSES)[members])}")


@pytest.mark.parametrize("name", FORMATS)
def test_export_is_described_and_complete(name, exported, model, pixels):
    folder, photos = exported[name], len(clear(model, pixels))
    described = json.loads((folder / "description.json").read_text("utf-8"))
    assert described["format"] == name and described["f1"] == 0.87
    assert described["input"]["size_px"] == SIZE_PX and described["input"]["colour_order"] == "RGB"
    assert described["prediction_sets"]["thresholds"] == [0.2, 0.3, 0.4]
    assert described["made_from"]["keras_model"] == "0123456789abcdef" and described["made_from"]["pushed_version"] == 3
    assert described["calibration_photos"] == (photos if name == "litert-int8" else 0)
    assert described["validation"]["photos"] == photos > 20
    assert described["validation"]["f1_of_keras_model"] == 1.0
    assert (folder / "labels.txt").read_text("utf-8").splitlines() == CLASSES == described["classes"]
    assert {path.name for path in folder.iterdir()} == {*described["files"], "description.json"}
    assert all(artifacts.file_digest(folder / file) == digest for file, digest in described["files"].items())
    assert {described["model"], "labels.txt", "classify.py"} <= set(described["files"])


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", FORMATS)
def test_export_has_the_scores_of_the_keras_model(name, kind, pixels, tmp_path):
    model = MODELS[kind]()
    pixels = clear(model, pixels)
    expected = model(pixels, training=False).numpy()
    assert len(pixels) > 20
    described = write(name, model, pixels, tmp_path / name)
    predict = formats.FORMATS[name].load(tmp_path / name / described["model"], 1)
    bound = 0.06 if name == "litert-int8" else formats.FORMATS[name].max_score_difference
    np.testing.assert_allclose(predict(pixels), expected, atol=bound)
    np.testing.assert_allclose(predict(pixels[:1]), expected[:1], atol=bound)
    difference = np.abs(predict(pixels) - expected).max()
    assert described["validation"]["max_score_difference"] == pytest.approx(difference, abs=1e-6)
    assert described["validation"]["same_class"] == 1.0
    assert np.ptp(expected.max(axis=1)) > 0.1  # the scores of the photos differ


def test_onnx_file_has_the_stated_opset(exported):
    import onnx

    opsets = {part.domain: part.version for part in onnx.load(exported["onnx"] / "model.onnx").opset_import}
    assert opsets[""] == onnx_file.OPSET >= 17


def test_int8_is_smaller_than_float16_and_float16_smaller_than_float32(model, pixels, tmp_path):
    wide = keras.layers.Dense(3, "softmax")(keras.layers.Dense(3000)(keras.layers.Flatten()(model.input / 255)))
    litert.write_float16(keras.Model(model.input, wide), tmp_path / "half.tflite")
    litert.write_int8(keras.Model(model.input, wide), tmp_path / "int8.tflite", pixels[:4])
    float32_bytes = 4 * 3 * SIZE_PX**2 * 3000
    assert (tmp_path / "half.tflite").stat().st_size == pytest.approx(float32_bytes / 2, rel=0.02)
    assert (tmp_path / "int8.tflite").stat().st_size == pytest.approx(float32_bytes / 4, rel=0.02)


def fine_differences():
    """Return a model that tells photos apart by 0.2 of a level, which 256 levels in int8 cannot represent."""
    pixels = keras.Input((SIZE_PX, SIZE_PX, 3), dtype="uint8")
    mean = keras.layers.GlobalAveragePooling2D()(keras.ops.cast(pixels, "float32"))
    shift = keras.layers.Dense(3, "softmax", kernel_initializer="zeros", name="scores")
    model = keras.Model(pixels, shift(mean), name="pilah")
    kernel = np.zeros((3, 3), np.float32)
    kernel[0] = 30, -30, 0
    shift.set_weights([kernel, np.array([-30 * 200.4, 30 * 200.4, -1e3], np.float32)])
    return model


def test_int8_that_loses_f1_is_refused_and_the_earlier_export_stays(model, pixels, tmp_path):
    to = tmp_path / "litert-int8"
    write("litert-int8", model, clear(model, pixels), to)
    before = (to / "description.json").read_bytes()
    close = np.full((PHOTOS, SIZE_PX, SIZE_PX, 3), 200, np.uint8)
    close[::2, :, ::2, 0] += 1  # a mean of 200.5 instead of 200
    with pytest.raises(PilahError, match=r"--format litert-int8 may lose at most 0\.01 .*Choose --format litert\."):
        write("litert-int8", fine_differences(), close, to)
    assert (to / "description.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["litert-int8"]


def test_export_with_other_scores_is_refused_and_leaves_no_folder(model, pixels, tmp_path, monkeypatch):
    monkeypatch.setattr(formats.onnx_file, "write", lambda model, path, write=onnx_file.write: write(member(2), path))
    with pytest.raises(PilahError, match=r"--format onnx must give the Keras model's scores within 0\.0001"):
        write("onnx", model, pixels, tmp_path / "onnx")
    assert list(tmp_path.iterdir()) == []


def test_scores_that_are_not_finite_are_refused(pixels, tmp_path):
    model = member(1)
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    with pytest.raises(NotFiniteError, match="Scores of the Keras model must be finite, but 60 of 60 are not"):
        write("openvino", model, pixels, tmp_path / "openvino")


@pytest.mark.parametrize(
    ("figures", "bound"),
    [
        ({"max_score_difference": 0.0, "same_class": 0.98}, 1e-4),
        ({"max_score_difference": 2e-4, "same_class": 1.0}, 1e-4),
        ({"max_score_difference": float("nan"), "same_class": 1.0}, 1e-4),
        ({"f1": 0.889, "f1_of_keras_model": 0.9}, None),
        ({"f1": float("nan"), "f1_of_keras_model": 0.9}, None),
    ],
)
def test_figures_beyond_a_limit_are_refused(figures, bound):
    passing = {"photos": 9, "max_score_difference": 0.0, "same_class": 1.0, "f1": 0.9, "f1_of_keras_model": 0.9}
    check.check("onnx", passing, bound)
    with pytest.raises(PilahError, match="--format onnx"):
        check.check("onnx", {**passing, **figures}, bound)


def test_leftovers_of_a_killed_export_do_not_stay(model, pixels, tmp_path):
    (tmp_path / "openvino.part").mkdir()
    (tmp_path / "openvino.part" / "model.xml").write_text("half")
    write("openvino", model, pixels, tmp_path / "openvino")
    assert [path.name for path in tmp_path.iterdir()] == ["openvino"]
    assert (tmp_path / "openvino" / description.EXAMPLE).is_file()
