"""What every section of ``params.yaml`` is made of: a strict base class and the kinds of number."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Whole = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Years = Annotated[int, Field(ge=1, le=120)]
Size = Annotated[tuple[Count, Count], Field(description="height, width in pixels")]
Triple = tuple[Number, Number, Number]
# The example is that of an empty file.
Sha256 = Annotated[
    str,
    Field(
        pattern="^[0-9a-f]{64}$",
        examples=["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ),
]
Text = Annotated[str, Field(min_length=1)]


class Config(BaseModel):
    """Base of all sections: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)
