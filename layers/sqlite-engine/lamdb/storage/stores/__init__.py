"""Object stores: directories, S3, memory, and the protocol that they share."""
