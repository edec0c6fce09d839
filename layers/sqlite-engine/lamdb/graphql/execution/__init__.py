"""Operations: compiled from documents, kept, and executed."""
