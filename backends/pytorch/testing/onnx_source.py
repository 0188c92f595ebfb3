#!/usr/bin/env python3
"""Writes a small ONNX network as TorchScript source and raw weights, for torchscript_file.cc to save.

    onnx_source.py MODEL.onnx DIRECTORY

Writes DIRECTORY/source.txt (the forward method), weights.txt (a line `name length length ...` each) and weights.bin
(their FP32 values, one after the other). Needs onnx and numpy, no PyTorch. Knows the operators of convolutional
networks as the flower ResNet50; another one is refused by name.
"""
import pathlib
import sys

import numpy
import onnx
import onnx.numpy_helper


def dialect(operator, inputs, a):
    """One node as an expression of TorchScript; `inputs` are names of variables or weights."""
    x = inputs[0]
    if operator == "Conv":
        if a["pads"][:2] != a["pads"][2:]:
            sys.exit(f"onnx_source.py: a Conv with unequal pads {a['pads']}")
        return f"torch.conv2d({', '.join(inputs)}, {a['strides']}, {a['pads'][:2]}, {a['dilations']}, {a['group']})"
    if operator == "MaxPool":
        return f"torch.max_pool2d({x}, {a['kernel_shape']}, {a['strides']}, {a['pads'][:2]})"
    if operator == "Softmax":
        return f"torch.softmax({x}, {a['axis']})"
    simple = {"Relu": f"torch.relu({x})", "Flatten": f"torch.flatten({x}, 1)",
              "GlobalAveragePool": f"torch.adaptive_avg_pool2d({x}, [1, 1])",
              "Add": f"torch.add({', '.join(inputs)})", "Gemm": f"torch.linear({', '.join(inputs)})"}
    if operator not in simple:
        sys.exit(f"onnx_source.py: the operator {operator} is not among those it knows")
    return simple[operator]


def main(model, directory):
    graph = onnx.load(model).graph
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    names, lines, weights = {graph.input[0].name: graph.input[0].name}, [], []
    for node in graph.node:
        output = node.output[0]
        # Weights are stored in 8 bits behind a Cast and a Mul: undone here.
        if node.op_type == "Cast" and node.input[0] in constants:
            constants[output] = constants[node.input[0]].astype(numpy.float32)
            continue
        if node.op_type == "Mul" and all(i in constants for i in node.input):
            constants[output] = constants[node.input[0]] * constants[node.input[1]]
            continue
        for name in node.input:
            if name in constants and name not in names:
                names[name] = f"self.w{len(weights)}"
                weights.append(constants[name].astype(numpy.float32))
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        names[output] = f"v{len(lines)}"
        lines.append(f"  {names[output]} = {dialect(node.op_type, [names[i] for i in node.input], attributes)}")
    out = pathlib.Path(directory)
    out.mkdir(parents=True, exist_ok=True)
    (out / "source.txt").write_text("\n".join(
        [f"def forward(self, {graph.input[0].name}):", *lines, f"  return {names[graph.output[0].name]}", ""]))
    (out / "weights.txt").write_text("".join(
        f"w{i} {' '.join(map(str, w.shape))}\n" for i, w in enumerate(weights)))
    with open(out / "weights.bin", "wb") as file:
        for weight in weights:
            file.write(numpy.ascontiguousarray(weight).tobytes())


if len(sys.argv) != 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
