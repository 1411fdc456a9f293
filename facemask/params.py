"""Typed, frozen, strict mirror of ``params.yaml``: every knob that can change a result, none with a default.

Reading is all or nothing: a missing, misspelt or misplaced key, or a value of the wrong type, fails at load with the
key's full name, what is allowed and the nearest match. Choices with knobs of their own are unions told apart by
``kind``. A stage receives only its view of this file (see :func:`facemask.launch.launch`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")
    return value


# DVC writes 3e-05 for `-S train.lr=3e-5`, which YAML 1.1 reads as text: floats alone are therefore parsed leniently.
Number = Annotated[float, Field(strict=False, allow_inf_nan=False), BeforeValidator(_not_bool)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Size = Annotated[tuple[Count, Count], Field(description="height, width in pixels")]
Triple = tuple[Number, Number, Number]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Config(BaseModel):
    """Base of all sections: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


# ---------------------------------------------------------------------------------------------------------- data
class Data(Config):
    """Where the photos are."""

    root: Annotated[str, Field(min_length=1)] = Field(
        description="folder in the contest's layout; its name also picks the rows of data/label_fixes.csv"
    )


class SampleData(Config):
    """The embedded sample: drawn people in the contest's layout."""

    train_people: Annotated[int, Field(ge=8)] = Field(description="labelled people, 7 photos each")
    eval_people: Annotated[int, Field(ge=0)] = Field(description="unlabelled people, 7 photos each")
    seed: Annotated[int, Field(ge=0)] = Field(description="which people are drawn")


class FixLabels(Config):
    """Correction of known wrong labels."""

    trust: Literal["none", "confirmed", "all"] = Field(
        description="which rows of data/label_fixes.csv are applied, by their status column"
    )


# ---------------------------------------------------------------------------------------------------- face_crop
class Mtcnn(Config):
    """facenet-pytorch's MTCNN; its weights come with the package."""

    kind: Literal["mtcnn"]
    min_face: Annotated[Number, Field(ge=20)] = Field(
        description="smallest face looked for, pixels of the photo; 20 / 0.709**k keeps a subset of the default scales"
    )
    thresholds: tuple[Fraction, Fraction, Fraction] = Field(
        description="lowest score that passes the proposal, refinement and output networks"
    )


class Fixed(Config):
    """The same box in every photo: a centre crop, or the mean face position."""

    kind: Literal["fixed"]
    box: tuple[Fraction, Fraction, Fraction, Fraction] = Field(
        description="x0, y0, x1, y1 as fractions of the photo's width and height"
    )

    @model_validator(mode="after")
    def _is_a_box(self) -> Fixed:
        x0, y0, x1, y1 = self.box
        if not (x0 < x1 and y0 < y1):
            raise ValueError("x0 < x1 and y0 < y1 are wanted")
        return self


class NoFinder(Config):
    """No search: the whole photo."""

    kind: Literal["none"]


Finder = Annotated[Mtcnn | Fixed | NoFinder, Field(discriminator="kind")]


class FaceCrop(Config):
    """Where the face is, and how much around it is kept."""

    finder: Finder = Field(description="how faces are found: mtcnn, fixed or none")
    choose: Literal["largest", "most_confident", "most_central"] = Field(
        description="which of several faces is the photo's person"
    )
    fallback: tuple[Literal["person", "median"], ...] = Field(
        description="tried in order where no face is found: the person's other photos, the data set's median box"
    )
    margin: Annotated[Number, Field(ge=0, le=5)] = Field(
        description="added on each side of the face box, as a fraction of its height"
    )
    size: Size = Field(description="crops are stored at this height, width in pixels")


# ------------------------------------------------------------------------------------------- background_removal
class GrabCut(Config):
    """OpenCV's GrabCut, seeded by the frame and a portrait prior; needs no download."""

    kind: Literal["grabcut"]
    iterations: Count = Field(description="rounds of colour-model fitting")
    height: Annotated[int, Field(ge=32)] = Field(description="photos are segmented at this height, pixels")


class Rembg(Config):
    """Any of rembg's networks, by name, or a local file through ``u2net_custom``."""

    kind: Literal["rembg"]
    model: Annotated[str, Field(min_length=1)] = Field(
        description="rembg's model name, such as u2net or isnet-general-use"
    )
    path: str | None = Field(description="ONNX file for u2net_custom; null for the others")


class NoMatting(Config):
    """No mattes; backgrounds can then only be kept."""

    kind: Literal["none"]


Matting = Annotated[GrabCut | Rembg | NoMatting, Field(discriminator="kind")]


class BackgroundRemoval(Config):
    """What is person and what is not."""

    matting: Matting = Field(description="how the person is separated: grabcut, rembg or none")


