"""Parts of `bench moc`: what is attended to, the kernels that are compared, and how time and memory are measured."""
