"""Face detectors: shared by face_crop and synthesise.

mtcnn
    facenet-pytorch's networks over batches
sampling, suppression
    what MTCNN looks at, and which of overlapping boxes stay
yunet
    YuNet through OpenCV, its boxes converted to MTCNN's convention
"""
