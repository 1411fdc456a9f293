"""Stage ``synthesise``: masks drawn on photographed bare faces.

unmasked
    the folder of labelled bare faces
head_pose
    where a mask sits: position, size and turn of the head from five landmarks
mask_looks
    style, colour and folds of a mask
masks
    a mask drawn on a face
studio
    one bare face to seven photos
"""
