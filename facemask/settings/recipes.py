"""What one fold's trainer reads of ``params.yaml``: the keys of ``train`` that reach the weights.

Choices with knobs of their own are unions told apart by ``kind``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from facemask.settings.config import (
    Config,
    Count,
    Fraction,
    NonNegative,
    Number,
    Positive,
    Sha256,
    Size,
    Text,
    Triple,
    Whole,
    Years,
)


class Nothing(Config):
    """The technique is off."""

    kind: Literal["none"]


# ------------------------------------------------------------------------------------------------------- photos
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

    name: Text

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for the transform's constructor."""
        return dict(self.model_extra or {})


class Swap(Config):
    """Put training people before another background, drawn anew for every photo and epoch."""

    kind: Literal["swap"]
    p: Fraction = Field(description="chance that a photo's background is replaced", examples=[0.5])
    fills: Annotated[tuple[Literal["colour", "blur", "photo"], ...], Field(min_length=1)] = Field(
        description="drawn from with equal chance: a flat colour, the photo blurred, another training photo",
        examples=[["colour", "blur", "photo"]],
    )


class Mixup(Config):
    """Mix pairs of photos and their labels."""

    kind: Literal["mixup"]
    alpha: Positive = Field(description="shares are drawn from Beta(alpha, alpha)", examples=[0.3])
    p: Fraction = Field(description="chance that a batch is mixed", examples=[0.5])


class CutMix(Config):
    """Paste a rectangle of another photo; labels are shared by area."""

    kind: Literal["cutmix"]
    alpha: Positive = Field(description="the pasted area is drawn from Beta(alpha, alpha)", examples=[1.0])
    p: Fraction = Field(description="chance that a batch is mixed", examples=[0.5])


class Shuffle(Config):
    """Every training photo ``repeats`` times an epoch, in random order."""

    kind: Literal["shuffle"]


class Weighted(Config):
    """As many draws as photos, with replacement, rare classes more often."""

    kind: Literal["weighted"]
    power: Annotated[Number, Field(gt=0, le=1)] = Field(
        description="a photo is drawn in proportion to 1 / (photos of its class) ** power; 1 makes classes equal",
        examples=[1.0],
    )


# ------------------------------------------------------------------------------------------------------ network
class Scratch(Config):
    """Random initial weights."""

    kind: Literal["scratch"]


class Hub(Config):
    """timm's pretrained weights from the hub, or from its local cache."""

    kind: Literal["hub"]


class WeightsFile(Config):
    """Pretrained weights from a local ``.safetensors`` or ``.pth`` file."""

    kind: Literal["file"]
    path: Text = Field(
        description="file with the backbone's weights", examples=["models/pretrained/backbone.safetensors"]
    )
    sha256: Sha256 = Field(description="the file's SHA-256, so that the same params mean the same weights")


class VggFace2(Config):
    """Weights trained to tell 8,631 people of VGGFace2 apart."""

    kind: Literal["vggface2"]


class CasiaWebFace(Config):
    """Weights trained to tell 10,575 people of CASIA-WebFace apart."""

    kind: Literal["casia_webface"]


class NativePool(Config):
    """The network's own pooling."""

    kind: Literal["native"]


class Gem(Config):
    """Generalised mean over the feature map."""

    kind: Literal["gem"]
    p: Positive = Field(
        description="exponent at the start; 1 is the mean, large is the maximum", examples=[3.0]
    )
    learn: bool = Field(description="whether the exponent is trained", examples=[True])


_NOT_OPTIONS: Final = ("cache_dir", "features_only", "num_classes")


