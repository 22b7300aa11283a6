"""The network and everything between (instance mask, style) and a tile.

Knows nothing of the web, of queues or of training. Importing this package does not
import torch, so the HTTP front end can read masks, styles and cards without it.
"""
