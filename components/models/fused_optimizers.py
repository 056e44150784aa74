"""Keras's optimizers with TensorFlow's fused Adam kernel: the same formulas in less time.

Keras updates a variable with a dozen operations, each of which reads and writes arrays of the variable's size. The
kernel does all of this in one pass over memory, which shortens the training step of a head by a quarter. It computes
1 - beta in float32, with an error of 1.3e-5 for a beta of 0.999 (docs/performance.md shows the effect).
"""

from collections.abc import Sequence

import keras
import tensorflow as tf


def fused(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return a new optimizer with the settings of `optimizer`: Adam, AdamW or Nadam, without AMSGrad."""
    return _FUSED[type(optimizer)].from_config(optimizer.get_config())


class _FusedAdam(keras.optimizers.Adam):
    def _backend_update_step(
        self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[keras.Variable], learning_rate: tf.Tensor
    ) -> None:
        """Update all variables and their moments by Adam's formulas; Keras calls it after weight decay."""
        step = tf.cast(self.iterations.value + 1, tf.float32)
        settings = {
            "lr": learning_rate,
            "beta1": self.beta_1,
            "beta2": self.beta_2,
            "beta1_power": self.beta_1**step,
            "beta2_power": self.beta_2**step,
            "epsilon": self.epsilon,
        }
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            tf.raw_ops.ResourceApplyAdam(**_handles(self, variable), grad=gradient, **settings)


class _FusedAdamW(_FusedAdam, keras.optimizers.AdamW):
    pass


class _FusedNadam(keras.optimizers.Nadam):
    def _backend_update_step(
        self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[keras.Variable], learning_rate: tf.Tensor
    ) -> None:
        """Update all variables and their moments by Nadam's formulas (Dozat 2016, with Keras's momentum schedule).

        Nadam subtracts (a m + b g) / (sqrt(v) + c). The kernel's Nesterov form has the same terms with other factors,
        so that the learning rate of a first call is chosen to give b. A second call adds the missing part of a; its
        betas of 1 leave the moments unchanged.
        """
        step = tf.cast(self.iterations.value + 1, tf.float32)
        momentum, next_momentum = (self.beta_1 * (1 - 0.5 * 0.96**count) for count in (step, step + 1))
        self._u_product.assign(self._u_product * momentum)
        product, root = self._u_product.value, tf.sqrt(1 - self.beta_2**step)
        moment_rate = learning_rate * root * next_momentum / (1 - product * next_momentum)
        gradient_rate = learning_rate * root * (1 - momentum) / (1 - product)
        first_rate = gradient_rate / (1 - self.beta_1)
        settings = {"beta1_power": 0.0, "beta2_power": 0.0, "epsilon": self.epsilon * root}
        first = {**settings, "lr": first_rate, "beta1": self.beta_1, "beta2": self.beta_2, "use_nesterov": True}
        second = {**settings, "lr": moment_rate - first_rate * self.beta_1, "beta1": 1.0, "beta2": 1.0}
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            for call in (first, second):
                tf.raw_ops.ResourceApplyAdam(**_handles(self, variable), grad=gradient, **call)


def _handles(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> dict[str, tf.Tensor]:
    """Return the handles of `variable` and its moments, keyed by the kernel's argument names."""
    index = optimizer._get_variable_index(variable)
    variables = {"var": variable, "m": optimizer._momentums[index], "v": optimizer._velocities[index]}
    return {name: keras_variable.value.handle for name, keras_variable in variables.items()}


_FUSED: dict[type[keras.optimizers.Optimizer], type[keras.optimizers.Optimizer]] = {
    keras.optimizers.Adam: _FusedAdam,
    keras.optimizers.AdamW: _FusedAdamW,
    keras.optimizers.Nadam: _FusedNadam,
}
