"""Typed, frozen, strict mirror of ``params.yaml``: every knob that can change a result, none with a default.

Reading is all or nothing: a missing, misspelt or misplaced key, or a value of the wrong type, fails at load with the
key's full name, what is allowed and the nearest match. A stage receives only its view of this file (see
:func:`facemask.runtime.launch.launch`); what reaches a trainer stands in :mod:`facemask.settings.recipes`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

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
    Whole,
    Years,
)
from facemask.settings.recipes import (
    AgeDistribution,
    AgeSteps,
    Mlflow,
    Nothing,
    Recipe,
    TensorBoard,
    Wandb,
)

Engine = Literal["local", "ray"]


# ---------------------------------------------------------------------------------------------------------- data
class Data(Config):
    """Where the photos are."""

    root: Text = Field(description="folder in the contest's layout")
    extra: Text = Field(
        description="folder of further data sets, for training only: each a folder with train/ in the contest's "
        "layout, unlabelled/ with any photos, or both"
    )
    faces: Text = Field(
        description="folder of labelled unmasked faces for synthesise: faces.csv (path, gender, age) and photos"
    )


class SampleData(Config):
    """The embedded sample: drawn people in the contest's layout."""

    train_people: Annotated[int, Field(ge=8)] = Field(description="labelled people, 7 photos each")
    eval_people: Whole = Field(description="unlabelled people, 7 photos each")
    seed: Whole = Field(description="which people are drawn")


class Synthesise(Config):
    """People with drawn masks, made from labelled unmasked faces; they join the extra data sets."""

    styles: Annotated[tuple[Literal["surgical", "cloth", "respirator"], ...], Field(min_length=1)] = Field(
        description="kinds of mask, drawn from with equal chance"
    )
    wrong: Annotated[tuple[Literal["below_nose", "below_mouth", "on_eyes"], ...], Field(min_length=1)] = (
        Field(description="where a wrongly worn mask sits, drawn from with equal chance")
    )
    seed: Whole = Field(description="which mask, colour and fit each photo gets")


class FixLabels(Config):
    """Correction of known wrong labels."""

    dataset: Text = Field(
        description="whose rows of data/label_fixes.csv apply to data.root; a name without rows has no fixes; with "
        "/subset after it, rows about people who are not there are counted, not refused"
    )
    trust: Literal["none", "confirmed", "all"] = Field(
        description="which rows of data/label_fixes.csv are applied, by their status column"
    )
    tolerate: Fraction = Field(
        description="largest share of a set's photos that may be unreadable; a run with more of them stops"
    )


# ---------------------------------------------------------------------------------------------------- face_crop
class Mtcnn(Config):
    """facenet-pytorch's MTCNN; its weights come with the package."""

    kind: Literal["mtcnn"]
    min_face: Annotated[Number, Field(ge=20)] = Field(
        description="smallest face looked for, pixels of the photo; 20 / 0.709**k keeps a subset of the default scales",
        examples=[56.12],
    )
    thresholds: tuple[Fraction, Fraction, Fraction] = Field(
        description="lowest score that passes the proposal, refinement and output networks",
        examples=[[0.6, 0.7, 0.7]],
    )


class YuNet(Config):
    """YuNet through OpenCV: finds masked faces that MTCNN misses; its model is a file of yours."""

    kind: Literal["yunet"]
    path: Text = Field(
        description="face_detection_yunet_2023mar.onnx of opencv_zoo, such as below models/pretrained/",
        examples=["models/pretrained/face_detection_yunet_2023mar.onnx"],
    )
    sha256: Sha256 = Field(
        description="the file's SHA-256; another file is refused",
        examples=["8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"],
    )
    score: Fraction = Field(description="lowest score that is a face", examples=[0.6])
    height: Annotated[int, Field(ge=64)] = Field(
        description="photos are searched at this height, pixels", examples=[256]
    )


