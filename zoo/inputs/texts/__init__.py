"""How texts are read: files of texts, and tokenizers."""
