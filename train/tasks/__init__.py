"""What is learned: the loss, the metrics and the pictures of one task a file."""