class Fixed(Config):
    """The same box in every photo: a centre crop, or the mean face position."""

    kind: Literal["fixed"]
    box: tuple[Fraction, Fraction, Fraction, Fraction] = Field(
        description="x0, y0, x1, y1 as fractions of the photo's width and height",
        examples=[[0.167, 0.1875, 0.833, 0.8125]],
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


class InOrder(Config):
    """Several finders: the first searches all photos, each further one those in which none was found before it."""

    kind: Literal["in_order"]
    finders: Annotated[
        tuple[Annotated[Mtcnn | YuNet | Fixed, Field(discriminator="kind")], ...], Field(min_length=1)
    ] = Field(description="tried in order: mtcnn, yunet, fixed (only last: it leaves no photo over)")

    @model_validator(mode="after")
    def _all_are_tried(self) -> InOrder:
        if any(isinstance(one, Fixed) for one in self.finders[:-1]):
            raise ValueError("a fixed box leaves no photo for the finders after it: put it last")
        return self


Finder = Annotated[Mtcnn | YuNet | InOrder | Fixed | NoFinder, Field(discriminator="kind")]


class Similarity(Config):
    """Turn, scale and shift each crop so that five landmarks of the face lie where a template has them."""

    kind: Literal["similarity"]
    template: Literal["arcface"] = Field(
        description="where the landmarks lie: arcface, the square that face recognisers were trained on"
    )
    margin: Annotated[Number, Field(ge=-0.25, le=2)] = Field(
        description="added on each side of the template's square, as a fraction of its side; 0 is what recognisers "
        "expect at face_crop.size 112, 112",
        examples=[0.0],
    )


class FaceCrop(Config):
    """Where the face is, and how much around it is kept."""

    finder: Finder = Field(description="how faces are found: mtcnn, yunet, several in_order, fixed or none")
    choose: Literal["largest", "most_confident", "most_central"] = Field(
        description="which of several faces is the photo's person"
    )
    fallback: tuple[Literal["person", "median"], ...] = Field(
        description="tried in order where no face is found: the person's other photos, the data set's median box"
    )
    margin: Annotated[Number, Field(ge=0, le=5)] = Field(
        description="added on each side of the face box, as a fraction of its height"
    )
    align: Annotated[Nothing | Similarity, Field(discriminator="kind")] = Field(
        description="crops turned upright by landmarks: none or similarity; a photo without landmarks is cut by its box"
    )
    size: Size = Field(description="crops are stored at this height, width in pixels")

    @model_validator(mode="after")
    def _landmarks_are_seen(self) -> FaceCrop:
        if isinstance(self.align, Similarity) and isinstance(self.finder, Fixed | NoFinder):
            raise ValueError(
                f"align: similarity needs a finder that sees landmarks, mtcnn or yunet, not {self.finder.kind}"
            )
        return self


# ------------------------------------------------------------------------------------------- background_removal
class GrabCut(Config):
    """OpenCV's GrabCut, seeded by the frame and a portrait prior; needs no download."""

    kind: Literal["grabcut"]
    iterations: Count = Field(description="rounds of colour-model fitting", examples=[3])
    height: Annotated[int, Field(ge=32)] = Field(
        description="photos are segmented at this height, pixels", examples=[192]
    )


class Rembg(Config):
    """Any of rembg's networks, by name, or a local file through ``u2net_custom``."""

    kind: Literal["rembg"]
    model: Text = Field(
        description="rembg's model name, such as u2net or isnet-general-use", examples=["u2net"]
    )
    path: str | None = Field(description="ONNX file for u2net_custom; null for the others", examples=[None])
    sha256: Sha256 | None = Field(description="that file's SHA-256; another file is refused", examples=[None])


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
        description="each class is raised towards this fraction of the largest class", examples=[0.5]
    )
    cap: Count = Field(description="no photo is seen more often than this in one epoch", examples=[2])


