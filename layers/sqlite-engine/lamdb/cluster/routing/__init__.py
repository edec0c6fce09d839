"""The proxy's parts: the choice of a function, its invocation, retries, and the queue for mutations."""
