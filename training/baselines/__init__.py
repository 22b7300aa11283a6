"""The generators the paper is compared with, each as its own paper has it."""
