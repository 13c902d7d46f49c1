"""What turns a question into an answer: each engine is one `nodes.interfaces.Engine`."""
