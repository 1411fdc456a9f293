"""timm, imported without wandb: where that is installed, timm would import it for nothing, a second each time."""

from facemask.runtime.imports import hidden, lean

with hidden({"wandb": None}), lean():
    import timm as timm
