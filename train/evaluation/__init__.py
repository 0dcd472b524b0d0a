"""What a trained network does: on a split, on new images, in figures."""
