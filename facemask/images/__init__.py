"""Pixels: photos in, crops and mattes out, and what the network finally sees.

codec
    bytes to pixels and back
archive
    many small images in one stored zip
photos
    which photos there are, their bytes, and work on each that is paid for once
health
    which photo files can be read at all
memo
    results of networks, kept by content
crew
    several processes or threads, results in order
cluster, actors
    several machines through Ray, in the same way
boxes
    boxes, and cutting them out
finders
    where faces may be: mtcnn, yunet, fixed, none, or several tried in order
mtcnn
    facenet-pytorch's networks over batches
yunet
    YuNet through OpenCV, its boxes drawn as MTCNN's
faces
    the one face of each photo, its fallbacks and its crop
mattes
    person or background: grabcut, rembg, none
grabcut
    OpenCV's GrabCut with a portrait prior
saliency
    rembg's networks
masking, masking_pose, masking_looks, masking_portraits
    drawn masks on photographed faces: where they sit, how they look, one face to seven photos
contact
    contact sheets
compose
    crop, matte and background joined
augment
    training-time changes of the pixels
backgrounds
    replacement of the background as augmentation
reader
    composed photos by manifest row
"""
