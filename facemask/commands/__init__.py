"""What a person types: ``python -m facemask``.

scores
    the table of scores that a run ends with
rate_curve
    the learning-rate finder's curve, as a picture
page
    the frame of ``dvc plots show``, with its scripts inside
"""
