"""The paper's tables and figures, from training to the printed page."""
