"""Command ``review``: a page on this machine where a person decides on the suspects of stage audit.

desk
    the suspects that are still open, with the photos that belong to them
decisions
    what was decided: data/review.csv and data/label_fixes.csv
server
    the page, and who may ask for it
"""
