"""Stage ``background_removal``: what is person.

mattes
    person or background: grabcut, rembg, none
grabcut
    OpenCV's GrabCut with a portrait prior
saliency
    rembg's networks
sheet
    the contact sheet of the mattes
"""
