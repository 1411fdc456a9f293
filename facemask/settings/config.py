"""What every section of ``params.yaml`` is made of: a strict base class and the kinds of number."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")
    return value


# DVC writes 3e-05 for `-S train.lr=3e-5`, which YAML 1.1 reads as text: floats alone are therefore parsed leniently.
Number = Annotated[float, Field(strict=False, allow_inf_nan=False), BeforeValidator(_not_bool)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Whole = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Years = Annotated[int, Field(ge=1, le=120)]
Size = Annotated[tuple[Count, Count], Field(description="height, width in pixels")]
Triple = tuple[Number, Number, Number]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1)]


class Config(BaseModel):
    """Base of all sections: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)
