"""Search for better params: each trial is an experiment of DVC.

space
    which params are tried, in which ranges
trials
    one trial run by DVC, and its answers read
study
    which values are tried next, which trials stop early, what a killed search goes on from
page
    history, importance and the final comparison on one page
"""
