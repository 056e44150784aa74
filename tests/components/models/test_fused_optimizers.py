import keras
import numpy as np
import pytest
import tensorflow as tf

from components.models import fused_optimizers

OPTIMIZERS = {
    "Adam": lambda: keras.optimizers.Adam(1e-2),
    "AdamW": lambda: keras.optimizers.AdamW(1e-2, weight_decay=0.3),
    "Nadam": lambda: keras.optimizers.Nadam(1e-2),
    "other settings": lambda: keras.optimizers.Nadam(3e-2, beta_1=0.8, beta_2=0.95, epsilon=1e-3),
}


def trained(optimizer, steps=30):
    """Apply random gradients, some of them 0; return the variables and the optimizer's state."""
    rng = np.random.default_rng(1)
    variables = [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in ((5, 4), (4,))]
    optimizer.build(variables)

    @tf.function
    def step(*gradients):
        optimizer.apply(gradients, variables)

    for _ in range(steps):
        gradients = [rng.normal(size=variable.shape) * (rng.random(variable.shape) > 0.2) for variable in variables]
        step(*(tf.constant(gradient, tf.float32) for gradient in gradients))
    return [variable.numpy() for variable in (*variables, *optimizer.variables)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_variables_and_moments_equal_those_of_keras(name):
    fused = fused_optimizers.fused(OPTIMIZERS[name]())
    for value, expected in zip(trained(fused), trained(OPTIMIZERS[name]()), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_same_gradients_give_the_same_variables_bit_for_bit(name):
    first, second = (trained(fused_optimizers.fused(OPTIMIZERS[name]())) for _ in range(2))
    for value, repeated in zip(first, second, strict=True):
        np.testing.assert_array_equal(value, repeated)
