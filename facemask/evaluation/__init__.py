"""Stage ``evaluate``: how good it is.

results
    all numbers of one split
intervals
    bootstrap over people
calibration
    reliability and expected calibration error
plots
    the stage's pictures and plot data
"""