class Timm(Config):
    """A timm network without its classifier."""

    kind: Literal["timm"]
    name: Text = Field(description="timm model name", examples=["efficientnet_b3.ra2_in1k"])
    weights: Annotated[Scratch | Hub | WeightsFile, Field(discriminator="kind")] = Field(
        description="initial weights: scratch, hub or file", examples=[{"kind": "hub"}]
    )
    options: dict[str, str | int | Number | bool] = Field(
        description="further arguments of timm.create_model", examples=[{}]
    )
    pool: Annotated[NativePool | Gem, Field(discriminator="kind")] = Field(
        description="how a feature map becomes a vector: native or gem"
    )

    @model_validator(mode="after")
    def _options_leave_weights_alone(self) -> Timm:
        taken = [
            name
            for name in self.options
            if name.startswith(("pretrained", "checkpoint")) or name in _NOT_OPTIONS
        ]
        if taken:
            raise ValueError(
                f"options: {taken[0]} is not for options; weights and head say what is loaded and given"
            )
        return self


class FaceNet(Config):
    """facenet-pytorch's InceptionResnetV1, trained to tell people apart."""

    kind: Literal["facenet"]
    weights: Annotated[Scratch | VggFace2 | CasiaWebFace | WeightsFile, Field(discriminator="kind")] = Field(
        description="initial weights: vggface2 or casia_webface (downloaded once), a file, or scratch",
        examples=[{"kind": "vggface2"}],
    )


class MeanPool(Config):
    """Mean over the feature map, or over tokens."""

    kind: Literal["mean"]


class GridPool(Config):
    """Means over the cells of a grid laid over the feature map, side by side: where something is, stays known."""

    kind: Literal["grid"]
    rows: Count = Field(description="cells from top to bottom", examples=[2])
    columns: Count = Field(description="cells from left to right", examples=[1])


class Onnx(Config):
    """A network from an ONNX file, such as a face recogniser's, without its classifier."""

    kind: Literal["onnx"]
    path: Text = Field(
        description="the file: layers and weights in one; converted by onnx2torch, no code in it is run",
        examples=["models/pretrained/sface_2021dec_features.onnx"],
    )
    sha256: Sha256 = Field(
        description="the file's SHA-256; another file is refused",
        examples=["88cce761b90ffbf7f04b51f07d533608569868856350f10c86e461be9e87edbf"],
    )
    output: Text | None = Field(
        description="name of the tensor that is taken as features, what comes after it is left out; null for the "
        "file's only output",
        examples=[None],
    )
    channels: Literal["rgb", "bgr"] = Field(
        description="order of the colours that the network expects; their range is set by train.image.mean and std, "
        "such as 0 and .00392157 for 0..255"
    )
    pool: Annotated[NativePool | MeanPool | GridPool | Gem, Field(discriminator="kind")] = Field(
        description="how features become a vector: native, they are one; mean, grid or gem, of a map"
    )
    batch_norm: Literal["trained", "fixed"] = Field(
        description="fixed keeps batch normalisation as it is in the file (statistics, scale, shift), as part of the "
        "convolution that it follows, which is quicker"
    )


Backbone = Annotated[Timm | FaceNet | Onnx, Field(discriminator="kind")]


# --------------------------------------------------------------------------------------------------------- head
class Dropout(Config):
    """Dropout before the classifiers, averaged over several draws."""

    p: Annotated[Number, Field(ge=0, lt=1)] = Field(
        description="share of features dropped in training", examples=[0.2]
    )
    samples: Count = Field(
        description="draws a photo, whose losses are averaged (multi-sample dropout); 1 is usual",
        examples=[1],
    )


class AgeBands(Config):
    """The three bands that the manifest names."""

    kind: Literal["bands"]


class AgeSteps(Config):
    """Fine age classes, whichever way they are learnt."""

    edges: Annotated[tuple[Years, ...], Field(min_length=2)] = Field(
        description="ages where a new fine class begins, rising; young_cut and age_cut are among them",
        examples=[[20, 25, 30, 35, 40, 45, 50, 55, 60]],
    )

    @model_validator(mode="after")
    def _edges_rise(self) -> AgeSteps:
        if any(a >= b for a, b in pairwise(self.edges)):
            raise ValueError("edges: must rise")
        return self


class AgeBins(AgeSteps):
    """Fine age classes, folded back to three bands."""

    kind: Literal["bins"]


class AgeCorn(AgeSteps):
    """Conditional ordinal regression (CORN) over fine age classes."""

    kind: Literal["corn"]


