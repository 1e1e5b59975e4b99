"""Report pages and pictures, made from values: explanations, scores, texts. Nothing here reads models or data."""
