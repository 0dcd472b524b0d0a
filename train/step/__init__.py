"""The training step: its state, the network as a pure function, the optimiser."""
