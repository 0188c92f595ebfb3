"""Sends the gRPC calls of conformance cases. Needs grpcio and the messages of tritonclient.

Messages stand in the cases as protobuf's JSON with the names of the .proto files, but for the raw
contents of tensors, which are hex. Services whose messages tritonclient does not have (health,
reflection) are written in hex altogether.
"""

import base64
import hashlib
import json

import grpc
from google.protobuf import json_format, message_factory
from tritonclient.grpc import service_pb2

SERVICE = "inference.GRPCInferenceService"
TIMEOUT_S = 30
MESSAGE_SIZE_MAX = (1 << 31) - 1
SHOWN_BYTES_MAX = 1 << 20
RAW = {"raw_input_contents", "raw_output_contents"}
# Fields with their default are absent on the wire; these answers are compared in full.
WITH_DEFAULTS = {"ModelStatistics"}


def exchange(case, target, mask):
    """The answer as the lines of a case: [("status", "OK"), ("json", "{…}"), …]."""
    path = case.first("grpc")
    service, method = path.split("/")
    known = None
    if service == SERVICE:
        known = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name.get(method)
    messages, metadata, timeout = [], [], TIMEOUT_S
    for word, value in case.request:
        if word == "message":
            messages += [encode(known, json.loads(value))]
        elif word == "message-repeat":
            count, text = value.split(" ", 1)
            messages += [encode(known, json.loads(text))] * int(count)
        elif word == "message-hex":
            messages.append(bytes.fromhex(value))
        elif word == "header":
            metadata.append(tuple(value.split(": ", 1)))
        elif word == "timeout":
            timeout = float(value)
    return call(target, path, messages, metadata, timeout, lambda data: show(known, data, mask))


def call(target, path, messages, metadata, timeout, shown):
    options = [("grpc.max_receive_message_length", MESSAGE_SIZE_MAX),
               ("grpc.max_send_message_length", MESSAGE_SIZE_MAX)]
    answers = []
    with grpc.insecure_channel(target, options=options) as channel:
        stream = channel.stream_stream(f"/{path}")(iter(messages), metadata=metadata, timeout=timeout)
        try:
            for message in stream:
                answers.append(shown(message))
            status = [("status", "OK")]
        except grpc.RpcError as error:
            status = [("status", error.code().name)]
            if error.details():
                status.append(("text", repr(error.details())))
    return status + answers


def encode(known, value):
    message = message_factory.GetMessageClass(known.input_type)()
    json_format.ParseDict(with_raw(value, lambda text: base64.b64encode(bytes.fromhex(text)).decode()), message)
    # Map entries in a fixed order.
    return message.SerializeToString(deterministic=True)


def show(known, data, mask):
    if known is None:
        return ("hex", data.hex())
    if len(data) > SHOWN_BYTES_MAX:
        return ("sha256", f"{len(data)} {hashlib.sha256(data).hexdigest()}")
    message = message_factory.GetMessageClass(known.output_type).FromString(data)
    value = json_format.MessageToDict(message, preserving_proto_field_name=True,
                                      always_print_fields_with_no_presence=known.name in WITH_DEFAULTS)
    value = with_raw(value, lambda text: base64.b64decode(text).hex())
    return ("json", json.dumps(mask(value), ensure_ascii=False))


def with_raw(value, change, key=None):
    """The raw contents in `value`, wherever they stand, changed."""
    if isinstance(value, dict):
        return {name: with_raw(item, change, name) for name, item in value.items()}
    if isinstance(value, list):
        return [with_raw(item, change, key) for item in value]
    return change(value) if key in RAW else value
