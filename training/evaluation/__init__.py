"""How a checkpoint is judged on slides it was never trained on."""
