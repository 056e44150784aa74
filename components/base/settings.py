"""Settings: their names, choices, defaults and command-line options. Imports nothing heavy."""

import dataclasses
from typing import Any, Literal, NamedTuple

Backbone = Literal[  # components/models/backbones.csv has what is known of each
    "ResNet50",
    "VGG19",
    "DenseNet121",
    "ResNet101",
    "ResNet152",
    "ResNet50V2",
    "ResNet101V2",
    "ResNet152V2",
    "VGG16",
    "DenseNet169",
    "DenseNet201",
    "InceptionV3",
    "InceptionResNetV2",
    "Xception",
    "NASNetMobile",
    "NASNetLarge",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2S",
    "EfficientNetV2M",
    "EfficientNetV2L",
    "ConvNeXtTiny",
    "ConvNeXtSmall",
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtXLarge",
]
# the thesis's, in its order, like the optimizers and dropouts
THESIS_BACKBONES: tuple[Backbone, ...] = ("ResNet50", "VGG19", "DenseNet121")
Optimizer = Literal["Adam", "Nadam", "AdamW"]
DROPOUTS = (0.0, 0.2, 0.5)
HIDDEN_UNITS = 256  # of the head, in the thesis
Strategy = Literal["features", "finetune"]
Oracle = Literal["grid", "random", "bayesian", "hyperband"]
Flips = Literal["horizontal", "both"]
AugmentationKind = Literal["affine", "strong"]
Engine = Literal["auto", "mnn", "openvino", "tensorflow"]
InferenceEngine = Literal["mnn", "openvino", "tensorflow"]  # what "auto" resolves to
Precision = Literal["auto", "float32", "bfloat16"]
ComputeDtype = Literal["float32", "bfloat16"]
DeviceFormat = Literal["litert", "litert-int8", "onnx", "openvino"]
Unfreeze = Literal["all", "top", "top2"]
BatchNorm = Literal["frozen", "trained"]
Schedule = Literal["constant", "cosine"]
Balance = Literal["none", "weights", "oversampling"]


UNTYPICAL_BELOW = 0.01  # typicality of a photo that is flagged, about 1 % of photos like the training photos
MAX_PIXELS = 52_000_000  # of a photo; the largest photos of phones have 8192 x 6144


@dataclasses.dataclass(frozen=True)
class Range:
    """The values from `low` to `high` that a search may try.

    Attributes:
        log: whether values are sampled evenly on a logarithmic scale instead of a linear one.
    """

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low}:{self.high}{':log' if self.log else ''}"


def parse_range(text: str) -> Range:
    """Return the range that a text such as "1e-5:1e-2:log" describes.

    Raises:
        ValueError: the text has another form, or the lower bound is not below the upper one, or not above 0 with "log".
    """
    low, high, *scale = text.split(":")
    if scale not in ([], ["log"]):
        raise ValueError("a range is LOW:HIGH or LOW:HIGH:log")
    result = Range(float(low), float(high), bool(scale))
    if not result.low < result.high:
        raise ValueError("the first number of a range must be lower than the second")
    if result.log and result.low <= 0:
        raise ValueError("a range on a logarithmic scale must start above 0")
    return result


@dataclasses.dataclass(frozen=True)
class Option:
    """The command-line option of a field.

    Attributes:
        help: help text, a noun phrase that is understandable on its own.
        min, max: bounds of the value, or of each value of a list; None is no bound.
        flag: name of the option, if it differs from the field's.
        resumed: whether a run that is started again keeps the value unless the command line gives another.
    """

    help: str
    min: float | None = None
    max: float | None = None
    flag: str = ""
    resumed: bool = True


def option(default: Any, help_text: str, **rest: Any) -> Any:
    """Return a dataclass field with a default and its Option; `rest` are attributes of Option."""
    return dataclasses.field(default=default, metadata={"option": Option(help_text, **rest)})


def options(settings: type) -> dict[str, Option]:
    """Return field name -> option of each field of a dataclass that has one."""
    return {field.name: field.metadata["option"] for field in dataclasses.fields(settings) if field.metadata}


class FrozenLayers(NamedTuple):
    """The layers of `backbone` below `part`, see backbones.split."""

    backbone: Backbone
    part: Unfreeze


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finetuning:
    """Options of fine-tuning; the defaults are the thesis's recipe with all of the backbone trained.

    Attributes:
        batchnorm: whether BatchNorm of the unfrozen part trains, see backbones.unfreeze.
        warmup_epochs: protects the backbone from the large first gradients of a new head. During warm-up the head has
            a separate optimizer with a constant learning rate.
        schedule: "cosine" rises linearly over the first tenth of the steps and falls to 0 at the last.
        balance: "weights" weights photos by the inverse frequency of their class; "oversampling" samples as many photos
            for each epoch as there are, with equal probability for each class.
        clip_norm: largest L2 norm of all gradients of a step together (Pascanu et al. 2013), which limits the effect of
            a single batch.
        ensemble: see Lakshminarayanan et al. 2017. The models use the same views and share the frozen layers.
        covariance_top, covariance_top2: see covariance_head.py. Such a head trains no layer of its backbone; with an
            ensemble of 0 the model has only such heads.
        xla: worthwhile on GPUs; each fold then starts with a compilation.
    """

    unfreeze: Unfreeze = option(
        "all", "Part of the backbone that is fine-tuned: all, its last stage (top) or its last two (top2)."
    )
    batchnorm: BatchNorm = option("frozen", "BatchNorm layers of the part that is fine-tuned: frozen or trained.")
    warmup_epochs: int = option(0, "First epochs of fine-tuning in which only the head trains.", min=0, max=10_000)
    schedule: Schedule = option(
        "constant", "Learning rate schedule of fine-tuning: constant, or cosine with a linear warm-up."
    )
    label_smoothing: float = option(
        0.0, "Share of each label that fine-tuning spreads over all classes.", min=0, max=0.9
    )
    balance: Balance = option("none", "Class balancing of fine-tuning: none, weights or oversampling.")
    clip_norm: float | None = option(
        None, "Norm to which fine-tuning clips the gradients of a step.", min=1e-9, max=1e9
    )
    ensemble: int = option(
        1, "Number of fine-tuned models that differ only in their seeds, their scores averaged.", min=0, max=100
    )
    covariance_top: tuple[Backbone, ...] = option(
        (), "Backbones with a head on covariances of the activations below their last stage."
    )
    covariance_top2: tuple[Backbone, ...] = option(
        (), "Backbones with a head on covariances of the activations below their last two stages."
    )
    xla: bool = option(False, "Compile the training steps of fine-tuning with XLA, for GPUs.")

    @property
    def covariance_heads(self) -> tuple[FrozenLayers, ...]:
        """The layers that each covariance head reads."""
        top, top2 = self.covariance_top, self.covariance_top2
        return *(FrozenLayers(name, "top") for name in top), *(FrozenLayers(name, "top2") for name in top2)

    def epochs_of_members(self, epochs: int) -> int:
        """Return the number of epochs of all members of a model together; a covariance head counts as one epoch."""
        return self.ensemble * epochs + len(self.covariance_heads)
