"""Where work waits and runs: job records, artifacts, the queue and the engine.

Knows the model, nothing of HTTP. Importing any module here does not import torch.
"""
