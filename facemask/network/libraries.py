"""timm, imported without wandb: where that is installed, timm would import it for nothing, a second each time."""

from facemask.runtime.hidden import hidden

with hidden({"wandb": None}):
    import timm as timm
