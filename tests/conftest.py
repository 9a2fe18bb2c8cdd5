import torch

# The tests' tensors are small, and several threads on a busy machine wait for one another.
torch.set_num_threads(1)