class AgeDistribution(Config):
    """A normal distribution around the age, over single years (label distribution learning)."""

    kind: Literal["distribution"]
    ages: tuple[Years, Years] = Field(
        description="first and last year of the distribution; young_cut and age_cut lie between",
        examples=[[15, 70]],
    )
    sigma: Positive = Field(description="its standard deviation, years", examples=[3.0])


Age = Annotated[AgeBands | AgeBins | AgeCorn | AgeDistribution, Field(discriminator="kind")]
Backbones = Literal["one", "each"]


class JointHead(Config):
    """One 18-way classifier."""

    kind: Literal["joint"]
    dropout: Dropout


class ArcFaceHead(Config):
    """One 18-way classifier by angle, with an additive angular margin in training."""

    kind: Literal["arcface"]
    dropout: Dropout
    scale: Positive = Field(description="multiplies the cosines (s); the paper's is 64", examples=[64.0])
    margin: Annotated[Number, Field(ge=0, lt=1.57)] = Field(
        description="angle added to the true class (m), radians", examples=[0.5]
    )


class ThreeHead(Config):
    """Three classifiers (mask, gender, age); the table is the product of their probabilities."""

    kind: Literal["three"]
    dropout: Dropout
    backbones: Backbones = Field(description="one shared backbone, or one for each classifier")
    age: Age = Field(description="how age is learnt: bands, bins, corn or distribution")


class FusedHead(Config):
    """Three branches (mask, gender, age), each with its backbone; their logits go into one 18-way layer."""

    kind: Literal["fused"]
    dropout: Dropout


class MultilabelHead(Config):
    """Seven yes-or-no labels: three mask states, female, three age bands."""

    kind: Literal["multilabel"]
    dropout: Dropout


class AgeByGenderHead(Config):
    """As ``three``, with one age classifier a gender, mixed by the gender's probability."""

    kind: Literal["age_by_gender"]
    dropout: Dropout
    backbones: Backbones = Field(description="one shared backbone, or one for each of the four classifiers")
    age: Age = Field(description="how age is learnt: bands, bins, corn or distribution")


Head = Annotated[
    JointHead | ArcFaceHead | ThreeHead | FusedHead | MultilabelHead | AgeByGenderHead,
    Field(discriminator="kind"),
]


# --------------------------------------------------------------------------------------------------------- loss
class CrossEntropy(Config):
    """Cross-entropy with label smoothing."""

    kind: Literal["cross_entropy"]
    smoothing: Annotated[Number, Field(ge=0, lt=1)] = Field(description="label smoothing", examples=[0.1])


class Focal(Config):
    """Focal loss."""

    kind: Literal["focal"]
    gamma: NonNegative = Field(description="0 is cross-entropy; 2 is the paper's", examples=[2.0])


class SoftF1(Config):
    """One minus the macro-F1 of soft counts over the batch."""

    kind: Literal["soft_f1"]
    eps: Positive = Field(description="keeps the quotient finite", examples=[1e-07])


class SymmetricCrossEntropy(Config):
    """Cross-entropy plus its reverse, which forgives wrong labels."""

    kind: Literal["symmetric_cross_entropy"]
    alpha: NonNegative = Field(description="weight of cross-entropy", examples=[0.1])
    beta: NonNegative = Field(description="weight of the reverse", examples=[1.0])
    log_zero: Annotated[Number, Field(lt=0)] = Field(
        description="stands for log 0 in the reverse (A of the paper, -4)", examples=[-4.0]
    )


class MultilabelSoftMargin(Config):
    """Binary cross-entropy of each label, averaged; for the multilabel head."""

    kind: Literal["multilabel_soft_margin"]


PlainLoss = Annotated[
    CrossEntropy | Focal | SoftF1 | SymmetricCrossEntropy | MultilabelSoftMargin, Field(discriminator="kind")
]


class Part(Config):
    """One loss of a blend."""

    weight: Positive = Field(description="multiplies the loss", examples=[0.5])
    loss: PlainLoss = Field(description="any loss but blend")


