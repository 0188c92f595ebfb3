#!/usr/bin/env python3
"""Our .proto files say what the published client says: same messages, fields, numbers, types.

Usage: compare_descriptors.py [--tritonclient FOLDER_OR_WHEEL]
Compares the descriptors inside tritonclient (by default the one `make setup` fetched) with what protoc
makes of src/core/proto. Exit 0: alike; 1: each difference on a line; 77: no tritonclient here, skipped.
"""
import argparse
import ast
import pathlib
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAIRS = [("grpc/model_config_pb2.py", "core/proto/model_config.proto"),
         ("grpc/service_pb2.py", "core/proto/inference.proto")]
SKIPPED = 77

# Field numbers of google/protobuf/descriptor.proto.
FILE_PACKAGE, FILE_MESSAGE, FILE_ENUM, FILE_SERVICE = 2, 4, 5, 6
MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_ONEOF = 2, 3, 4, 8
FIELD_NUMBER, FIELD_LABEL, FIELD_TYPE, FIELD_TYPE_NAME, FIELD_ONEOF, FIELD_OPTIONAL = 3, 4, 5, 6, 9, 17
METHOD_INPUT, METHOD_OUTPUT, METHOD_CLIENT_STREAMS, METHOD_SERVER_STREAMS = 2, 3, 5, 6


def wire_fields(data):
    """(number, value) of each field of a serialized message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        elif tag & 7 == 2:
            size = varint()
            yield tag >> 3, data[at:at + size]
            at += size
        else:
            size = 8 if tag & 7 == 1 else 4
            yield tag >> 3, data[at:at + size]
            at += size


def values(data, number):
    return [value for found, value in wire_fields(data) if found == number]


def one(data, number, default=0):
    return (values(data, number) or [default])[-1]


def name_of(data):
    return one(data, 1, b"").decode()


def describe_enum(data, path, facts):
    for value in values(data, 2):
        facts[f"enum {path}.{name_of(value)}"] = f"number {one(value, 2)}"


def describe_message(data, path, facts):
    facts[f"message {path}"] = ""
    oneofs = [name_of(oneof) for oneof in values(data, MESSAGE_ONEOF)]
    for place, field in enumerate(values(data, MESSAGE_FIELD)):
        oneof = values(field, FIELD_ONEOF)
        facts[f"field {path}.{name_of(field)}"] = " ".join([
            f"number {one(field, FIELD_NUMBER)}", f"place {place}", f"label {one(field, FIELD_LABEL)}",
            f"type {one(field, FIELD_TYPE)}", one(field, FIELD_TYPE_NAME, b"").decode(),
            f"oneof {oneofs[oneof[0]]}" if oneof else "", "optional" if one(field, FIELD_OPTIONAL) else ""])
    for nested in values(data, MESSAGE_NESTED):
        describe_message(nested, f"{path}.{name_of(nested)}", facts)
    for enum in values(data, MESSAGE_ENUM):
        describe_enum(enum, f"{path}.{name_of(enum)}", facts)


def describe_file(data):
    """Everything the wire sees, by full name."""
    facts = {}
    package = one(data, FILE_PACKAGE, b"").decode()
    for message in values(data, FILE_MESSAGE):
        describe_message(message, f"{package}.{name_of(message)}", facts)
    for enum in values(data, FILE_ENUM):
        describe_enum(enum, f"{package}.{name_of(enum)}", facts)
    for service in values(data, FILE_SERVICE):
        for method in values(service, 2):
            facts[f"method {package}.{name_of(service)}.{name_of(method)}"] = " ".join([
                one(method, METHOD_INPUT, b"").decode(), one(method, METHOD_OUTPUT, b"").decode(),
                f"streams {one(method, METHOD_CLIENT_STREAMS)}{one(method, METHOD_SERVER_STREAMS)}"])
    return facts


def published(source):
    """The serialized file descriptor inside a *_pb2.py."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
            return node.args[0].value
    raise SystemExit("no AddSerializedFile in the client's module")


def ours(file):
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"-I{ROOT / 'src'}", f"--descriptor_set_out={out.name}", file], check=True)
        return values(pathlib.Path(out.name).read_bytes(), 1)[0]


def find_client(given):
    if given:
        return pathlib.Path(given)
    found = sorted((ROOT / ".cache").glob("**/tritonclient/grpc/model_config_pb2.py"))
    return found[0].parent.parent if found else None


def read_client(client, module):
    if client.suffix == ".whl":
        return zipfile.ZipFile(client).read(f"tritonclient/{module}").decode()
    return (client / module).read_text()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tritonclient", help="its folder or its wheel")
    client = find_client(parser.parse_args().tritonclient)
    if client is None or not client.exists():
        print("SKIPPED: tritonclient is not here; tools/setup test fetches it", file=sys.stderr)
        return SKIPPED
    differences, compared = [], 0
    for module, file in PAIRS:
        theirs, mine = describe_file(published(read_client(client, module))), describe_file(ours(file))
        for name in sorted(theirs.keys() | mine.keys()):
            compared += 1
            if theirs.get(name) != mine.get(name):
                differences.append(f"{file}: {name}: ours {mine.get(name)}, published {theirs.get(name)}")
    print("\n".join(differences + [f"{compared} names compared, {len(differences)} differ"]))
    return 1 if differences or compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
