"""Test-time views: a photo's scores averaged over it as it is, mirrored, closer, and closer and mirrored."""

import keras

CLOSER = 7 / 8  # of each side is left when a photo is seen closer


def look(pixels: keras.KerasTensor, view: int) -> keras.KerasTensor:
    """Test-time view 0 to 3 of `pixels`, uint8 [n, size, size, 3], in the same shape and dtype; 0 is as they are."""
    if view >= 2:
        size = pixels.shape[1]
        side = round(CLOSER * size)
        start = (size - side) // 2
        middle = keras.ops.image.crop_images(pixels, start, start, target_height=side, target_width=side)
        resized = keras.ops.image.resize(keras.ops.cast(middle, "float32"), (size, size))
        pixels = keras.ops.cast(keras.ops.round(resized), "uint8")
    return keras.ops.flip(pixels, axis=2) if view % 2 else pixels


def averaged(model: keras.Model, views: int) -> keras.Model:
    """`model`, uint8 [n, size, size, 3] -> scores, with its scores averaged over the first `views`, 1 to 4.

    It runs once for each of them, and takes as many times as long.
    """
    if views == 1:
        return model
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    scores = keras.ops.mean(keras.ops.stack([model(look(pixels, view)) for view in range(views)]), axis=0)
    return keras.Model(pixels, scores, name=model.name)
