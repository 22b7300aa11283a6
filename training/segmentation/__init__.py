"""SegNet on nuclei: the network that judges synthetic tiles, and that they are to improve."""
