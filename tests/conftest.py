import os

# Read when Triton is loaded: there is no GPU to run its programs on.
os.environ.setdefault("TRITON_INTERPRET", "1")

import torch

# The tests' tensors are small, and several threads on a busy machine wait for one another.
torch.set_num_threads(1)
