"""Scores of tables of probabilities, and how such tables are read; without torch.

metrics
    confusion counts, F1, accuracy: the one place every score comes from
marginals
    tables with given marginals
predictions
    what was predicted for labelled photos, checked and joined with the truth
"""