class Undersample(Config):
    """Keep only some photos of each person and mask state."""

    kind: Literal["undersample"]
    keep: tuple[Count, Count, Count] = Field(
        description="photos kept a person: worn, incorrect, none (3, 1, 1)", examples=[[3, 1, 1]]
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

    young_cut: Years
    age_cut: Years


class Folds(Config):
    """Which folds were trained: those that are scored and averaged."""

    folds: tuple[Whole, ...]


# -------------------------------------------------------------------------------------------------------- train
class Train(Recipe):
    """The whole ``train`` section."""

    folds: Annotated[tuple[Whole, ...], Field(min_length=1)] = Field(
        description="which folds are trained; adding one trains only that one"
    )
    young_cut: Years = Field(description="ages below are 'young' for the trainer; metrics always use 30")
    age_cut: Years = Field(description="ages from here on are 'old' for the trainer; metrics always use 60")
    logger: Annotated[Nothing | TensorBoard | Wandb | Mlflow, Field(discriminator="kind")] = Field(
        description="where a training can be watched besides DVCLive: none, tensorboard, wandb or mlflow; changes no "
        "result, so no stage runs again for it"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Train:
        if self.young_cut >= self.age_cut:
            raise ValueError(f"young_cut ({self.young_cut}) must be below age_cut ({self.age_cut})")
        if len(set(self.folds)) != len(self.folds):
            raise ValueError(f"folds {list(self.folds)} names a fold twice")
        age = getattr(self.head, "age", None)
        cuts = {"young_cut": self.young_cut, "age_cut": self.age_cut}
        if isinstance(age, AgeSteps):
            for name, cut in cuts.items():
                if cut not in age.edges:
                    raise ValueError(
                        f"head.age.edges {list(age.edges)} lack {cut}, the {name}, where a band begins: add it"
                    )
        if (
            isinstance(age, AgeDistribution)
            and not age.ages[0] < self.young_cut < self.age_cut <= age.ages[1]
        ):
            raise ValueError(
                f"head.age.ages {list(age.ages)} must reach from below young_cut ({self.young_cut}) to age_cut "
                f"({self.age_cut}) or beyond"
            )
        return self


# ------------------------------------------------------------------------------------ combine, evaluate, infer
class Evaluate(Config):
    """How the scores are reported."""

    bootstrap: Whole = Field(description="resamples of people behind each interval; 0 for none")
    confidence: Annotated[Number, Field(gt=0, lt=1)] = Field(description="coverage of the intervals")
    calibration_bins: Annotated[Count, Field(le=1000)] = Field(
        description="equal-width bins of the expected calibration error"
    )


class SoftVote(Config):
    """Mean of the members' probabilities."""

    kind: Literal["soft"]


class HardVote(Config):
    """Share of the members' votes for each class; the mean probability decides ties."""

    kind: Literal["hard"]


class WeightedVote(Config):
    """Mean of the members' probabilities with weights fitted on out-of-fold probabilities."""

    kind: Literal["weighted"]


class PerTaskVote(Config):
    """As ``weighted``, with weights of their own for mask, gender and age: each from the members that tell it best."""

    kind: Literal["per_task"]


class Stacking(Config):
    """Logistic regression on the members' log-probabilities, fitted on out-of-fold ones."""

    kind: Literal["stacking"]
    c: Positive = Field(description="inverse of the regularisation's strength", examples=[1.0])


# Far beyond what anyone would want, and near enough for every class to keep a finite probability.
Tau = Annotated[Number, Field(ge=-10, le=10)]


class AdjustFixed(Config):
    """Divide each class's probability by its training frequency to the power ``tau``."""

    kind: Literal["fixed"]
    tau: Tau = Field(
        description="0 changes nothing; 1 answers as if all classes were equally frequent", examples=[1.0]
    )


class AdjustTuned(Config):
    """As ``fixed``, with the tau that gives the best out-of-fold macro-F1."""

    kind: Literal["tuned"]
    taus: Annotated[tuple[Tau, ...], Field(min_length=1)] = Field(
        description="values tried", examples=[[0.0, 0.5, 1.0]]
    )


class Temperature(Config):
    """Sharpen or soften the 18 probabilities by one temperature, fitted on out-of-fold ones; answers stay."""

    kind: Literal["temperature"]


class TemperaturePerTask(Config):
    """One temperature each for mask, gender and age: those answers stay, the most probable of 18 classes may not."""

    kind: Literal["per_task"]


Calibrate = Nothing | Temperature | TemperaturePerTask


class Combine(Config):
    """How the folds' answers, and those of past experiments, become one."""

    members: tuple[Text, ...] = Field(
        description="past experiments (names or git revisions) that answer beside this one"
    )
    how: Annotated[
        SoftVote | HardVote | WeightedVote | PerTaskVote | Stacking, Field(discriminator="kind")
    ] = Field(
        description="soft, hard, weighted, per_task or stacking; what is fitted is scored by cross-fitting over folds"
    )
    adjust: Annotated[Nothing | AdjustFixed | AdjustTuned, Field(discriminator="kind")] = Field(
        description="logit adjustment after training: none, fixed or tuned"
    )
    calibrate: Annotated[Calibrate, Field(discriminator="kind")] = Field(
        description="probabilities that mean what they say, afterwards: none, temperature or per_task; scored by "
        "cross-fitting over the folds"
    )


class Identity(Config):
    """The photo as the network was trained on it."""

    kind: Literal["identity"]


class Flip(Config):
    """Mirrored left to right."""

    kind: Literal["hflip"]


class Crop(Config):
    """A part of the photo, enlarged to the network's size."""

    kind: Literal["crop"]
    keep: Annotated[Number, Field(gt=0, le=1)] = Field(
        description="fraction of height and width that is kept", examples=[0.9]
    )
    at: Literal["centre", "top_left", "top_right", "bottom_left", "bottom_right"] = Field(
        description="which part is kept"
    )
    flip: bool = Field(description="mirrored too", examples=[False])


class Scale(Config):
    """The photo at another size."""

    kind: Literal["scale"]
    factor: Annotated[Number, Field(ge=0.25, le=4)] = Field(
        description="multiplies height and width of the network's input", examples=[1.2]
    )
    flip: bool = Field(description="mirrored too", examples=[False])


View = Annotated[Identity | Flip | Crop | Scale, Field(discriminator="kind")]


class FaceNetworkFile(Config):
    """A network trained to tell faces apart, from an ONNX file of yours: RGB (N, 3, H, W) in, features out."""

    # Before the names of its keys in what a user is told.
    keys: ClassVar[str]

    path: Text = Field(
        description="the ONNX file, such as below models/pretrained/",
        examples=["models/pretrained/sface_2021dec_features.onnx"],
    )
    sha256: Sha256 = Field(
        description="the file's SHA-256; another file is refused",
        examples=["88cce761b90ffbf7f04b51f07d533608569868856350f10c86e461be9e87edbf"],
    )
    mean: Number = Field(description="subtracted from pixels 0..255 before the network", examples=[0.0])
    std: Positive = Field(description="divides them afterwards", examples=[1.0])


class ByIdentity(FaceNetworkFile):
    """Photos to answer whose faces are alike share their answers on gender and age; the mask stays each photo's own."""

    keys: ClassVar[str] = "infer.consensus."

    kind: Literal["identity"]
    similarity: Fraction = Field(
        description="groups of photos are joined while their faces are on average at least this alike (cosine)",
        examples=[0.4],
    )


Consensus = Annotated[Nothing | ByIdentity, Field(discriminator="kind")]


class Infer(Config):
    """How eval photos are predicted."""

    views: Annotated[tuple[View, ...], Field(min_length=1)] = Field(
        description="test-time augmentation: identity, hflip, crop, scale; their answers are averaged"
    )
    average: Literal["probabilities", "logits"] = Field(description="what is averaged over the views")
    batch_size: Count = Field(description="photos a forward pass")
    precision: Literal["32", "bf16", "16"] = Field(
        description="on GPU: full, bfloat16 or float16 mixed; a CPU uses 32"
    )
    compile: bool = Field(
        description="compile the networks first (torch.compile): costs half a minute or more; needs a C++ compiler"
    )
    log: bool = Field(
        description="add a row to submissions.csv whenever this stage runs: for photos that are submitted"
    )
    consensus: Consensus = Field(
        description="one person, one answer: none, or identity, which groups the photos to answer by face; that uses "
        "eval photos beside the one that is answered, and it is said wherever scores stand"
    )


class Grouping(Config):
    """How photos to answer are grouped: what evaluate needs to know of infer."""

    consensus: Consensus


class NoNetwork(Config):
    """No face network: faces are compared by perceptual hash alone."""

    kind: Literal["none"]


class OnnxNetwork(FaceNetworkFile):
    """A network trained to tell faces apart, from an ONNX file of yours: RGB (N, 3, H, W) in, features out."""

    keys: ClassVar[str] = "audit.network."

    kind: Literal["onnx"]
    similarity: Fraction = Field(
        description="faces of two people at least this alike (cosine) are suspects", examples=[0.6]
    )


FaceNetwork = Annotated[NoNetwork | OnnxNetwork, Field(discriminator="kind")]


class Audit(Config):
    """Which labels and photos look wrong: what becomes a suspect."""

    score: Annotated[Number, Field(ge=0.5, le=1)] = Field(
        description="lowest score of a label suspect: other / (other + given), the two labels' probabilities relative "
        "to what is usual for their class"
    )
    hash_distance: Annotated[Whole, Field(le=128)] = Field(
        description="faces of two people whose perceptual hashes differ in at most so many of 256 bits are suspects"
    )
    network: FaceNetwork = Field(description="what compares faces beside the hash: none or onnx")
    small: NonNegative = Field(description="face boxes lower than this are suspects, pixels of the photo")
    cut: Fraction = Field(
        description="faces of which more than this part of the width or height lies outside the photo are suspects"
    )
    blur: Fraction = Field(
        description="faces with less than this part of their data set's median sharpness are suspects; sharpness is "
        "the variance of the Laplacian over that of luminance"
    )
    dark: Annotated[Number, Field(ge=0, le=255)] = Field(
        description="faces with a lower mean luminance (0 to 255) are suspects"
    )
    blank: NonNegative = Field(
        description="photos whose luminance has a lower standard deviation show nothing (all black, white or grey)"
    )


class Report(Config):
    """What the report page shows of people."""

    photos: bool = Field(
        description="show photos: mistakes with their heat maps, contact sheets; false writes no face into the page"
    )
    mistakes: Annotated[int, Field(ge=0, le=200)] = Field(
        description="most confident mistakes that are listed, a hit beside each"
    )
    sheet: Annotated[int, Field(ge=0, le=200)] = Field(description="photos a contact sheet, the worst first")


class Params(Config):
    """All of ``params.yaml``."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        description="folds, initial weights, order and augmentation"
    )
    engine: Engine = Field(
        description="where face_crop, background_removal, infer and audit work: local, this machine; ray, the Ray "
        "cluster at RAY_ADDRESS, or one on this machine; changes no result, so no stage runs again"
    )
    data: Data
    sample_data: SampleData
    synthesise: Synthesise
    fix_labels: FixLabels
    face_crop: FaceCrop
    background_removal: BackgroundRemoval
    build_manifest: BuildManifest
    train: Train
    combine: Combine
    evaluate: Evaluate
    infer: Infer
    audit: Audit
    report: Report

    @model_validator(mode="after")
    def _sections_agree(self) -> Params:
        beyond = [fold for fold in self.train.folds if fold >= self.build_manifest.folds]
        if beyond:
            raise ValueError(
                f"train.folds names fold {beyond[0]}, but build_manifest.folds is {self.build_manifest.folds} "
                f"(folds are counted from 0)"
            )
        if isinstance(self.infer.consensus, ByIdentity) and isinstance(
            self.face_crop.finder, Fixed | NoFinder
        ):
            raise ValueError(
                f"infer.consensus: identity needs a finder that sees faces, mtcnn or yunet, not "
                f"{self.face_crop.finder.kind}"
            )
        if self.background_removal.matting.kind == "none":
            for key, wanted in (
                ("train.image.background", self.train.image.background),
                ("train.swap.kind", self.train.swap.kind),
            ):
                if wanted not in ("keep", "none"):
                    raise ValueError(
                        f"{key} is {wanted}, which needs mattes, but background_removal.matting.kind is none"
                    )
        return self
