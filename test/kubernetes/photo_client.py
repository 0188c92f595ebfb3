"""A photo to ResNet50 through an address, by tritonclient over HTTP and gRPC: what it is, by both. In the tests' venv."""
import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http
from PIL import Image


def ask(library, url, photo):
    image = Image.open(photo).convert("RGB")
    scale = 224 / min(image.size)
    image = image.resize((max(224, round(image.width * scale)), max(224, round(image.height * scale))), Image.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), dtype=np.float32)
    pixels = ((pixels - 127) / 128).transpose(2, 0, 1)[None]
    client = library.InferenceServerClient(url)
    assert client.is_server_ready() and client.is_model_ready("resnet50")
    tensor = library.InferInput("input", list(pixels.shape), "FP32")
    tensor.set_data_from_numpy(pixels)
    answer = client.infer("resnet50", [tensor], outputs=[library.InferRequestedOutput("probabilities", class_count=1)])
    return answer.as_numpy("probabilities").ravel()[0].decode().split(":")[-1]


print(ask(tritonclient.http, sys.argv[1], sys.argv[3]), ask(tritonclient.grpc, sys.argv[2], sys.argv[3]))
