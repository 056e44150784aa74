import errno
import importlib.util
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from components.base import machine
from components.base.errors import PilahError
from components.models import backbones, frozen_graph, inference, mnn_engine

SIZE_PX = 32
ENGINES = ("mnn", "openvino", "tensorflow")


@pytest.fixture(autouse=True)
def cleared_caches(monkeypatch):
    """Clear the cached choices of engines, and hide GPUs."""
    monkeypatch.setattr(inference, "on_gpu", lambda: False)
    inference.pick.cache_clear()
    mnn_engine.problem.cache_clear()
    yield
    inference.pick.cache_clear()
    mnn_engine.problem.cache_clear()


@pytest.fixture
def mnn_crashes(monkeypatch):
    """Make MNN's converter crash, as on a CPU that lacks an instruction."""
    run = subprocess.run
    crash = "import os; os.kill(os.getpid(), 4)"
    monkeypatch.setattr(subprocess, "run", lambda command, **options: run([sys.executable, "-c", crash], **options))


@pytest.fixture
def hide_package(monkeypatch):
    """Return a function that makes a package appear not to be installed."""
    find_spec = importlib.util.find_spec

    def hide(package):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find_spec(name))

    return hide


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(1).integers(0, 256, (7, SIZE_PX, SIZE_PX, 3), np.uint8)


@pytest.fixture(scope="module", params=["pooled", "not pooled"])
def model(request):
    """Return a small network of VGG19's layer types, with pooling as for heads or without as for fine-tuning."""
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3), dtype="uint8")
    x = keras.ops.cast(inputs, "float32")
    for width in (8, 16):
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x) if request.param == "pooled" else x)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_output_of_keras_in_order(engine, model, pixels):
    forward = inference.load(engine, model, "float32")
    batches = [pixels[:5], pixels[5:6], pixels[6:], *[pixels[:2]] * 5]  # more batches than any engine runs at once
    results = list(forward(iter(batches)))
    expected = np.asarray(model(np.concatenate(batches), training=False))
    assert [len(result) for result in results] == [len(batch) for batch in batches]
    assert all(result.dtype == np.float32 for result in results)
    np.testing.assert_allclose(np.concatenate(results), expected, atol=2e-3 * np.abs(expected).max())


def test_engines_agree_on_a_real_backbone():
    model = backbones.build("VGG19", backbones.Weights(None, 1), SIZE_PX, "float32")
    pixels = np.random.default_rng(1).integers(0, 256, (5, SIZE_PX, SIZE_PX, 3), np.uint8)
    mnn, openvino, tensorflow = (
        np.concatenate(list(inference.load(engine, model, "float32")([pixels[:3], pixels[3:]])))
        for engine in ("mnn", "openvino", "tensorflow")
    )
    np.testing.assert_allclose(openvino, tensorflow, rtol=1e-3, atol=1e-5 * np.abs(tensorflow).max())
    np.testing.assert_allclose(mnn, tensorflow, rtol=1e-3, atol=1e-4 * np.abs(tensorflow).max())


def test_output_of_mnn_does_not_depend_on_the_number_of_cores(model, pixels, monkeypatch):
    results = []
    for cores in (1, 3):
        monkeypatch.setattr(machine, "cores", lambda cores=cores: cores)
        results.append(np.concatenate(list(inference.load("mnn", model, "float32")([pixels] * 4))))
    np.testing.assert_array_equal(*results)


def test_mnn_prints_nothing(model, pixels, capfd):
    print("before")
    list(inference.load("mnn", model, "float32")([pixels]))
    print("after")
    assert capfd.readouterr().out == "before\nafter\n"


def test_automatic_engine_is_the_cpu_engine_of_the_backbone():
    picked = {name: inference.pick("auto", name, "float32") for name in backbones.BACKBONES}
    assert {name: engine for name, engine in picked.items() if engine != "openvino"} == {"VGG19": "mnn"}
    assert inference.pick("auto", "VGG19", "bfloat16") == "openvino"


def test_automatic_engine_on_a_gpu_is_tensorflow(monkeypatch):
    monkeypatch.setattr(inference, "on_gpu", lambda: True)
    assert inference.pick("auto", "VGG19", "float32") == "tensorflow"


@pytest.mark.parametrize("engine", ENGINES)
def test_explicit_engine_is_used_for_every_backbone(engine):
    assert {inference.pick(engine, name, "float32") for name in backbones.BACKBONES} == {engine}


def test_openvino_replaces_missing_mnn_with_a_warning(hide_package, caplog):
    hide_package("MNN")
    assert [inference.pick("auto", "VGG19", "float32") for _ in range(2)] == ["openvino"] * 2
    assert [record.getMessage() for record in caplog.records] == [
        "VGG19 runs without MNN, at half the speed, because MNN is not installed"
    ]


def test_openvino_replaces_crashing_mnn(mnn_crashes, caplog):
    assert inference.pick("auto", "VGG19", "float32") == "openvino"
    assert "because MNN crashed with signal 4" in caplog.text


def test_tensorflow_replaces_missing_openvino(hide_package):
    hide_package("openvino")
    assert inference.pick("auto", "ResNet50", "float32") == "tensorflow"
    with pytest.raises(PilahError, match=r"--engine openvino needs the package openvino.*--engine tensorflow"):
        inference.pick("openvino", "ResNet50", "float32")


def test_explicit_mnn_that_does_not_work_raises_with_the_reason(mnn_crashes):
    with pytest.raises(PilahError, match=r"--engine mnn .*crashed with signal 4.*Choose --engine openvino"):
        inference.pick("mnn", "VGG19", "float32")


def test_mnn_in_bfloat16_raises():
    with pytest.raises(PilahError, match=r"--engine mnn computes only in float32 \(got --precision bfloat16\)"):
        inference.pick("mnn", "VGG19", "bfloat16")


def test_model_that_mnn_cannot_convert_raises_with_its_name_and_remedy():
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    outputs = keras.ops.cumprod(keras.ops.cast(inputs, "float32"), 1)  # an operation that MNN does not support
    with pytest.raises(PilahError, match=r"^MNN cannot load products: MNN reports: .*Choose --engine openvino\.$"):
        inference.load("mnn", keras.Model(inputs, outputs, name="products"), "float32")


def test_model_with_other_activations_in_mnn_raises(model, monkeypatch):
    other = keras.models.clone_model(model)  # with other random weights
    write = frozen_graph.write
    monkeypatch.setattr(frozen_graph, "write", lambda model, path: write(other, path))
    with pytest.raises(PilahError, match="MNN gives other activations than Keras for the same pixels"):
        inference.load("mnn", model, "float32")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_full_disk_names_the_file_of_a_frozen_graph():
    pixels = keras.Input((SIZE_PX, SIZE_PX, 3), dtype="uint8")
    with pytest.raises(OSError) as raised:
        frozen_graph.write(keras.Model(pixels, keras.ops.cast(pixels, "float32")), pathlib.Path("/dev/full"))
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, "/dev/full")
