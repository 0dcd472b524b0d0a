"""What a run is made of, how it is checked, how it is written down and read back."""
