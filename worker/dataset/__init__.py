"""Datasets on demand: many tiles with their masks, in the formats that trainers read."""
