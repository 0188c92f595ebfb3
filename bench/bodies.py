"""Bodies of inference requests: HTTP with binary tensors or JSON, and gRPC frames. Standard library only."""
import json
import random
import struct


def floats(count):
    """Values as a client has them: float32 of a bell curve, the same every time."""
    numbers = random.Random(4)
    return list(struct.unpack(f"<{count}f", struct.pack(f"<{count}f", *(numbers.gauss(0, 1) for _ in range(count)))))


def packed(values):
    return struct.pack(f"<{len(values)}f", *values)


def http_binary(values):
    """The body, and how many bytes of it are JSON."""
    data = packed(values)
    header = json.dumps({
        "inputs": [{"name": "INPUT0", "shape": [1, len(values)], "datatype": "FP32", "parameters": {"binary_data_size": len(data)}}],
        "outputs": [{"name": "OUTPUT0", "parameters": {"binary_data": True}}]}).encode()
    return header + data, len(header)


def http_json(values):
    """As tritonclient writes it: each float32 as the double it equals, with up to 17 digits."""
    return json.dumps({
        "inputs": [{"name": "INPUT0", "shape": [1, len(values)], "datatype": "FP32", "data": values}],
        "outputs": [{"name": "OUTPUT0", "parameters": {"binary_data": False}}]}).encode()


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number, content):
    """A length-delimited field of a protobuf message."""
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def grpc_frame(model, values):
    """One gRPC message: inference.ModelInferRequest (core/proto/inference.proto) with raw_input_contents."""
    shape = field(3, varint(1) + varint(len(values)))
    message = (field(1, model) + field(5, field(1, "INPUT0") + field(2, "FP32") + shape)
               + field(6, field(1, "OUTPUT0")) + field(7, packed(values)))
    return struct.pack(">BI", 0, len(message)) + message
