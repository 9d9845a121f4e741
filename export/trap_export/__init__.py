"""Student -> ONNX, OpenVINO and TFLite bundles, float and INT8, each opened again and measured."""
