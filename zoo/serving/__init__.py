"""Models as files that need no zoo: graphs from raw inputs to answers and explanations, as ONNX and for torch."""
