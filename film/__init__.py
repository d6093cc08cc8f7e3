"""The segment loop (Context-as-Memory, Algorithm 2): what is retrieved, made, kept, and found again."""
