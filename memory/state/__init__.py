"""What is remembered, as an immutable value, and what an artist says of it."""