class Blend(Config):
    """A weighted sum of losses."""

    kind: Literal["blend"]
    parts: Annotated[tuple[Part, ...], Field(min_length=1)] = Field(description="losses and their weights")


Loss = Annotated[
    CrossEntropy | Focal | SoftF1 | SymmetricCrossEntropy | MultilabelSoftMargin | Blend,
    Field(discriminator="kind"),
]


class InverseCount(Config):
    """Weight 1 / n ** power for a class with n training photos."""

    kind: Literal["inverse"]
    power: Annotated[Number, Field(gt=0, le=1)] = Field(
        description="1 is the inverse, .5 its square root", examples=[0.5]
    )


class InverseLog(Config):
    """Weight 1 / log(1 + n)."""

    kind: Literal["inverse_log"]


class EffectiveNumber(Config):
    """Weight (1 - beta) / (1 - beta ** n)."""

    kind: Literal["effective"]
    beta: Annotated[Number, Field(ge=0, lt=1)] = Field(
        description="0 is no weighting; the paper's is .999", examples=[0.999]
    )


ClassWeights = Annotated[Nothing | InverseCount | InverseLog | EffectiveNumber, Field(discriminator="kind")]


class AdjustLoss(Config):
    """Add ``tau * log(prior)`` to the logits in the loss, so that rare classes need a clear lead."""

    kind: Literal["loss"]
    tau: Positive = Field(description="1 is the paper's", examples=[1.0])


# ------------------------------------------------------------------------------------------------- optimisation
class AdamW(Config):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"]
    weight_decay: NonNegative = Field(description="decoupled weight decay", examples=[0.05])
    betas: tuple[Fraction, Fraction] = Field(
        description="decay of the first and second moment", examples=[[0.9, 0.999]]
    )


class Sgd(Config):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"]
    weight_decay: NonNegative = Field(description="weight decay", examples=[0.0005])
    momentum: Fraction = Field(description="momentum", examples=[0.9])
    nesterov: bool = Field(description="Nesterov's variant of momentum", examples=[True])

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class TimmOptimiser(Config):
    """Any optimiser of timm, by name."""

    kind: Literal["timm"]
    name: Text = Field(
        description="timm optimiser name, such as lamb, adan, lion or nadamw", examples=["lamb"]
    )
    weight_decay: NonNegative = Field(description="weight decay", examples=[0.01])
    options: dict[str, str | int | Number | bool | list[Number]] = Field(
        description="further arguments of the optimiser", examples=[{}]
    )


Optimiser = Annotated[AdamW | Sgd | TimmOptimiser, Field(discriminator="kind")]


class ConstantRate(Config):
    """Linear warm-up, then the same rate to the end."""

    kind: Literal["constant"]
    warmup_steps: Whole = Field(description="optimiser steps of linear rise", examples=[100])


class OneCycle(Config):
    """Cosine up to the learning rate and down again, once over the whole training."""

    kind: Literal["one_cycle"]
    warmup: Annotated[Number, Field(gt=0, lt=1)] = Field(
        description="fraction of the steps spent rising", examples=[0.2]
    )
    start_div: Annotated[Number, Field(ge=1)] = Field(
        description="the first learning rate is lr / start_div", examples=[25.0]
    )
    final_div: Annotated[Number, Field(ge=1)] = Field(
        description="the last one is lr / start_div / final_div", examples=[1000.0]
    )


class Cosine(Config):
    """Linear warm-up, then half a cosine down to ``min_lr``."""

    kind: Literal["cosine"]
    warmup_steps: Whole = Field(description="optimiser steps of linear rise", examples=[100])
    min_lr: NonNegative = Field(description="learning rate at the last step", examples=[1e-06])


class CosineRestarts(Config):
    """Linear warm-up, then half cosines down to ``min_lr``, each starting anew at the full rate."""

    kind: Literal["cosine_restarts"]
    warmup_steps: Whole = Field(description="optimiser steps of linear rise", examples=[100])
    period_epochs: Positive = Field(description="epochs of the first cosine", examples=[5.0])
    multiply: Annotated[Number, Field(ge=1)] = Field(
        description="each cosine is this many times as long as the one before", examples=[2.0]
    )
    min_lr: NonNegative = Field(description="learning rate at the end of each cosine", examples=[1e-06])


