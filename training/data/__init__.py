"""What training reads: MoNuSeg slides, crops of them and their augmentation."""
