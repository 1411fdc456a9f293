"""What ``python -m benchmarks.gpu`` measures, a module a part; each has ``measure(plan)``.

plan
    device, size and time of a part
networks
    every preset's network at its own size
loop
    the training loop against a constant batch: compiled or not, loader workers, precisions
answers
    answering photos
packages
    what other packages do on the device: onnxruntime, rembg's networks, MTCNN
stages
    the stages as modules: an epoch on the device and on the CPU, a kill, two processes
"""
