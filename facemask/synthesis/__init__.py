"""Stage ``synthesise``: masks drawn on photographed bare faces.

unmasked
    the folder of labelled bare faces
head_pose
    where a mask sits: position, size and turn of the head from five landmarks
masks
    a mask of the room ``masks`` laid on a photo, in the photo's light
studio
    one bare face to seven photos
"""
