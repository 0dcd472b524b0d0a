"""What is learned: examples, the loss, the metrics and the pictures of one task a file."""