# ----------------------------------------------------------------------------------------------- build_manifest
class NoBalance(Config):
    """Every training photo once an epoch."""

    kind: Literal["none"]


class Oversample(Config):
    """Repeat photos of rare classes."""

    kind: Literal["oversample"]
    ratio: Annotated[Number, Field(gt=0, le=1)] = Field(
        description="each class is raised towards this fraction of the largest class"
    )
    cap: Count = Field(description="no photo is seen more often than this in one epoch")


class Undersample(Config):
    """Keep only some photos of each person and mask state."""

    kind: Literal["undersample"]
    keep: tuple[Count, Count, Count] = Field(
        description="photos kept a person: worn, incorrect, none (3, 1, 1)"
    )


Balance = Annotated[NoBalance | Oversample | Undersample, Field(discriminator="kind")]


class BuildManifest(Config):
    """Who trains, who validates, how often a photo is seen."""

    folds: Annotated[int, Field(ge=2)] = Field(description="number of folds, split by person")
    holdout: Annotated[Number, Field(ge=0, le=0.5)] = Field(
        description="fraction of people kept apart from all folds for the final check; 0 for none"
    )
    balance: Balance = Field(description="none, oversample or undersample; changes training rows only")


class Bands(Config):
    """The age bands that the trainer sees; the yardstick never moves."""

    young_cut: Annotated[int, Field(ge=1, le=120)]
    age_cut: Annotated[int, Field(ge=1, le=120)]


class Folds(Config):
    """Which folds were trained: those that are scored and averaged."""

    folds: tuple[Annotated[int, Field(ge=0)], ...]


# -------------------------------------------------------------------------------------------------------- train
class Image(Config):
    """The pixels that the network is given."""

    size: Size = Field(description="height, width of the network's input, pixels")
    background: Literal["keep", "black", "white", "mean", "blur"] = Field(
        description="what the matte's outside becomes"
    )
    mean: Triple = Field(description="subtracted from each channel (R, G, B) of pixels in 0..1")
    std: tuple[Positive, Positive, Positive] = Field(
        description="divides each channel after the mean is subtracted"
    )


class Transform(Config):
    """One albumentations transform: its class name and that class's own arguments."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    name: Annotated[str, Field(min_length=1)]

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for the transform's constructor."""
        return dict(self.model_extra or {})


class Scratch(Config):
    """Random initial weights."""

    kind: Literal["scratch"]


class Hub(Config):
    """timm's pretrained weights from the hub, or from its local cache."""

    kind: Literal["hub"]


class WeightsFile(Config):
    """Pretrained weights from a local ``.safetensors`` or ``.pth`` file."""

    kind: Literal["file"]
    path: Annotated[str, Field(min_length=1)] = Field(description="file with the backbone's weights")
    sha256: Sha256 = Field(description="the file's SHA-256, so that the same params mean the same weights")


Weights = Annotated[Scratch | Hub | WeightsFile, Field(discriminator="kind")]


class Backbone(Config):
    """A timm network without its classifier."""

    name: Annotated[str, Field(min_length=1)] = Field(description="timm model name")
    weights: Weights = Field(description="initial weights: scratch, hub or file")
    options: dict[str, str | int | Number | bool] = Field(
        description="further arguments of timm.create_model"
    )


class JointHead(Config):
    """One 18-way classifier."""

    kind: Literal["joint"]
    dropout: Annotated[Number, Field(ge=0, lt=1)] = Field(description="dropout before the classifier")


class ThreeHead(Config):
    """Three classifiers (mask, gender, age) on one backbone; their product is the 18-way table."""

    kind: Literal["three"]
    dropout: Annotated[Number, Field(ge=0, lt=1)] = Field(description="dropout before the classifiers")


Head = Annotated[JointHead | ThreeHead, Field(discriminator="kind")]


class CrossEntropy(Config):
    """Cross-entropy with label smoothing."""

    kind: Literal["cross_entropy"]
    smoothing: Annotated[Number, Field(ge=0, lt=1)] = Field(description="label smoothing")


class Focal(Config):
    """Focal loss."""

    kind: Literal["focal"]
    gamma: NonNegative = Field(description="0 is cross-entropy; 2 is the paper's")


class SoftF1(Config):
    """One minus the macro-F1 of soft counts over the batch."""

    kind: Literal["soft_f1"]
    eps: Positive = Field(description="keeps the quotient finite")


Loss = Annotated[CrossEntropy | Focal | SoftF1, Field(discriminator="kind")]


class AdamW(Config):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"]
    weight_decay: NonNegative = Field(description="decoupled weight decay")
    betas: tuple[Fraction, Fraction] = Field(description="decay of the first and second moment")