class StepDecay(Config):
    """Linear warm-up, then a factor every few epochs."""

    kind: Literal["step"]
    warmup_steps: Whole = Field(description="optimiser steps of linear rise", examples=[100])
    every_epochs: Positive = Field(description="epochs between two falls", examples=[10.0])
    factor: Annotated[Number, Field(gt=0, lt=1)] = Field(
        description="multiplies the rate at each fall", examples=[0.5]
    )


class Plateau(Config):
    """Linear warm-up, then a factor whenever validation macro-F1 stops rising."""

    kind: Literal["plateau"]
    warmup_steps: Whole = Field(description="optimiser steps of linear rise", examples=[100])
    patience: Whole = Field(description="epochs without a better score before the rate falls", examples=[2])
    factor: Annotated[Number, Field(gt=0, lt=1)] = Field(
        description="multiplies the rate at each fall", examples=[0.5]
    )
    min_lr: NonNegative = Field(description="the rate never falls below this", examples=[1e-06])


Schedule = Annotated[
    ConstantRate | OneCycle | Cosine | CosineRestarts | StepDecay | Plateau, Field(discriminator="kind")
]


class ClipNorm(Config):
    """Shorten the whole gradient to a norm."""

    kind: Literal["norm"]
    limit: Positive = Field(description="largest Euclidean norm of all gradients together", examples=[1.0])


class ClipValue(Config):
    """Cut each gradient's numbers off."""

    kind: Literal["value"]
    limit: Positive = Field(description="largest absolute value of a gradient", examples=[0.5])


class ClipAdaptive(Config):
    """Adaptive gradient clipping: each unit's gradient relative to its weights."""

    kind: Literal["agc"]
    limit: Positive = Field(
        description="largest ratio of gradient norm to weight norm, unit by unit (.01)", examples=[0.01]
    )


class Ema(Config):
    """Exponential moving average of the weights, which is validated and kept."""

    kind: Literal["ema"]
    decay: Annotated[Number, Field(gt=0, lt=1)] = Field(
        description="decay an optimiser step", examples=[0.99]
    )


class Swa(Config):
    """Equal average of the weights at the end of each late epoch, which is validated and kept."""

    kind: Literal["swa"]
    start: Fraction = Field(
        description="fraction of the epochs after which averaging starts", examples=[0.75]
    )


class HeadOnly(Config):
    """The backbone stays as it was loaded."""

    kind: Literal["head_only"]


class Gradual(Config):
    """Head first; then, from the top down, one group of the backbone's layers more every few epochs."""

    kind: Literal["gradual"]
    every: Count = Field(description="epochs between one group and the next", examples=[2])


# ---------------------------------------------------------------------------------------- unlabelled photos, refit
class SelfTraining(Config):
    """Train, label confident unlabelled photos with the fold's own network, train anew with them."""

    kind: Literal["self_training"]
    rounds: Count = Field(description="trainings after the first", examples=[1])
    threshold: Fraction = Field(description="lowest probability of a label that is taken", examples=[0.9])
    per_class: Count | None = Field(
        description="at most this many photos of a class, the most confident first; null for no limit",
        examples=[None],
    )


class Uda(Config):
    """Unsupervised data augmentation: the same answer for a photo and its augmented self."""

    kind: Literal["uda"]
    weight: Positive = Field(
        description="of the consistency loss (KL divergence) beside the labelled loss", examples=[5.0]
    )
    ratio: Count = Field(
        description="unlabelled photos a step, as a multiple of train.batch_size", examples=[1]
    )
    temperature: Positive = Field(
        description="below 1 sharpens the answer for the plain photo", examples=[0.5]
    )
    threshold: Fraction = Field(
        description="plain answers below this probability teach nothing", examples=[0.8]
    )


