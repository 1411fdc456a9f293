"""Stage ``audit``: which labels and photos look wrong.

suspects
    the ranked table, and how a suspect is told
votes
    a folder's photos vote on gender and age
swaps
    files of one person that were exchanged
labels
    wrong labels, attribute by attribute
noise
    how many labels are wrong, and the score that this allows at best
measures
    what is measured on each photo: hash, sharpness, brightness, edges
quality
    faces that are small, cut, blurred or dark, and blank photos
duplicates
    one face under two names, or in training and eval photos
facts
    what is read of earlier stages, and what is told besides the suspects
"""
