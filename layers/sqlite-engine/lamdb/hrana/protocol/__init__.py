"""The protocol's JSON: requests, conditions, outcomes and errors."""