class RefitLogistic(Config):
    """After training, replace the head by a logistic regression on the backbone's features."""

    kind: Literal["logistic"]
    c: Positive = Field(description="inverse of the regularisation's strength", examples=[1.0])
    smote: Count | None = Field(
        description="neighbours for SMOTE, which makes rare classes as frequent as the largest; null for none",
        examples=[5],
    )


# -------------------------------------------------------------------------------------------------------- probe
class Strengths(Config):
    """Inverse of the regularisation's strength of each classifier; smaller is stronger."""

    mask: Positive = Field(description="of the classifier of masks")
    gender: Positive = Field(description="of the classifier of genders")
    age: Positive = Field(description="of the classifier of age bands")


class ProbeParts(Config):
    """What all probes have in common."""

    c: Strengths = Field(
        description="inverse of the regularisation's strength for mask, gender and age, on standardised features; "
        "age has none of its own with ridge",
        examples=[{"mask": 0.1, "gender": 0.001, "age": 0.001}],
    )
    mirrored: bool = Field(
        description="learn from the mean of a photo's features and those of its mirror image", examples=[True]
    )
    people: bool = Field(
        description="gender and age also learn from the mean features of each training person",
        examples=[False],
    )


class ProbeLogistic(ProbeParts):
    """Keep the backbone as it was loaded; fit one logistic regression a classifier on its features."""

    kind: Literal["logistic"]


class ProbeRidge(ProbeParts):
    """As ``logistic`` for mask and gender; age by ridge regression in years, from which the bands are read."""

    kind: Literal["ridge"]
    alpha: Positive = Field(
        description="regularisation's strength of the regression on age", examples=[1000.0]
    )
    sigma: Positive = Field(
        description="standard deviation of the age around the regression's answer, years", examples=[12.0]
    )


# ------------------------------------------------------------------------------------------------------- logger
class TensorBoard(Config):
    """Event files, for ``tensorboard --logdir``."""

    kind: Literal["tensorboard"]
    folder: Text = Field(description="where they are kept", examples=["logs/tensorboard"])


class Wandb(Config):
    """Weights & Biases."""

    kind: Literal["wandb"]
    folder: Text = Field(description="where runs are kept", examples=["logs"])
    project: Text = Field(description="name of the project there", examples=["facemask"])
    mode: Literal["offline", "online"] = Field(
        description="offline sends nothing, `wandb sync` does later; online needs `wandb login`, and sends "
        "validation photos"
    )


class Mlflow(Config):
    """MLflow."""

    kind: Literal["mlflow"]
    folder: Text = Field(description="where runs are kept if uri is null", examples=["logs/mlflow"])
    experiment: Text = Field(description="name of the experiment there", examples=["facemask"])
    uri: str | None = Field(
        description="of a tracking server, which is sent validation photos; null for a data base in folder",
        examples=[None],
    )


ChosenLogger = TensorBoard | Wandb | Mlflow
Logger = Nothing | ChosenLogger


class Logging(Config):
    """What the trainer reads that can change no result."""

    logger: Annotated[Nothing | TensorBoard | Wandb | Mlflow, Field(discriminator="kind")]