class Sgd(Config):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"]
    weight_decay: NonNegative = Field(description="weight decay")
    momentum: Fraction = Field(description="momentum")
    nesterov: bool = Field(description="Nesterov's variant of momentum")

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


Optimiser = Annotated[AdamW | Sgd, Field(discriminator="kind")]


class OneCycle(Config):
    """Cosine up to the learning rate and down again, once over the whole training."""

    kind: Literal["one_cycle"]
    warmup: Annotated[Number, Field(gt=0, lt=1)] = Field(description="fraction of the steps spent rising")
    start_div: Annotated[Number, Field(ge=1)] = Field(description="the first learning rate is lr / start_div")
    final_div: Annotated[Number, Field(ge=1)] = Field(
        description="the last one is lr / start_div / final_div"
    )


class Cosine(Config):
    """Linear warm-up, then half a cosine down to ``min_lr``."""

    kind: Literal["cosine"]
    warmup_steps: Annotated[int, Field(ge=0)] = Field(description="optimiser steps of linear rise")
    min_lr: NonNegative = Field(description="learning rate at the last step")


Schedule = Annotated[OneCycle | Cosine, Field(discriminator="kind")]


class Recipe(Config):
    """What one fold's trainer reads."""

    image: Image
    augment: tuple[Transform, ...] = Field(
        description="albumentations transforms of training photos, in order"
    )
    backbone: Backbone
    head: Head = Field(description="joint or three")
    loss: Loss = Field(description="cross_entropy, focal or soft_f1")
    optimiser: Optimiser = Field(description="adamw or sgd")
    lr: Positive = Field(description="highest learning rate of the schedule")
    schedule: Schedule = Field(description="one_cycle or cosine, stepped at every optimiser step")
    epochs: Count = Field(description="passes over the training photos")
    batch_size: Count = Field(description="photos a step, over all devices")
    ema: Annotated[Number, Field(ge=0, lt=1)] = Field(
        description="decay a step of the moving average of the weights that is validated and kept; 0 for none"
    )
    precision: Literal["32", "bf16", "16"] = Field(
        description="on GPU: full, bfloat16 or float16 mixed; a CPU uses 32"
    )
    channels_last: bool = Field(description="memory layout NHWC, faster for most convolutional networks")
    patience: Count | None = Field(
        description="epochs without a better validation macro-F1 before stopping; null never"
    )


class Train(Recipe):
    """The whole ``train`` section."""

    folds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = Field(
        description="which folds are trained; adding one trains only that one"
    )
    young_cut: Annotated[int, Field(ge=1, le=120)] = Field(
        description="ages below are 'young' for the trainer; metrics always use 30"
    )
    age_cut: Annotated[int, Field(ge=1, le=120)] = Field(
        description="ages from here on are 'old' for the trainer; metrics always use 60"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Train:
        if self.young_cut >= self.age_cut:
            raise ValueError(f"young_cut ({self.young_cut}) must be below age_cut ({self.age_cut})")
        if len(set(self.folds)) != len(self.folds):
            raise ValueError(f"folds {list(self.folds)} names a fold twice")
        return self


# --------------------------------------------------------------------------------------------- evaluate, infer
class Evaluate(Config):
    """How the scores are reported."""

    bootstrap: Annotated[int, Field(ge=0)] = Field(
        description="resamples of people behind each interval; 0 for none"
    )
    confidence: Annotated[Number, Field(gt=0, lt=1)] = Field(description="coverage of the intervals")
    calibration_bins: Count = Field(description="equal-width bins of the expected calibration error")


class Infer(Config):
    """How eval photos are predicted."""

    views: Annotated[tuple[Literal["identity", "hflip"], ...], Field(min_length=1)] = Field(
        description="test-time augmentation: probabilities are averaged over these views"
    )
    batch_size: Count = Field(description="photos a forward pass")


class Params(Config):
    """All of ``params.yaml``."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        description="folds, initial weights, order and augmentation"
    )
    data: Data
    sample_data: SampleData
    fix_labels: FixLabels
    face_crop: FaceCrop
    background_removal: BackgroundRemoval
    build_manifest: BuildManifest
    train: Train
    evaluate: Evaluate
    infer: Infer

    @model_validator(mode="after")
    def _sections_agree(self) -> Params:
        beyond = [fold for fold in self.train.folds if fold >= self.build_manifest.folds]
        if beyond:
            raise ValueError(
                f"train.folds names fold {beyond[0]}, but build_manifest.folds is {self.build_manifest.folds} "
                f"(folds are counted from 0)"
            )
        if self.train.image.background != "keep" and self.background_removal.matting.kind == "none":
            raise ValueError(
                f"train.image.background is {self.train.image.background}, which needs mattes, but "
                "background_removal.matting.kind is none"
            )
        return self
