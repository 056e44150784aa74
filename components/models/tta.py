"""Test-time augmentation (TTA): scores averaged over a photo, its centre crop, and the mirror images of both."""

import keras

CROP = 7 / 8  # side of the centre crop as a share of the photo's side


def transform(pixels: keras.KerasTensor, view: int) -> keras.KerasTensor:
    """Return test-time view 0 to 3 of `pixels`, uint8 [n, size, size, 3], in the same shape and dtype.

    View 0 is unchanged, view 1 mirrored, view 2 cropped and resized, and view 3 both.
    """
    if view >= 2:
        size = pixels.shape[1]
        side = round(CROP * size)
        start = (size - side) // 2
        middle = keras.ops.image.crop_images(pixels, start, start, target_height=side, target_width=side)
        resized = keras.ops.image.resize(keras.ops.cast(middle, "float32"), (size, size))
        pixels = keras.ops.cast(keras.ops.round(resized), "uint8")
    return keras.ops.flip(pixels, axis=2) if view % 2 else pixels


def averaged(model: keras.Model, views: int) -> keras.Model:
    """Return `model`, uint8 [n, size, size, 3] -> scores, with its scores averaged over the first `views`, 1 to 4.

    The model runs once for each view.
    """
    if views == 1:
        return model
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    scores = keras.ops.mean(keras.ops.stack([model(transform(pixels, view)) for view in range(views)]), axis=0)
    return keras.Model(pixels, scores, name=model.name)