# ------------------------------------------------------------------------------------------------------- recipe
class Recipe(Config):
    """What one fold's trainer reads."""

    image: Image
    augment: tuple[Transform, ...] = Field(
        description="albumentations transforms of training photos, in order"
    )
    swap: Annotated[Nothing | Swap, Field(discriminator="kind")] = Field(
        description="replacement of the background as augmentation: none or swap"
    )
    mixing: Annotated[Nothing | Mixup | CutMix, Field(discriminator="kind")] = Field(
        description="none, mixup or cutmix"
    )
    sampler: Annotated[Shuffle | Weighted, Field(discriminator="kind")] = Field(
        description="shuffle or weighted"
    )
    backbone: Backbone = Field(description="timm, facenet or onnx")
    head: Head = Field(description="joint, arcface, three, fused, multilabel or age_by_gender")
    loss: Loss = Field(description="of each classifier")
    class_weights: ClassWeights = Field(
        description="weights of the classes in the loss: none, inverse, inverse_log or effective"
    )
    logit_adjustment: Annotated[Nothing | AdjustLoss, Field(discriminator="kind")] = Field(
        description="by the classes' frequencies, in training: none or loss (afterwards: combine.adjust)"
    )
    optimiser: Optimiser = Field(description="adamw, sgd or timm")
    lr: Positive = Field(description="highest learning rate of the schedule")
    layer_decay: Annotated[Number, Field(gt=0, le=1)] = Field(
        description="each layer group's learning rate is this times that of the group above; 1 for none"
    )
    schedule: Schedule = Field(description="of the learning rate, moved at every optimiser step")
    epochs: Count = Field(description="passes over the training photos")
    batch_size: Count = Field(description="photos a step, over all devices")
    accumulate: Count = Field(description="batches whose gradients make one optimiser step")
    clip: Annotated[Nothing | ClipNorm | ClipValue | ClipAdaptive, Field(discriminator="kind")] = Field(
        description="of gradients: none, norm, value or agc"
    )
    average: Annotated[Nothing | Ema | Swa, Field(discriminator="kind")] = Field(
        description="of weights: none, ema or swa"
    )
    freeze: Annotated[Nothing | HeadOnly | Gradual, Field(discriminator="kind")] = Field(
        description="of the backbone: none, head_only or gradual"
    )
    unlabelled: Annotated[Nothing | SelfTraining | Uda, Field(discriminator="kind")] = Field(
        description="learning from unlabelled photos: none, self_training or uda"
    )
    pool: Literal["eval", "unlabelled"] = Field(
        description="photos that unlabelled learns from: those to answer (the table of scores then says so), or those "
        "of data.extra"
    )
    refit: Annotated[Nothing | RefitLogistic, Field(discriminator="kind")] = Field(
        description="of the head on fixed features: none or logistic"
    )
    probe: Annotated[Nothing | ProbeLogistic | ProbeRidge, Field(discriminator="kind")] = Field(
        description="none: the network is trained; logistic or ridge: it stays as it was loaded and its head is fitted "
        "on its features, in seconds, without augmentation or schedule"
    )
    precision: Literal["32", "bf16", "16"] = Field(
        description="on GPU: full, bfloat16 or float16 mixed; a CPU uses 32"
    )
    channels_last: bool = Field(description="memory layout NHWC, faster for most convolutional networks")
    patience: Count | None = Field(
        description="epochs without a better validation macro-F1 before stopping; null never"
    )
    fit_memory: bool = Field(
        description="where memory does not suffice, halve batch_size and double accumulate, and begin again; the "
        "result is then that of these values"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Recipe:
        parts = self.loss.parts if isinstance(self.loss, Blend) else (Part(weight=1.0, loss=self.loss),)
        binary = [isinstance(part.loss, MultilabelSoftMargin) for part in parts]
        if isinstance(self.head, MultilabelHead) and not all(binary):
            raise ValueError("head multilabel needs loss multilabel_soft_margin")
        if any(binary) and not isinstance(self.head, MultilabelHead):
            raise ValueError("loss multilabel_soft_margin needs head multilabel")
        if isinstance(self.head, MultilabelHead) and isinstance(self.logit_adjustment, AdjustLoss):
            raise ValueError("logit_adjustment needs a head whose classes exclude each other, not multilabel")
        return self

    @model_validator(mode="after")
    def _head_can_be_probed(self) -> Recipe:
        if isinstance(self.probe, Nothing):
            return self
        wanted = ("distribution",) if isinstance(self.probe, ProbeRidge) else ("bands", "bins")
        if (
            not isinstance(self.head, ThreeHead)
            or self.head.backbones != "one"
            or self.head.age.kind not in wanted
        ):
            raise ValueError(
                f"probe {self.probe.kind} needs head three with backbones one and age {' or '.join(wanted)}"
            )
        for name in ("unlabelled", "refit"):
            if getattr(self, name).kind != "none":
                raise ValueError(
                    f"probe {self.probe.kind} takes the place of {name} {getattr(self, name).kind}: use none"
                )
        return self
