import h5py
import keras
import numpy as np
import pytest

from components.base.errors import PilahError
from components.models import weights_file

SHAPES = [(3, 3, 1, 2), (2,), (4, 5)]
LAYOUT = weights_file.layout_of(SHAPES)


def write(path, arrays, layers=None):
    """Save a layer for each array, in the format of Keras Applications."""
    with h5py.File(path, "w") as file:
        names = [f"layer_{number}" for number in range(len(arrays))]
        file.attrs["layer_names"] = layers or ["input", *names]
        file.create_group("input").attrs["weight_names"] = []
        for name, array in zip(names, arrays, strict=True):
            layer = file.create_group(name)
            layer.attrs["weight_names"] = [f"{name}/kernel:0"]
            layer[f"{name}/kernel:0"] = array
    return path


def arrays_of(shapes):
    return [np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape) for shape in shapes]


def check(path):
    weights_file.check(path, "VGG19", 40, LAYOUT)


def test_file_of_the_network_is_accepted(tmp_path):
    check(write(tmp_path / "vgg19.h5", arrays_of(SHAPES)))


def test_bias_of_zeros_is_accepted(tmp_path):
    arrays = arrays_of(SHAPES)
    arrays[1][:] = 0
    check(write(tmp_path / "vgg19.h5", arrays))


def test_file_of_a_whole_model_is_accepted(tmp_path):
    path = tmp_path / "vgg19.h5"
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2, bias_initializer="ones")(inputs))
    model.save(path)
    weights_file.check(path, "VGG19", 8, weights_file.layout_of([(3, 2), (2,)]))


def test_names_that_keras_divides_because_they_are_too_long_are_joined(tmp_path):
    path = write(tmp_path / "vgg19.h5", arrays_of(SHAPES))
    with h5py.File(path, "a") as file:
        names = file.attrs.pop("layer_names")
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:2], names[2:]
    check(path)


def first_half(path):
    content = write(path, arrays_of(SHAPES)).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def with_first_weights(path, value):
    arrays = arrays_of(SHAPES)
    arrays[0][:] = value
    write(path, arrays)


@pytest.mark.parametrize(
    ("write_unusable", "expected"),
    [
        (first_half, "truncated file"),
        (lambda path: path.write_bytes(b""), "not an HDF5 file"),
        (lambda path: path.write_text("<html>404 Not Found"), "not an HDF5 file"),
        (lambda path: h5py.File(path, "w").close(), "another network (0 parameters instead of 40)"),
        (lambda path: write(path, arrays_of(SHAPES[:2])), "another network (20 parameters instead of 40)"),
        (lambda path: write(path, arrays_of([(2, 1, 3, 3), (2,), (4, 5)])), "another network (with other shapes)"),
        (lambda path: write(path, arrays_of(SHAPES), layers=["missing"]), "missing"),
        (lambda path: with_first_weights(path, np.nan), "not finite"),
        (lambda path: with_first_weights(path, 0), "are zero"),
    ],
    ids=["truncated", "empty", "html", "no layers", "fewer layers", "other order", "no group", "nan", "zeros"],
)
def test_unusable_file_raises_with_its_name_and_remedy(tmp_path, write_unusable, expected):
    path = tmp_path / "vgg19.h5"
    write_unusable(path)
    with pytest.raises(PilahError) as refused:
        check(path)
    message = str(refused.value)
    assert message.startswith(f"{path} ") and "VGG19" in message and "Download it again" in message
    assert expected in message and "\n" not in message
