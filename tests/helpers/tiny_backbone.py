"""A backbone of three convolutions, registered as Tiny and Other during a test, and its fine-tuning."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
import pytest

from components.base import settings
from components.models import backbone_table, backbones, finetuning
from tuner import scenarios
from tuner import study as study_module

TINY: Any = "Tiny"  # not in settings.Backbone
OTHER: Any = "Other"  # the same network, for models of two backbones
SCENARIO = scenarios.Scenario(1, TINY, "Adam", 0.2, "finetune")


def build(weights: None, include_top: bool, input_shape: tuple[int, ...]) -> keras.Model:
    x = inputs = keras.Input(input_shape)
    for stage, width in (("low", 8), ("mid", 8), ("top", 16)):
        x = keras.layers.Conv2D(width, 3, strides=2, name=f"{stage}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"{stage}_bn")(x)
        x = keras.layers.ReLU(name=f"{stage}_relu")(x)
    return keras.Model(inputs, x)


@contextlib.contextmanager
def known() -> Iterator[pytest.MonkeyPatch]:
    """Register both backbones during the block."""
    tiny = backbones.Backbone(
        build=build,
        preprocess=lambda x: x / 127.5 - 1,
        size_px=224,
        min_size_px=32,
        channels=16,
        parameters=2104,
        top="before top_conv",
        top2="before mid_conv",
        cpu_engine="openvino",
        layout="",
        weights_digest="",
        weights_url="http://localhost:1/tiny.h5",
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in (TINY, OTHER):
            patch.setitem(backbones.BACKBONES, name, tiny)
            patch.setitem(backbone_table.ROWS, name, tiny)
        yield patch


def with_options(study: study_module.Study, **options: Any) -> study_module.Study:
    assert study.finetuning
    tuning = dataclasses.replace(study.finetuning, options=settings.Finetuning(**options))
    return dataclasses.replace(study, finetuning=tuning)


def fit(study: study_module.Study, rows: Any, state: pathlib.Path, scenario: scenarios.Scenario = SCENARIO) -> Any:
    return finetuning.fit(study.recipe(scenario), study.examples(TINY), rows, seed=7, checkpoint=state)
