"""The schema of ``params.yaml`` and the page that is written from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from facemask.settings import config, loading, params, presets, recipes, reference, schema


def configs() -> list[type[BaseModel]]:
    return [
        value
        for value in (vars(params) | vars(recipes)).values()
        if isinstance(value, type) and issubclass(value, config.Config) and value is not config.Config
    ]


def columns(page: str, *wanted: int) -> list[tuple[str, ...]]:
    rows = [re.split(r" \| ", line.strip("| ")) for line in page.splitlines() if line.startswith("| `")]
    return [tuple(row[column] for column in wanted) for row in rows]


def test_no_key_has_a_default() -> None:
    """What lets this room be a code dependency of no stage, together with the next test."""
    for section in configs():
        assert not section.model_computed_fields, section.__name__
        for name, field in section.model_fields.items():
            assert field.is_required(), f"{section.__name__}.{name}"


def test_reading_changes_no_value(repository: Path, params_yaml: dict[str, Any]) -> None:
    """Nothing is dropped, added or put otherwise: for the shipped file and with every preset in it."""
    folder = repository / "presets"
    wholes = {
        path.name: presets.merge(params_yaml, loading.read(path)[1]["params"])
        for path in folder.glob("*.yaml")
    }
    for name, whole in {"params.yaml": params_yaml, **wholes}.items():
        assert loading.parse(whole, name).model_dump(mode="json") == whole, name


def test_every_config_forbids_what_it_does_not_know() -> None:
    for section in configs():
        assert section.model_config["frozen"]
        assert section.model_config["strict"]
        # A transform's arguments are albumentations' own; it checks them.
        assert section.model_config["extra"] == ("allow" if section is recipes.Transform else "forbid"), (
            section
        )


@pytest.mark.slow
def test_the_page_is_in_step_with_the_schema(repository: Path, params_yaml: dict[str, Any]) -> None:
    # The column of values is left out: params.yaml may be changed at will.
    written = (repository / "docs" / "params.md").read_text()
    made = reference.markdown(params_yaml)
    assert columns(written, 0, 1, 3) == columns(made, 0, 1, 3), "run `make docs`"
    for one, other in zip(written.splitlines(), made.splitlines(), strict=True):
        assert one == other or one.startswith("| `"), "run `make docs`"


def test_every_key_has_a_row_with_a_description() -> None:
    rows = reference.rows()
    told = {row.key for row in rows}
    for field in schema.walk():
        # The page names a choice by its kind, and a section by what stands in it.
        assert field.key in told or any(row.startswith(f"{field.key}.") for row in told), field.key
    for row in rows:
        assert row.allowed, row.key
        assert row.description, row.key


def test_values_stand_beside_the_chosen_kind_only(params_yaml: dict[str, Any]) -> None:
    params_yaml["train"]["loss"] = {"kind": "focal", "gamma": 2.5}
    values = dict(columns(reference.markdown(params_yaml), 0, 2))
    assert values["`train.loss.kind`"] == "focal"
    assert values["`train.loss.gamma` (focal)"] == "2.5"
    assert values["`train.loss.smoothing` (cross_entropy)"] == ""


def test_limits_are_told() -> None:
    allowed = {row.key: row.allowed for row in reference.rows()}
    assert allowed["build_manifest.holdout"] == "number ≥ 0, ≤ 0.5"
    assert allowed["train.lr"] == "number > 0"
    assert allowed["train.patience"] == "integer ≥ 1 or null"
    assert allowed["combine.adjust.tau"] == "number ≥ -10, ≤ 10"
    assert allowed["evaluate.calibration_bins"] == "integer ≥ 1, ≤ 1000"
    assert allowed["train.channels_last"] == "true, false"


@pytest.mark.parametrize("box", [(0.5, 0.1, 0.5, 0.9), (0.1, 0.9, 0.9, 0.2)])
def test_a_fixed_box_has_an_area(box: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match="x0 < x1"):
        params.Fixed.model_validate({"kind": "fixed", "box": box})


def test_a_transform_keeps_its_arguments() -> None:
    transform = recipes.Transform.model_validate({"name": "HorizontalFlip", "p": 0.5})
    assert transform.name == "HorizontalFlip"
    assert transform.arguments == {"p": 0.5}


def test_what_a_fill_needs_is_checked(params_yaml: dict[str, Any]) -> None:
    params_yaml["background_removal"]["matting"] = {"kind": "none"}
    params_yaml["train"]["image"]["background"] = "black"
    with pytest.raises(loading.UserError, match="needs mattes"):
        loading.parse(params_yaml, "params.yaml")
