"""Operations: compiling documents, caching and executing them."""
