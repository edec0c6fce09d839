"""Publishing of the change feed to an event bus: see `publisher`."""
