"""Stage ``evaluate``: how good it is.

results
    all numbers of one split
intervals
    bootstrap over people
calibration
    reliability and expected calibration error
consensus
    scores where photos of one face share their answers
pictures
    confusion matrices
charts
    data of the charts of ``dvc plots``
"""
