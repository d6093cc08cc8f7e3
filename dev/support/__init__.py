"""What tests, benchmarks and the demo share: a server, a browser, a client, tiny models."""
