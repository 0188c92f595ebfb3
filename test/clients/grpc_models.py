"""Models of every data type, and tensors for them, for the tests of gRPC clients."""
import ml_dtypes
import numpy as np

from server import IDENTITY

# A data type, as numpy has it, and values at its edges.
VALUES = {
    "BOOL": (bool, [True, False, True]),
    "UINT8": (np.uint8, [0, 1, 255]),
    "UINT16": (np.uint16, [0, 1, 65535]),
    "UINT32": (np.uint32, [0, 1, 2**32 - 1]),
    "UINT64": (np.uint64, [0, 1, 2**64 - 1]),
    "INT8": (np.int8, [-128, 0, 127]),
    "INT16": (np.int16, [-32768, 0, 32767]),
    "INT32": (np.int32, [-(2**31), 0, 2**31 - 1]),
    "INT64": (np.int64, [-(2**63), 0, 2**63 - 1]),
    "FP16": (np.float16, [-65504, 0.5, np.inf]),
    "BF16": (ml_dtypes.bfloat16, [-1.5, 0, np.inf]),
    "FP32": (np.float32, [-1e38, 0.25, np.inf]),
    "FP64": (np.float64, [-1e308, 0.125, np.inf]),
    "BYTES": (object, [b"", "gr\u00fc\u00dfe".encode(), bytes(range(256))]),
}

ADD_SUB = """backend: "add_sub"
max_batch_size: 8
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ 4 ] }, { name: "INPUT1" data_type: TYPE_FP32 dims: [ 4 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 4 ] }, { name: "OUTPUT1" data_type: TYPE_FP32 dims: [ 4 ] }]
"""


def identity(datatype):
    return IDENTITY.replace("TYPE_FP32", "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}")


def every_type():
    return {f"identity_{datatype.lower()}": identity(datatype) for datatype in VALUES}


def values_of(datatype):
    kind, values = VALUES[datatype]
    return np.array([values], dtype=kind)


def tensor(module, values, datatype="FP32", name="INPUT0"):
    made = module.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made


def pair(module):
    """The inputs of ADD_SUB, and their values."""
    a, b = np.arange(8, dtype=np.float32).reshape(2, 4), np.full((2, 4), 0.5, dtype=np.float32)
    return [tensor(module, a), tensor(module, b, name="INPUT1")], a, b
