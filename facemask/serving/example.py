"""Answer a photo with model.onnx beside this file: `python example.py PHOTO [X0 Y0 X1 Y1]`, the face's box in pixels.

Needs onnxruntime, opencv-python-headless and numpy. Without a box the photo is taken for a crop of the face.
"""

import hashlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime


def main(photo: str, *box: str) -> None:
    """Print the three most probable of the 18 classes."""
    about = json.loads(Path(__file__).with_name("model.json").read_text(encoding="utf-8"))
    model = Path(__file__).with_name("model.onnx").read_bytes()
    if hashlib.sha256(model).hexdigest() != about["files"]["model.onnx"]["sha256"]:
        sys.exit("error: model.onnx is not the file that was exported")
    pixels = cv2.imread(photo, cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        sys.exit(f"error: {photo} cannot be read")
    if box:
        corners, crop = np.array(box, float).reshape(2, 2), about["face_crop"]
        wide, high = corners[1] - corners[0] + 2 * crop["margin"] * (corners[1] - corners[0])[1]
        aspect = crop["size"][1] / crop["size"][0]
        size = np.array([max(wide, high * aspect), max(high, wide / aspect)])
        ends = np.concatenate([corners.mean(0) - size / 2, corners.mean(0) + size / 2])
        x0, y0, x1, y1 = np.floor(ends + 0.5)
        edge = int(max(0, -x0, -y0, x1 - pixels.shape[1], y1 - pixels.shape[0]))
        pixels = cv2.copyMakeBorder(pixels, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
        pixels = pixels[int(y0) + edge : int(y1) + edge, int(x0) + edge : int(x1) + edge]
    small = cv2.resize(pixels, about["input"]["size"][::-1], interpolation=cv2.INTER_AREA)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    table = session.run(None, {about["input"]["name"]: small[None]})[0][0]
    for place in table.argsort()[::-1][:3]:
        print(f"{table[place]:.3f} {about['classes'][place]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
