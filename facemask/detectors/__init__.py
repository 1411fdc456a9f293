"""Face detectors: shared by face_crop and synthesise.

mtcnn
    facenet-pytorch's networks over batches
yunet
    YuNet through OpenCV, its boxes converted to MTCNN's convention
"""
