"""The paper's networks, one experiment a file."""
