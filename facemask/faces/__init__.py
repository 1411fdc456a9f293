"""Stage ``face_crop``: where the face is.

finders
    detectors in order: mtcnn, yunet, a fixed box, none
faces
    the one face of each photo, its fallbacks and its crop
sheet
    the contact sheet of the crops
alignment
    boxes turned so that landmarks lie where a template has them
"""
