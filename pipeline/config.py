"""One flat configuration of a run, and what each profile changes in it."""

import dataclasses
import json
import math
import pathlib
from typing import Any

from components.base import artifacts
from components.base.errors import PilahError
from pipeline import run_folder

STAGES = (
    "photos",
    "dataset",
    "features",
    "search",
    "refine",
    "choice",
    "model",
    "export",
    "validate",
    "push",
    "report",
)
BACKBONES = ("ResNet50", "VGG19", "DenseNet121")
OPTIMIZERS = ("Adam", "Nadam", "AdamW")
DROPOUTS = (0.0, 0.2, 0.5)
FINETUNING = (
    "unfreeze",
    "batchnorm",
    "warmup_epochs",
    "schedule",
    "label_smoothing",
    "balance",
    "clip_norm",
    "ensemble",
    "xla",
    "finetuning_rate",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that a run depends on; the defaults are the thesis's study.

    Attributes:
        profile: which of PROFILES the settings began as.
        images: folders or zips of the photos, taken together; none draws the demo's own.
        strategy: "features", in which the backbones are frozen, or "finetune", in which they train too.
        refine: how many of the best scenarios, backbones frozen, are trained once more with theirs unfrozen.
        views: augmented views of each photo; where backbones are frozen, epoch e trains on view 1 + e mod views.
            Fine-tuning has a new one each epoch.
        flips: of augmented views, "horizontal" or "both", see augment.Augmentation.
        test_views: views over which a photo's scores are averaged, 1 to 4, see tta.look.
        unfreeze, batchnorm, warmup_epochs, schedule, label_smoothing, balance, clip_norm, ensemble, xla: of
            fine-tuning, see finetune.Options.
        finetuning_rate: learning rate of fine-tuning; None is that of the heads.
        weight_decay: of AdamW, at Keras's default.
        image_size_px: side of the squares that photos become.
        engine: what runs the frozen backbones: auto, openvino or tensorflow.
        precision: in which backbones compute: auto, float32 or bfloat16.
        max_pixels: width x height above which a photo is rejected.
        max_rejects: share of unusable photos in [0, 1] above which the run stops.
        min_f1: cross-validated macro F1 below which the winner is not pushed.
        keep_versions: served versions that stay on disk.
        photos_per_class: photos of each class to draw, where they are drawn.
        group_folds: keep photos whose perceptual hashes are close in one fold.
        beam_args: Beam pipeline options, handed on untouched.
        force: push even a model that is worse than the one served.
        accept_missing: go on where all photos of a folder are missing that an earlier run listed.
    """

    run_dir: pathlib.Path
    profile: str = "thesis"
    images: tuple[pathlib.Path, ...] = ()
    weights_dir: pathlib.Path | None = None
    strategy: str = "features"
    refine: int = 0
    backbones: tuple[str, ...] = BACKBONES
    optimizers: tuple[str, ...] = OPTIMIZERS
    dropouts: tuple[float, ...] = DROPOUTS
    folds: int = 5
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 1e-4
    weight_decay: float = 0.004
    views: int = 10
    flips: str = "horizontal"
    test_views: int = 1
    unfreeze: str = "all"
    batchnorm: str = "frozen"
    warmup_epochs: int = 0
    schedule: str = "constant"
    label_smoothing: float = 0.0
    balance: str = "none"
    clip_norm: float | None = None
    ensemble: int = 1
    xla: bool = False
    finetuning_rate: float | None = None
    seed: int = 42
    image_size_px: int = 224
    engine: str = "auto"
    precision: str = "auto"
    max_pixels: int = 50_000_000
    max_rejects: float = 0.05
    min_f1: float = 0.7
    keep_versions: int = 3
    photos_per_class: int = 0
    group_folds: bool = False
    beam_args: tuple[str, ...] = ()
    force: bool = False
    accept_missing: bool = False

    @property
    def scenario_count(self) -> int:
        """How many scenarios are searched, those refined afterwards not counted."""
        return len(self.backbones) * len(self.optimizers) * len(self.dropouts)

    @property
    def searched_numbers(self) -> range:
        """Of the scenarios of the search."""
        return range(1, self.scenario_count + 1)

    @property
    def refined_numbers(self) -> range:
        """Of the scenarios that are refined, numbered on from those searched."""
        return range(self.scenario_count + 1, self.scenario_count + self.refine + 1)

    @property
    def finetunes(self) -> bool:
        return self.strategy == "finetune" or self.refine > 0

    @property
    def rate_of_finetuning(self) -> float:
        return self.finetuning_rate or self.learning_rate

    @property
    def finetuning_options(self) -> dict[str, Any]:
        """Field of finetune.Options -> value."""
        return {name: getattr(self, name) for name in FINETUNING if name != "finetuning_rate"}

    def needs(self, stage: str) -> bool:
        """Whether there is anything for `stage`, one of STAGES, to do."""
        return {"features": self.strategy == "features", "refine": self.refine > 0}.get(stage, True)

    @property
    def allow_random_weights(self) -> bool:
        return self.profile == "demo"


def demo(run_dir: pathlib.Path) -> Config:
    """The whole study in minutes: few small drawn photos, and steps large enough to learn from so few."""
    return Config(
        run_dir=run_dir,
        profile="demo",
        image_size_px=96,
        photos_per_class=40,
        views=2,
        learning_rate=1e-3,
        min_f1=0.15,  # about chance for six classes: where there are no ImageNet weights, no more can be asked
    )


def finetuned(run_dir: pathlib.Path) -> Config:
    """The recipe of the best single model of the thesis's photos (docs/RESULTS.md): one scenario, then fine-tuned."""
    return Config(
        run_dir=run_dir,
        profile="finetuned",
        image_size_px=320,
        views=1,  # of the frozen scenario, which is there to be compared with
        flips="both",
        backbones=("DenseNet121",),
        optimizers=("Adam",),
        dropouts=(0.0,),
        refine=1,
        unfreeze="top",
        batchnorm="trained",
        finetuning_rate=3e-4,
        schedule="cosine",
        label_smoothing=0.1,
        clip_norm=1.0,
    )


PROFILES = {"thesis": Config, "finetuned": finetuned, "demo": demo}


def check(config: Config) -> None:
    """Raise where settings are not finite, or do not go together."""
    for name, value in vars(config).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise PilahError(f"--{name.replace('_', '-')} must be a finite number (got {value}).")
    if config.refine and config.strategy == "finetune":
        raise PilahError(
            f"--refine {config.refine} and --strategy finetune exclude each other: --refine trains backbones that the "
            "search left frozen. Choose one of them."
        )
    if config.refine > config.scenario_count:
        raise PilahError(
            f"--refine must be at most {config.scenario_count}, the number of scenarios (got {config.refine})."
        )
    plain = Config(config.run_dir)
    idle = [name for name in FINETUNING if getattr(config, name) != getattr(plain, name)]
    if idle and not config.finetunes:
        given = ", ".join(f"--{name.replace('_', '-')} {getattr(config, name)}" for name in idle)
        raise PilahError(
            f"{given}: options of fine-tuning have no effect while all backbones stay frozen. Add --refine 1 or "
            "--strategy finetune, or leave them out."
        )
    if config.finetunes and config.warmup_epochs >= config.epochs:
        raise PilahError(
            f"--warmup-epochs must be lower than --epochs, which is {config.epochs} (got {config.warmup_epochs})."
        )


def check_not_of_photos(run_dir: pathlib.Path) -> None:
    """Raise where `run_dir` holds a run of photos that were given, lest it is drawn over by one that names none."""
    if not (run_dir / run_folder.CONFIG).exists() or not (given := read(run_dir).images):
        return
    raise PilahError(
        f"{run_dir} is a run of {', '.join(map(str, given))}, and no --images is given. Give them again with the "
        "options that the run had, or replace it by a run on synthetic photos with --profile demo."
    )


def to_json(config: Config) -> dict[str, Any]:
    """The configuration as JSON can hold it, paths as text."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def read(run_dir: pathlib.Path) -> Config:
    """The configuration of the run in `run_dir`, as its run.json holds it; a run that was moved is taken where it is.

    Raises:
        PilahError: there is no run.
    """
    path = run_dir / run_folder.CONFIG
    if not path.exists():
        raise PilahError(f"--run-dir must hold a run, and {run_dir} has no run.json. Start one with 'run'.")
    return dataclasses.replace(from_json(artifacts.read_json(path)), run_dir=run_dir.resolve())


def from_json(values: dict[str, Any]) -> Config:
    """The configuration that `to_json` made `values` of; settings that are newer than they have their defaults."""
    paths = {
        "run_dir": pathlib.Path(values["run_dir"]),
        "images": tuple(map(pathlib.Path, values["images"])),
        "weights_dir": values["weights_dir"] and pathlib.Path(values["weights_dir"]),
    }
    lists = {name: tuple(values[name]) for name in ("backbones", "optimizers", "dropouts", "beam_args")}
    return Config(**{**values, **paths, **lists})
