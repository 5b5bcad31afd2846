"""An encoder elsewhere: model cards, the Hugging Face hub, ONNX."""
