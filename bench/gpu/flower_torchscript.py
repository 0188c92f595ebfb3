#!/usr/bin/env python3
"""Writes the flower ResNet50 as TorchScript in FP16 (probabilities in FP32), from the weights of the committed ONNX file.

flower_torchscript.py MODEL.onnx OUT.pt OUT_OF_BYTES.pt: needs a GPU, torch and onnx. OUT.pt takes FP16
images, OUT_OF_BYTES.pt UINT8 pixels. On random images the network in FP32 must agree with ONNX Runtime on
the ONNX file, where that is installed, and in FP16 on the GPU with FP32.
"""
import sys

import numpy
import onnx
import onnx.numpy_helper
import torch
from torch import nn
from torch.nn import functional

PROBABILITY_DIFFERENCE_MAX = 1e-3


class OnnxNet(nn.Module):
    """The few operators of this file, in its order."""

    def __init__(self, graph):
        super().__init__()
        constants = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy())
                     for t in graph.initializer}
        self.steps = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Cast" and node.input[0] in constants:
                constants[node.output[0]] = constants[node.input[0]].float()
            elif node.op_type == "Mul" and all(i in constants for i in node.input):
                constants[node.output[0]] = constants[node.input[0]] * constants[node.input[1]]
            else:
                weights = []
                for name in node.input:
                    if name in constants:
                        self.register_buffer(f"c{len(list(self.buffers()))}", constants[name])
                        weights.append(f"c{len(list(self.buffers())) - 1}")
                inputs = [i for i in node.input if i not in constants]
                self.steps.append((node.op_type, inputs, weights, attributes, node.output[0]))
        self.input, self.output = graph.input[0].name, graph.output[0].name

    def forward(self, x):
        values = {self.input: x.contiguous(memory_format=torch.channels_last)}
        for operator, inputs, weights, attributes, output in self.steps:
            arguments = [values[i] for i in inputs] + [getattr(self, w) for w in weights]
            values[output] = self.run(operator, arguments, attributes)
        return values[self.output].float()

    @staticmethod
    def run(operator, a, attributes):
        if operator == "Conv":
            pads = attributes["pads"]
            assert pads[:2] == pads[2:], pads
            return functional.conv2d(*a, stride=attributes["strides"], padding=pads[:2],
                                     dilation=attributes["dilations"], groups=attributes["group"])
        if operator == "MaxPool":
            return functional.max_pool2d(a[0], attributes["kernel_shape"], attributes["strides"],
                                         attributes["pads"][:2])
        if operator == "Gemm":
            return functional.linear(*a)
        if operator == "Softmax":
            return torch.softmax(a[0], attributes["axis"])
        simple = {"Relu": torch.relu, "Add": torch.add,
                  "Flatten": lambda x: torch.flatten(x, 1),
                  "GlobalAveragePool": lambda x: functional.adaptive_avg_pool2d(x, 1)}
        return simple[operator](*a)


class BytesNet(nn.Module):
    """The same on pixels as they are: the image in 8 bits, normalised on the GPU."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net((x.half() - 127.0) / 128.0)


def main(source, target, bytes_target):
    net = OnnxNet(onnx.load(source).graph).eval()
    images = torch.rand(4, 3, 224, 224) * 2 - 1
    with torch.no_grad():
        expected = net(images)
        try:
            import onnxruntime
            session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
            reference = session.run(None, {net.input: images.numpy()})[0]
            difference = float(numpy.abs(reference - expected.numpy()).max())
            print(f"FP32 against ONNX Runtime: {difference:.1e}")
            assert difference < PROBABILITY_DIFFERENCE_MAX
        except ImportError:
            print("no onnxruntime: the FP32 network is not checked against the ONNX file")
        half = net.half().cuda().to(memory_format=torch.channels_last)
        example = images.half().cuda()
        torch.jit.trace(half, example).save(target)
        difference = float((half(example).cpu().float() - expected).abs().max())
        print(f"FP16 on the GPU against FP32 on the CPU: {difference:.1e}")
        assert difference < 10 * PROBABILITY_DIFFERENCE_MAX
        pixels = torch.randint(0, 256, (4, 3, 224, 224), dtype=torch.uint8, device="cuda")
        torch.jit.trace(BytesNet(half), pixels).save(bytes_target)


main(*sys.argv[1:])
